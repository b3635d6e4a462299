//! `lint --explain` and `lint --list`.

use stockade_lint::find;

use super::Format;
use crate::failure::{Exit, Failure};
use crate::{Outcome, output};

/// What to say where no rule has a name.
pub fn unknown(name: &str) -> Failure {
    let names = stockade_lint::all().iter().flat_map(|r| r.refs.iter().copied().chain([r.id]));
    let near = stockade_config::nearest(name, names).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    Failure::usage(format!("no rule is called `{name}`{near}")).hint("`stockade lint --list` shows all rules")
}

/// Everything about one rule.
pub fn explain(id: &str) -> Outcome {
    let Some(rule) = find(id) else { return Err(unknown(id)) };
    let style = output::Style::stdout();
    let mut out = format!(
        "{} ({}), {}{}\n\n",
        style.bold(rule.id),
        rule.refs.join(", "),
        rule.severity.name(),
        if rule.default { "" } else { ", off by default" }
    );
    out.push_str(&format!("Finds:   {}\nWhy:     {}\nInstead: {}\n", rule.finds, rule.why, rule.instead));
    for (title, cases) in [("Found", rule.bad), ("Not found", rule.good)] {
        out.push_str(&format!("\n{title}:\n"));
        for case in cases {
            for line in case.lines() {
                out.push_str(&format!("    {line}\n"));
            }
            out.push('\n');
        }
    }
    output::to_stdout(&out)?;
    Ok(Exit::DONE)
}

/// All rules.
pub fn list(format: Format) -> Outcome {
    match format {
        Format::Json => {
            let rules: Vec<_> = stockade_lint::all()
                .iter()
                .map(|r| serde_json::json!({"id": r.id, "refs": r.refs, "severity": r.severity, "default": r.default, "finds": r.finds, "why": r.why, "instead": r.instead}))
                .collect();
            output::json(&serde_json::json!({"schema": "stockade.lint-rules/v1", "rules": rules}))?;
        }
        Format::Markdown => output::to_stdout(&stockade_lint::docs::markdown())?,
        _ => {
            let mut table = output::Table::new(["ID", "REFERENCES", "SEVERITY", "FINDS"]).shrink(3);
            for r in stockade_lint::all() {
                let severity =
                    if r.default { r.severity.name().to_owned() } else { format!("{} (off)", r.severity.name()) };
                table.row([r.id.to_owned(), r.refs.join(", "), severity, r.finds.to_owned()]);
            }
            table.print()?;
        }
    }
    Ok(Exit::DONE)
}
