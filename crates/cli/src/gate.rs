//! The gate in the run path: what the policy says about an image before a container of it starts.

use stockade_advisory::report::ScanReport;
use stockade_audit::select::named;
use stockade_audit::{Answer, CheckResult, content, gate as audit_gate};
use stockade_config::{GateMode, GateSettings, UnknownMode};
use stockade_image::Store;
use stockade_policy::{Decision, Verdict, gate};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::scanner::{self, ScanOptions};

/// Offences named in a message; the rest is counted.
const NAMED: usize = 3;

/// Judges an image of the store before it runs. The report comes from the cache after the first time. Findings over the
/// gate give a one-line warning, or, where the policy says so, a failure with exit code 3 (4 when it cannot be decided).
///
/// `name` is the image as the person named it. With `[gate] mode = "off"` nothing is read.
pub fn check_before_run(context: &Context, name: &str) -> Result<(), Failure> {
    let settings = &context.settings.gate;
    for remark in &context.settings.remarks {
        output::warn(remark);
    }
    if settings.mode == GateMode::Off {
        return Ok(());
    }
    let decision = match decide(context, name) {
        Ok(Some(decision)) => decision,
        // No such image here: the run itself will say so, or make it.
        Ok(None) => return Ok(()),
        Err(failure) if settings.mode == GateMode::Deny => {
            return Err(Failure::new(format!("image `{name}` could not be scanned before the run: {failure}"))
                .hint("the gate denies what it cannot judge; `--policy off` runs it without")
                .with_exit(Exit::UNDECIDED));
        }
        Err(failure) => {
            output::warn(&format!("image `{name}` could not be scanned before the run: {failure}"));
            return Ok(());
        }
    };
    for note in &decision.exceptions {
        output::warn(&format!("[gate] {note}"));
    }
    judge(name, &decision)?;
    check_rules(context, name)
}

/// `[gate] checks`: audit checks that the image must not fail.
fn check_rules(context: &Context, name: &str) -> Result<(), Failure> {
    let settings = &context.settings.gate;
    if settings.checks.is_empty() {
        return Ok(());
    }
    let store = Store::open(&context.settings.dirs.root)?;
    let Some(image) = store.resolve(name)? else { return Ok(()) };
    let content = || store.layer_dirs(&image).map(|dirs| content::look(&dirs)).map_err(|e| e.to_string());
    let facts = crate::commands::image_facts(&image);
    let now = jiff::Timestamp::now().as_second();
    let results = audit_gate::evaluate_image(&settings.checks, &facts, now, content).map_err(|e| {
        Failure::usage(format!("[gate] checks: {e}")).hint("`stockade audit --list` shows those of images")
    })?;
    let today = scanner::today().to_string();
    let excepted = |check: &CheckResult| {
        settings.exceptions.iter().any(|e| named(&check.meta, &e.id) && e.until.as_ref().is_none_or(|u| *u >= today))
    };
    let of = |answer: Answer| -> Vec<String> {
        let found = results.iter().filter(|c| c.result == answer && !excepted(c));
        found.map(|c| format!("{} ({})", c.meta.id, c.evidence)).collect()
    };
    let (failed, unknown) = (of(Answer::Fail), of(Answer::Unknown));
    let deny = settings.mode == GateMode::Deny;
    let noun = |n: usize| if n == 1 { "check" } else { "checks" };
    if !failed.is_empty() {
        let words = format!("{} {}: {}", failed.len(), noun(failed.len()), with_rest(first(&failed), failed.len()));
        if deny {
            return Err(Failure::new(format!("the gate denies image `{name}`: it fails {words}"))
                .hint(format!("`stockade audit image {name}` shows why each matters and how to mend it"))
                .with_exit(Exit::POLICY));
        }
        output::warn(&format!("image `{name}` fails {words}; `stockade audit image {name}` shows all"));
    }
    if unknown.is_empty() || settings.unknown == UnknownMode::Allow {
        return Ok(());
    }
    let words = format!("{} of image `{name}` cannot be decided: {}", noun(unknown.len()), some_of(&unknown));
    if deny && settings.unknown == UnknownMode::Deny {
        return Err(Failure::new(format!("the gate cannot decide: {words}")).with_exit(Exit::UNDECIDED));
    }
    output::warn(&words);
    Ok(())
}

fn decide(context: &Context, name: &str) -> Result<Option<Decision>, Failure> {
    let store = Store::open(&context.settings.dirs.root)?;
    let Some(image) = store.resolve(name)? else { return Ok(None) };
    let database = scanner::open_database(context, None)?;
    let mut report = scanner::scan_image(context, &store, &image, name, &database, &ScanOptions::default())?;
    let today = scanner::today();
    report.say_age(today);
    // Exceptions for audit checks are none of the scan's.
    let mut settings = context.settings.gate.clone();
    settings.exceptions.retain(|e| !audit_gate::names_image_check(&e.id));
    Ok(Some(gate(&settings, &report, today)))
}

