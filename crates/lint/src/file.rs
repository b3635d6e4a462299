//! What rules look at: the parsed file, its stages, and the commands of its shell scripts.

use stockade_dockerfile::ast::{CommandLine, Dockerfile, From, Instruction, Kind, Run, Stage, Word};

use crate::options::Options;
use crate::shell::{self, Command, Text};

/// A Dockerfile with everything that rules ask for worked out once.
#[derive(Debug)]
pub struct File<'d> {
    /// The tree.
    pub dockerfile: &'d Dockerfile,
    /// Settings of rules.
    pub options: &'d Options,
    /// Commands by instruction; empty for those that run no shell script.
    commands: Vec<Vec<Command>>,
    /// Byte offset of each line.
    lines: Vec<usize>,
}

impl<'d> File<'d> {
    /// Reads all shell scripts of the file.
    pub fn new(dockerfile: &'d Dockerfile, options: &'d Options) -> File<'d> {
        let text = &dockerfile.text;
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        let mut posix = true;
        let commands = dockerfile
            .instructions
            .iter()
            .map(|instruction| {
                match &instruction.kind {
                    Kind::From(_) => posix = true,
                    Kind::Shell(words) => posix = words.first().is_none_or(|w| is_posix_shell(&w.value)),
                    _ => {}
                }
                script_of(dockerfile, instruction, posix)
            })
            .collect();
        File { dockerfile, options, commands, lines }
    }

    /// 1-based line and column (in characters) of a byte offset.
    pub fn place(&self, offset: usize) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.dockerfile.text.get(start..offset).map_or(0, |s| s.chars().count());
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column + 1).unwrap_or(u32::MAX))
    }

    /// Every instruction of the file in order, triggers of `ONBUILD` in place of their `ONBUILD`.
    pub fn instructions(&self) -> impl Iterator<Item = &'d Instruction> {
        self.dockerfile.instructions.iter().map(|i| match &i.kind {
            Kind::Onbuild(trigger) => trigger.as_ref(),
            _ => i,
        })
    }

    /// Every `RUN` in shell form (or with a heredoc) and its commands, triggers of `ONBUILD` included.
    pub fn runs(&self) -> impl Iterator<Item = RunView<'d, '_>> {
        self.instructions().zip(&self.commands).enumerate().filter_map(|(index, (instruction, commands))| {
            match &instruction.kind {
                Kind::Run(run) => Some(RunView {
                    index,
                    instruction,
                    run,
                    commands,
                    onbuild: self
                        .dockerfile
                        .instructions
                        .get(index)
                        .is_some_and(|i| matches!(i.kind, Kind::Onbuild(_))),
                }),
                _ => None,
            }
        })
    }

    /// Stages, each with its `FROM`.
    pub fn stages(&self) -> impl Iterator<Item = (&'d Stage, &'d From, &'d [Instruction])> {
        self.dockerfile.stages.iter().filter_map(|stage| {
            let instructions = self.dockerfile.stage_instructions(stage);
            match &instructions.first()?.kind {
                Kind::From(from) => Some((stage, from, instructions)),
                _ => None,
            }
        })
    }

    /// The stage that holds instruction number `index`.
    pub fn stage_of(&self, index: usize) -> Option<&'d Stage> {
        self.dockerfile.stages.iter().find(|s| s.instructions.contains(&index))
    }

    /// Whether `name` is the alias of a stage.
    pub fn is_stage(&self, name: &str) -> bool {
        self.dockerfile.stages.iter().any(|s| s.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)))
    }
}

/// A `RUN` with its commands.
#[derive(Debug, Clone, Copy)]
pub struct RunView<'d, 'f> {
    /// Position of the instruction in the file.
    pub index: usize,
    /// The instruction.
    pub instruction: &'d Instruction,
    /// Its meaning.
    pub run: &'d Run,
    /// Its commands (one in exec form); none where the script is for a shell that is not POSIX.
    pub commands: &'f [Command],
    /// It is a trigger, and no step of this build.
    pub onbuild: bool,
}

impl RunView<'_, '_> {
    /// Whether a cache or tmpfs mount covers a path, so that what is written there never reaches the layer.
    pub fn mounted(&self, path: &str) -> bool {
        self.run.mounts.iter().any(|m| {
            let field = |names: &[&str]| {
                m.fields.iter().find(|(k, _)| names.contains(&k.as_str())).and_then(|(_, v)| v.as_deref())
            };
            let kind = field(&["type"]).unwrap_or("bind");
            let target = field(&["target", "dst", "destination"]).unwrap_or("").trim_end_matches('/');
            let path = path.trim_end_matches('/');
            ["cache", "tmpfs"].contains(&kind)
                && !target.is_empty()
                && (path == target || path.strip_prefix(target).is_some_and(|rest| rest.starts_with('/')))
        })
    }
}

/// Whether the program of `SHELL` reads POSIX shell scripts.
fn is_posix_shell(program: &str) -> bool {
    let name = program.rsplit(['/', '\\']).next().unwrap_or("").to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    ["sh", "bash", "dash", "ash", "ksh", "zsh", "busybox"].contains(&name)
}

fn script_of(dockerfile: &Dockerfile, instruction: &Instruction, posix: bool) -> Vec<Command> {
    let instruction = match &instruction.kind {
        Kind::Onbuild(trigger) => trigger.as_ref(),
        _ => instruction,
    };
    let Kind::Run(Run { command, .. }) = &instruction.kind else { return Vec::new() };
    if let CommandLine::Exec(words) = command {
        return vec![exec_command(words)];
    }
    if !posix {
        return Vec::new();
    }
    let span = instruction.arguments.span;
    let mut out =
        shell::commands(&Text::instruction(&dockerfile.text, span.start.offset, span.end.offset, dockerfile.escape));
    // `RUN <<EOF` is a script for the shell; `RUN python3 <<EOF` is not, and `RUN sh <<EOF` is.
    let lone = out.iter().all(|c| c.words.is_empty()) || out.first().is_some_and(|c| is_posix_shell(c.name()));
    if lone {
        for heredoc in &instruction.heredocs {
            let interpreter = heredoc.content.lines().next().and_then(|l| l.strip_prefix("#!")).map(str::trim);
            let shell = interpreter.is_none_or(|i| i.split_whitespace().any(is_posix_shell));
            if shell {
                out.extend(shell::commands(&Text::script(&heredoc.content, heredoc.body.start.offset)));
            }
        }
    }
    out
}

/// An exec form as a command: its words are final.
fn exec_command(words: &[Word]) -> Command {
    let words = words
        .iter()
        .map(|w| shell::Word {
            raw: w.value.clone(),
            text: w.value.clone(),
            expands: false,
            quoted: true,
            start: w.span.start.offset,
            end: w.span.end.offset,
        })
        .collect();
    Command { words, assignments: Vec::new(), redirects: Vec::new(), join: shell::Join::First, depth: 0 }
}
