//! `consecutive-runs`

use stockade_dockerfile::ast::{Instruction, Kind};

use super::{Rule, Severity};
use crate::file::RunView;
use crate::shell::{Command, Tree};

pub(super) static RULE: Rule = Rule {
    id: "consecutive-runs",
    refs: &["DL3059"],
    severity: Severity::Info,
    default: true,
    finds: "Several RUN instructions in a row.",
    why: "Each is a layer, and what a later one deletes stays in the earlier.",
    instead: "Join them with &&.",
    bad: &["FROM a:1\nRUN a\nRUN b\n"],
    good: &["FROM a:1\nRUN a && b\nRUN c\n", "FROM a:1\nRUN a | b && c\nRUN d && e && f\n", "FROM a:1\nRUN --mount=type=cache,target=/x a\nRUN b\n"],
    test: |file, out| {
        let mut previous: Option<(usize, bool, &Instruction)> = None;
        for run in file.runs() {
            // The head of a loop, a condition and an assignment are no commands of their own.
            let head = |c: &&Command| c.words.is_empty() || ["for", "case", "select", "[", "[["].contains(&c.name());
            let mut commands = run.commands.iter().filter(|c| !head(c)).count();
            if file.options.as_hadolint {
                commands = file.script_of(run.index).map_or(0, |s| named_commands(&s.tree));
            }
            let many = commands > 1 || !run.instruction.heredocs.is_empty() || run.onbuild;
            if let Some((index, was_many, before)) = previous {
                let adjacent = index + 1 == run.index;
                if adjacent && !many && !was_many && before.flags.iter().map(|f| &f.value).eq(run.instruction.flags.iter().map(|f| &f.value)) {
                    out.instruction(run.instruction, "RUN after RUN");
                    join(&run, before, out);
                }
            }
            previous = Some((run.index, many, run.instruction));
        }
    },
};

/// The second becomes a part of the first, if both are plain scripts with nothing between them.
fn join(run: &RunView<'_, '_>, before: &Instruction, out: &mut super::Sink<'_>) {
    let plain = |i: &Instruction| i.heredocs.is_empty() && matches!(&i.kind, Kind::Run(r) if matches!(r.command, stockade_dockerfile::ast::CommandLine::Shell(_)));
    let (from, to) = (before.span.end.offset, run.instruction.arguments.span.start.offset);
    let safe = |i: &Instruction| !i.arguments.value.contains(['#', ';', '&', '|', '(', '<']) && !i.arguments.value.contains("exit") && !i.arguments.value.contains("cd ") && !i.arguments.value.contains("set ") && !i.arguments.value.contains("export ");
    if plain(before) && plain(run.instruction) && run.instruction.flags.is_empty() && run.instruction.comments.is_empty() && safe(before) && safe(run.instruction) {
        out.replace(from, to, " \\\n && ");
    }
}

/// What hadolint counts: commands whose name is written out; none where the script cannot be read.
fn named_commands(tree: &Tree) -> usize {
    let named = |c: &crate::shell::tree::Simple| !c.name().is_empty() && !c.name().starts_with('[');
    if tree.error.is_some() { 0 } else { tree.simple().filter(|(_, c)| named(c)).count() }
}
