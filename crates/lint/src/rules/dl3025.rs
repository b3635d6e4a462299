//! `shell-form-command`

use stockade_dockerfile::ast::{CommandLine, Healthcheck, Kind};

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "shell-form-command",
    refs: &["DL3025", "JSONArgsRecommended"],
    severity: Severity::Warning,
    default: true,
    finds: "CMD or ENTRYPOINT that is not a JSON array.",
    why: "A shell stands between docker and the program: signals do not reach it.",
    instead: "Write [\"program\", \"argument\"].",
    bad: &["FROM a:1\nCMD run it\n", "FROM a:1\nENTRYPOINT run\n"],
    good: &["FROM a:1\nCMD [\"run\", \"it\"]\n", "FROM a:1\nENTRYPOINT []\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let word = match &instruction.kind {
                Kind::Cmd(CommandLine::Shell(word)) | Kind::Entrypoint(CommandLine::Shell(word)) => word,
                Kind::Healthcheck(Healthcheck::Check { command: CommandLine::Shell(word), .. }) if file.options.as_hadolint => word,
                _ => continue,
            };
            out.word(word, format!("{} in shell form", instruction.name()));
            // Only a line without shell syntax means the same as an array.
            let plain = word.value.chars().all(|c| c.is_ascii_alphanumeric() || " _-./=:,@+".contains(c));
            let first_is_program = !word.value.split(' ').next().unwrap_or("").contains('=');
            if plain && first_is_program && instruction.heredocs.is_empty() {
                let words: Vec<String> = word.value.split_whitespace().map(|w| format!("\"{w}\"")).collect();
                out.replace(word.span.start.offset, word.span.end.offset, format!("[{}]", words.join(", ")));
            }
        }
    },
};
