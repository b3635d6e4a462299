//! `wget-and-curl`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "wget-and-curl",
    refs: &["DL4001"],
    severity: Severity::Warning,
    default: true,
    finds: "Both wget and curl in one stage.",
    why: "Two tools for one job make the image larger.",
    instead: "Use one of them.",
    bad: &["FROM a:1\nRUN wget -q x\nRUN curl y\n"],
    good: &["FROM a:1\nRUN curl x && curl y\n", "FROM a:1\nRUN curl x\nFROM b:1\nRUN wget -q y\n"],
    test: |file, out| {
        let mut seen: Option<(Option<usize>, &'static str)> = None;
        for run in file.runs() {
            let stage = file.stage_of(run.index).map(|s| s.index);
            for c in run.commands {
                let name = match c.name() {
                    "curl" => "curl",
                    "wget" => "wget",
                    _ => continue,
                };
                match seen {
                    Some((s, other)) if s == stage && other != name => {
                        out.command(c, format!("{name} here, {other} before"));
                        break;
                    }
                    Some((s, _)) if s == stage => {}
                    _ => seen = Some((stage, name)),
                }
            }
        }
    },
};
