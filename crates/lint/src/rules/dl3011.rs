//! `invalid-port`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "invalid-port",
    refs: &["DL3011"],
    severity: Severity::Error,
    default: true,
    finds: "An EXPOSE port above 65535.",
    why: "There is no such port.",
    instead: "Use a port from 0 to 65535.",
    bad: &["FROM a:1\nEXPOSE 80000\n", "FROM a:1\nEXPOSE 40000-80000/tcp\n"],
    good: &["FROM a:1\nEXPOSE 80/tcp $PORT 60000-65535\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::Expose(words) = &instruction.kind else { continue };
            for word in words {
                let ports = word.value.split('/').next().unwrap_or("");
                if ports.split('-').any(|p| p.parse::<u64>().is_ok_and(|n| n > 65535)) {
                    out.word(word, format!("`{ports}` is no port"));
                }
            }
        }
    },
};
