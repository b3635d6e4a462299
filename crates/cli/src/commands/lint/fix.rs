//! `lint --fix` and `lint --undo`: what can be mended mechanically, with a journal to take it back.

use std::path::{Path, PathBuf};

use stockade_audit::fix::{self as journal, Change, Plan, diff};
use stockade_audit::host::Host;
use stockade_lint::{Options, apply, lint};

use super::pins;
use super::settings::Settings;
use super::{Args, read};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{Outcome, output};

/// Where journals of fixes are.
fn state(context: &Context) -> PathBuf {
    context.settings.dirs.root.join("lint")
}

/// Mends files, or shows how they would be mended. All files are read and mended in memory before the first is written.
pub fn fix(args: &Args, settings: &Settings, files: &[PathBuf], context: &Context) -> Outcome {
    let mut plan = Plan::default();
    let mut left = false;
    let mut words = String::new();
    for path in files {
        let old = read(path)?;
        let before = std::str::from_utf8(&old)
            .map_err(|_| Failure::new(format!("cannot mend `{}`: not UTF-8 text", path.display())))?;
        let mut options = settings.options.clone();
        if args.pin {
            options.pins = pins::of(&old, &path.display().to_string(), context)?;
        }
        let (after, mended) = mend(before, path, &options);
        let name = path.display().to_string();
        if args.dry_run {
            output::to_stdout(&colored(&diff::unified(&name, &name, before, &after)))?;
        } else if path == Path::new("-") {
            output::to_stdout(&after)?;
        } else if mended > 0 {
            // The file itself, not a link to it, is replaced.
            let path = std::fs::canonicalize(path)?;
            plan.changes.push(Change::File { path, old: Some(old.clone()), new: after.clone().into_bytes() });
        }
        let report = lint(after.as_bytes(), &name, &settings.options);
        left |= report.findings.iter().any(|f| settings.threshold.reached(f.severity));
        left |= report.diagnostics.errors().next().is_some();
        words.push_str(&format!("{name}: {mended} mended, {} left for you\n", report.findings.len()));
    }
    let mended = plan.changes.len();
    if mended > 0 {
        let made = plan.apply(&Host::live()?, Path::new("/"), &state(context)).map_err(|e| {
            Failure::from(e).hint("`stockade lint --undo` takes back what was written before the error")
        })?;
        words.push_str(&format!("`stockade lint --undo` takes this back (fix {})\n", made.number));
    }
    output::to_stderr(&words);
    Ok(if left && !settings.no_fail { Exit::FAILED } else { Exit::DONE })
}

/// Takes the last fix back.
pub fn undo(files: &[PathBuf], force: bool, context: &Context) -> Outcome {
    if let Some(file) = files.first() {
        return Err(Failure::usage(format!("--undo takes back the last fix as a whole, not `{}` alone", file.display())));
    }
    let undone = journal::undo(&state(context), None, force).map_err(|e| {
        let overwrite = matches!(e, journal::FixError::ChangedSince { .. });
        let failure = Failure::from(e);
        if overwrite { failure.hint("--force undoes the fix and loses the later change") } else { failure }
    })?;
    for path in &undone.restored {
        output::to_stderr(&format!("restored: {}\n", path.display()));
    }
    for path in &undone.unchanged {
        output::to_stderr(&format!("as before already: {}\n", path.display()));
    }
    Ok(Exit::DONE)
}

/// Applies fixes until nothing changes: a fix may make room for another.
fn mend(before: &str, path: &Path, options: &Options) -> (String, usize) {
    let mut text = before.to_owned();
    let mut total = 0;
    for _ in 0..10 {
        let report = lint(text.as_bytes(), &path.display().to_string(), options);
        if report.diagnostics.errors().next().is_some() {
            break;
        }
        let (next, mended) = apply(&text, &report.findings);
        // A fix must not break the file.
        if mended == 0
            || next == text
            || stockade_dockerfile::parse_fragment(next.as_bytes(), "f").diagnostics.errors().next().is_some()
        {
            break;
        }
        text = next;
        total += mended;
    }
    (text, total)
}

fn colored(text: &str) -> String {
    let style = output::Style::stdout();
    let line = |line: &str| match line.as_bytes().first() {
        Some(b'+') => style.green(line),
        Some(b'-') => style.red(line),
        Some(b'@') => style.dim(line),
        _ => line.to_owned(),
    };
    text.lines().map(|l| line(&output::printable(l)) + "\n").collect()
}
