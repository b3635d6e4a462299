//! `invalid-label-key`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "invalid-label-key",
    refs: &["DL3048"],
    severity: Severity::Style,
    default: true,
    finds: "A label whose name breaks docker's rules.",
    why: "Tools that read labels may not find it, or confuse it with docker's own.",
    instead: "Use lower-case letters, digits, dots and dashes, and none of docker's own prefixes.",
    bad: &["FROM a:1\nLABEL UPPER=x\n", "FROM a:1\nLABEL com.docker.x=y\n", "FROM a:1\nLABEL a..b=c\n", "FROM a:1\nLABEL -a=b\n"],
    good: &["FROM a:1\nLABEL org.example.my-label=x a=b\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::Label(pairs) = &instruction.kind else { continue };
            for pair in pairs {
                let key = pair.key.value.trim_matches(['"', '\'']);
                let reserved = ["com.docker.", "io.docker.", "org.dockerproject."].iter().any(|p| key.starts_with(p));
                let letters = key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-');
                let ends = key.starts_with(|c: char| c.is_ascii_lowercase()) && key.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
                if reserved || !letters || !ends || key.contains("..") || key.contains("--") {
                    out.word(&pair.key, format!("label `{key}` breaks the rules for names"));
                }
            }
        }
    },
};
