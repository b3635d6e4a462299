//! `--fix` and `--undo`: show, ask, change, look again.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use stockade_audit::Answer;
use stockade_audit::fix::{self, Context as FixContext, Plan};
use stockade_audit::host::Host;
use stockade_audit::select::named;

use super::gather::Gathered;
use super::{Args, state};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{Outcome, output};

/// Plans, shows, asks, applies and verifies. Exit 0 when everything that was chosen is cured, 3 when something is left.
pub fn fix(chosen: &[String], yes: bool, args: &Args, gathered: Gathered, context: &Context) -> Outcome {
    let Gathered { report, host, docker, engines } = gathered;
    let host = match host {
        Some(host) => host,
        None => Host::live()?,
    };
    let directory = std::env::current_dir()?;
    let fix_context = FixContext { host: &host, docker: docker.as_ref(), engines: &engines, directory: &directory };
    for name in chosen.iter().filter(|n| !report.checks.iter().any(|c| named(&c.meta, n))) {
        output::warn(&format!("{name} is no check of what is audited here: name its target (`stockade audit --list`)"));
    }
    let plan = fix::plan(&report, chosen, &fix_context);
    show(&plan)?;
    if plan.changes.is_empty() {
        output::to_stderr("nothing is changed\n");
        return Ok(if plan.by_hand.is_empty() && plan.commands.is_empty() { Exit::DONE } else { Exit::POLICY });
    }
    if !yes && !agreed(plan.changes.len())? {
        output::to_stderr("nothing was changed\n");
        return Ok(Exit::POLICY);
    }
    let root = args.host_root.as_deref().unwrap_or(Path::new("/"));
    let root = std::fs::canonicalize(root)
        .map_err(|e| Failure::new(format!("cannot find host root `{}`: {e}", root.display())))?;
    let journal = plan
        .apply(&host, &root, &state(context))
        .map_err(|e| Failure::from(e).hint("`stockade audit --undo` takes back what was changed before the error"))?;
    verify(&plan, &FixContext { host: &reopen(args)?, docker: docker.as_ref(), engines: &engines, directory: &directory }, journal.number)
}

/// A host that has cached nothing.
fn reopen(args: &Args) -> Result<Host, Failure> {
    Ok(match &args.host_root {
        Some(root) => Host::at(root)?,
        None => Host::live()?,
    })
}

fn show(plan: &Plan) -> Result<(), Failure> {
    let style = output::Style::stdout();
    let mut text = String::new();
    for line in plan.shown().lines() {
        let line = output::printable(line);
        let colored = match line.as_bytes().first() {
            Some(b'+') => style.green(&line),
            Some(b'-') => style.red(&line),
            Some(b'@') => style.dim(&line),
            _ => line,
        };
        text.push_str(&colored);
        text.push('\n');
    }
    text.push_str(&lines(&plan.commands));
    output::to_stdout(&text)?;
    for left in &plan.by_hand {
        let subject = output::printable(&left.subject);
        output::to_stderr(&format!("by hand: {subject}: {}: {}\n", left.id, output::printable(&left.why)));
    }
    if !plan.unnamed.is_empty() {
        let names: Vec<&str> = plan.unnamed.iter().map(|(id, _)| *id).collect();
        output::to_stderr(&format!("not chosen, because it may break something: --fix {}\n", names.join(",")));
    }
    Ok(())
}

/// What to run instead of what runs, for people.
pub fn lines(commands: &[fix::Command]) -> String {
    let style = output::Style::stdout();
    let line = |command: &fix::Command| {
        format!(
            "\n{}: run it again without {}:\n  {}\n",
            style.bold(&output::printable(&command.subject)),
            command.ids.join(", "),
            output::printable(&command.line)
        )
    };
    commands.iter().map(line).collect()
}

fn agreed(changes: usize) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("--fix asks on a terminal, and standard input is none")
            .hint("--yes makes the changes that are shown"));
    }
    output::to_stderr(&format!("make {changes} changes? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn verify(plan: &Plan, context: &FixContext<'_>, number: u64) -> Outcome {
    let style = output::Style::stderr();
    let mut left = plan.by_hand.len();
    let mut then: Vec<&str> = Vec::new();
    for verified in plan.verify(context) {
        let cured = verified.verdict.answer == Answer::Pass;
        left += usize::from(!cured);
        then.extend(verified.then);
        let word = if cured { style.green("cured") } else { style.red("still failing") };
        let subject = output::printable(&verified.subject);
        output::to_stderr(&format!(
            "{word}: {subject}: {}: {}\n",
            verified.id,
            output::printable(&verified.verdict.evidence)
        ));
    }
    then.sort_unstable();
    then.dedup();
    // A reload with a restart holds the restart.
    if then.iter().any(|t| t.contains("daemon-reload")) {
        then.retain(|t| *t != "systemctl restart docker");
    }
    for command in then {
        output::to_stderr(&format!("takes effect after: {command}\n"));
    }
    output::to_stderr(&format!(
        "{} changes made; `stockade audit --undo {number}` takes them back\n",
        plan.changes.len()
    ));
    Ok(if left == 0 { Exit::DONE } else { Exit::POLICY })
}

/// Takes a fix back.
pub fn undo(number: Option<u64>, force: bool, context: &Context) -> Outcome {
    let undone = fix::undo(&state(context), number, force).map_err(|e| {
        let overwrite = matches!(e, fix::FixError::ChangedSince { .. });
        let failure = Failure::from(e);
        if overwrite { failure.hint("--force undoes the fix and loses the later change") } else { failure }
    })?;
    for path in &undone.restored {
        output::to_stderr(&format!("restored: {}\n", path.display()));
    }
    for path in &undone.unchanged {
        output::to_stderr(&format!("as before already: {}\n", path.display()));
    }
    output::to_stderr(&format!("fix {} is undone\n", undone.number));
    Ok(Exit::DONE)
}
