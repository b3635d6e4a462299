//! `relative-workdir`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "relative-workdir",
    refs: &["DL3000", "WorkdirRelativePath"],
    severity: Severity::Error,
    default: true,
    finds: "A WORKDIR that is not an absolute path.",
    why: "What it means depends on the WORKDIR before it, which a base image may change.",
    instead: "Write the whole path.",
    bad: &["FROM a:1\nWORKDIR app\n", "FROM a:1\nWORKDIR \"a b\"\n"],
    good: &["FROM a:1\nWORKDIR /app\n", "FROM a:1\nWORKDIR $HOME/x\n", "FROM a:1\nWORKDIR ${X}\n", "FROM a:1\nWORKDIR \"/a b\"\n", "FROM a:1\nWORKDIR c:\\\\x\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::Workdir(word) = &instruction.kind else { continue };
            let path = word.value.trim_matches(['"', '\'']);
            let mut chars = path.chars();
            let drive = chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':');
            if !path.starts_with(['/', '$']) && !drive {
                out.word(word, format!("WORKDIR `{path}` is not absolute"));
            }
        }
    },
};
