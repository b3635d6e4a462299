//! `user-never-used`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "user-never-used",
    refs: &["CIS-4.1"],
    severity: Severity::Warning,
    default: true,
    finds: "A user that the last stage makes, and never switches to.",
    why: "The program runs as root, although a user for it is there.",
    instead: "Add USER before CMD.",
    bad: &["FROM a:1\nRUN useradd -r app\nCMD [\"x\"]\n", "FROM a:1\nRUN adduser -D -H app\nEXPOSE 80\nENTRYPOINT [\"x\"]\n", "FROM a:1\nRUN useradd -r app\n"],
    good: &["FROM a:1\nRUN useradd -r app\nUSER app\nCMD [\"x\"]\n", "FROM a:1\nCMD [\"x\"]\n", "FROM a:1\nRUN useradd \"$X\"\nCMD [\"x\"]\n", "FROM a:1 AS b\nRUN useradd -r app\nFROM c:1\nCOPY --from=b /etc/passwd /etc/\n"],
    test: |file, out| {
        let Some((stage, from, instructions)) = file.stages().last() else { return };
        if instructions.iter().any(|i| matches!(i.kind, Kind::User(_))) || file.is_stage(&from.image.value) {
            return;
        }
        let runs = file.runs().filter(|r| stage.instructions.contains(&r.index) && !r.onbuild);
        let made = runs.flat_map(|r| r.commands).filter_map(|c| {
            let known = matches!(c.name(), "useradd" | "adduser");
            c.words.last().filter(|w| known && c.words.len() > 1 && is_user(&w.text) && !w.expands).map(|w| (c, w.text.clone()))
        });
        let Some((command, name)) = made.last() else { return };
        out.command(command, format!("`{name}` is made, and root runs the program"));
        // Before the instructions at the end that only say how the image is run: no step runs as another user than before.
        let rest = instructions.iter().rev().take_while(|i| {
            matches!(i.kind, Kind::Cmd(_) | Kind::Entrypoint(_) | Kind::Expose(_) | Kind::Label(_) | Kind::Healthcheck(_) | Kind::Stopsignal(_))
        });
        match rest.last() {
            Some(first) => out.insert(first.span.start.offset, format!("USER {name}\n")),
            None => {
                let end = instructions.last().map_or(0, |i| i.span.end.offset);
                out.insert(end, format!("\nUSER {name}"));
            }
        }
    },
};

/// Names that useradd(8) takes.
fn is_user(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}
