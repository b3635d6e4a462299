//! `world-writable`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "world-writable",
    refs: &["SD1003"],
    severity: Severity::Warning,
    default: true,
    finds: "Files that everybody may write: chmod 777.",
    why: "Any process in the container can change them.",
    instead: "Give the rights that are needed to the user that needs them.",
    bad: &["FROM a:1\nRUN chmod -R 777 /app\n", "FROM a:1\nRUN chmod a+w /x\n", "FROM a:1\nCOPY --chmod=0666 a /b\n"],
    good: &["FROM a:1\nRUN chmod 755 /app\n", "FROM a:1\nRUN chmod 1777 /tmp\n", "FROM a:1\nRUN chmod +x /x\n"],
    test: |file, out| {
        for run in file.runs() {
            for c in run.commands.iter().filter(|c| c.name() == "chmod") {
                if let Some(mode) = c.arguments().iter().find(|w| !w.text.starts_with('-')).filter(|w| is_open(&w.text)) {
                    out.shell(mode, format!("mode `{}` lets everybody write", mode.text));
                }
            }
        }
        for instruction in file.instructions() {
            let mode = match &instruction.kind {
                Kind::Copy(c) => c.chmod.as_ref(),
                Kind::Add(a) => a.chmod.as_ref(),
                _ => None,
            };
            if let Some(mode) = mode.filter(|m| is_open(&m.value)) {
                out.word(mode, format!("mode `{}` lets everybody write", mode.value));
            }
        }
    },
};

/// Whether others may write, and the sticky bit does not guard it.
fn is_open(mode: &str) -> bool {
    if let Ok(bits) = u32::from_str_radix(mode, 8) {
        return mode.len() >= 3 && bits & 0o002 != 0 && bits & 0o1000 == 0;
    }
    mode.split(',').any(|part| {
        let who_end = part.find(['+', '=', '-']).unwrap_or(0);
        let (who, what) = part.split_at(who_end);
        // Without a "who" the umask keeps the write bit from others.
        !what.starts_with('-') && what.contains('w') && (who.contains('a') || who.contains('o')) && !what.contains('t')
    })
}