fn judge(name: &str, decision: &Decision) -> Result<(), Failure> {
    let hint =
        format!("`stockade scan {name}` lists them; `[[gate.exception]]` in stockade.toml accepts one with a reason");
    match decision.verdict {
        Verdict::Pass => Ok(()),
        Verdict::Warn if decision.offences.is_empty() && decision.broken.is_empty() => {
            output::warn(&format!("image `{name}`: {}", some_of(&decision.unknown)));
            Ok(())
        }
        Verdict::Warn => {
            output::warn(&format!("image `{name}` has {}; `stockade scan {name}` lists all", offences(decision)));
            Ok(())
        }
        Verdict::Deny => Err(Failure::new(format!("the gate denies image `{name}`: it has {}", offences(decision)))
            .hint(hint)
            .with_exit(Exit::POLICY)),
        Verdict::Undecided => Err(Failure::new(format!(
            "the gate cannot decide about image `{name}`: {}",
            some_of(&decision.unknown)
        ))
        .hint("`stockade db update` renews the facts; `unknown = \"warn\"` under [gate] in stockade.toml lets it run")
        .with_exit(Exit::UNDECIDED)),
    }
}

fn offences(decision: &Decision) -> String {
    let n = decision.offences.len();
    if n == 0 {
        return format!("broken rules of the gate: {}", some_of(&decision.broken));
    }
    let noun = if n == 1 { "finding" } else { "findings" };
    let shown: Vec<String> = decision.offences.iter().take(NAMED).map(ToString::to_string).collect();
    let broken = if decision.broken.is_empty() { String::new() } else { format!("; {}", some_of(&decision.broken)) };
    format!("{n} {noun} over the gate: {}{broken}", with_rest(&shown, n))
}

/// Judges a report by the rules of a file: what is over them goes to stderr, and the exit code says what came of it.
pub fn judge_by(settings: &GateSettings, report: &ScanReport, today: jiff::civil::Date) -> Exit {
    let decision = gate(settings, report, today);
    for note in &decision.exceptions {
        output::warn(&format!("the gate: {note}"));
    }
    if !settings.checks.is_empty() {
        output::warn("the gate: `checks` are asked before a run; `stockade audit image NAME --only …` asks them now");
    }
    let say = |words: &str, lines: &[String]| {
        output::to_stderr(&format!("{words}\n"));
        for line in lines {
            output::to_stderr(&format!("  {}\n", output::printable(line)));
        }
    };
    let mut over: Vec<String> = decision.offences.iter().map(ToString::to_string).collect();
    over.extend(decision.broken.iter().cloned());
    match decision.verdict {
        Verdict::Pass => Exit::DONE,
        Verdict::Warn if over.is_empty() => {
            say("the gate warns, because this is not known:", &decision.unknown);
            Exit::DONE
        }
        Verdict::Warn => {
            say("over the gate, which only warns:", &over);
            Exit::DONE
        }
        Verdict::Deny => {
            say("the gate denies it:", &over);
            Exit::POLICY
        }
        Verdict::Undecided => {
            say("the gate cannot decide, because this is not known:", &decision.unknown);
            Exit::UNDECIDED
        }
    }
}

fn some_of(words: &[String]) -> String {
    with_rest(first(words), words.len())
}

fn first(words: &[String]) -> &[String] {
    words.get(..NAMED.min(words.len())).unwrap_or_default()
}

fn with_rest(shown: &[String], all: usize) -> String {
    let rest = all.saturating_sub(shown.len());
    let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    format!("{}{more}", shown.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_advisory::Severity;
    use stockade_policy::Offence;

    fn decision(verdict: Verdict, n: usize) -> Decision {
        let offence = |i: usize| Offence {
            id: format!("CVE-2026-{i}"),
            package: "openssl".into(),
            installed: "1".into(),
            fixed: Some("2".into()),
            severity: Severity::Critical,
            exploited: i == 0,
        };
        Decision {
            verdict,
            offences: (0..n).map(offence).collect(),
            broken: vec![],
            unknown: vec!["no facts".into()],
            exceptions: vec![],
        }
    }

    #[test]
    fn the_exit_code_tells_denied_from_undecided() {
        assert!(judge("x", &decision(Verdict::Pass, 0)).is_ok());
        assert!(judge("x", &decision(Verdict::Warn, 2)).is_ok());
        assert_eq!(judge("x", &decision(Verdict::Deny, 2)).unwrap_err().exit(), Exit::POLICY);
        assert_eq!(judge("x", &decision(Verdict::Undecided, 0)).unwrap_err().exit(), Exit::UNDECIDED);
    }

    #[test]
    fn the_message_names_the_findings() {
        assert_eq!(
            offences(&decision(Verdict::Deny, 5)),
            "5 findings over the gate: CVE-2026-0 (critical, exploited) in openssl 1, fixed in 2; CVE-2026-1 (critical) in openssl 1, fixed in 2; CVE-2026-2 (critical) in openssl 1, fixed in 2; and 2 more"
        );
    }
}
