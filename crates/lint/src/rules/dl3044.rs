//! `env-uses-itself`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "env-uses-itself",
    refs: &["DL3044"],
    severity: Severity::Error,
    default: true,
    finds: "An ENV that uses a variable set in the same instruction.",
    why: "The value from before the instruction is taken, not the new one.",
    instead: "Use two ENV instructions.",
    bad: &["FROM a:1\nENV X=1 Y=$X\n", "FROM a:1\nENV X=1 Y=${X}/b\n"],
    good: &["FROM a:1\nENV X=1\nENV Y=$X\n", "FROM a:1\nENV X=1 Y=$XY\n", "FROM a:1\nENV PATH=/x:$PATH\n", "FROM a:1\nARG X\nENV X=$X Y=1\n"],
    test: |file, out| {
        let mut defined: Vec<String> = Vec::new();
        for instruction in file.instructions() {
            match &instruction.kind {
                // hadolint remembers the variables of earlier stages.
                Kind::From(_) if !file.options.as_hadolint => defined.clear(),
                Kind::Arg(list) => defined.extend(list.iter().map(|a| a.name.value.clone())),
                Kind::Env(pairs) => {
                    for pair in pairs {
                        let other = pairs.iter().find(|o| o.key.value != pair.key.value && !defined.contains(&o.key.value) && uses(&pair.value.value, &o.key.value));
                        if let Some(other) = other {
                            out.word(&pair.value, format!("`{}` has its value from before this instruction", other.key.value));
                            break;
                        }
                    }
                    defined.extend(pairs.iter().map(|p| p.key.value.clone()));
                }
                _ => {}
            }
        }
    },
};

fn uses(value: &str, name: &str) -> bool {
    if value.starts_with('\'') {
        return false;
    }
    value.match_indices('$').any(|(i, _)| {
        let escaped = i > 0 && value.as_bytes().get(i - 1) == Some(&b'\\');
        let rest = value.get(i + 1..).unwrap_or("");
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        !escaped && rest.strip_prefix(name).is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    })
}
