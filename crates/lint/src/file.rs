//! What rules look at: the parsed file, its stages, and the commands of its shell scripts.

use std::collections::BTreeSet;

use stockade_dockerfile::ast::{CommandLine, Dockerfile, From, Instruction, Kind, Run, Stage, Word};

use crate::options::Options;
use crate::shell::tree::SyntaxError;
use crate::shell::{self, Command, Text, Tree};

/// The shell language of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// POSIX only: what `/bin/sh` may be.
    Sh,
    /// dash: POSIX, and `local`.
    Dash,
    /// BusyBox' shell: POSIX, and some of bash.
    Busybox,
    /// bash, or ksh, which is near enough.
    Bash,
}

impl Dialect {
    /// By the program of `SHELL`; `None` for shells that are none of these.
    fn of(program: &str) -> Option<Dialect> {
        Some(match shell_name(program).as_str() {
            "sh" => Dialect::Sh,
            "dash" => Dialect::Dash,
            "ash" | "busybox" => Dialect::Busybox,
            "bash" | "ksh" => Dialect::Bash,
            _ => return None,
        })
    }
}

/// A shell script of the file.
#[derive(Debug)]
pub struct Script {
    /// Its shape.
    pub tree: Tree,
    /// Its language.
    pub dialect: Dialect,
    /// Variables that are set outside of it: by `ENV`, `ARG` and the builder.
    pub known: BTreeSet<String>,
    /// Those of them whose value has no spaces and no patterns.
    pub clean: BTreeSet<String>,
    /// Byte offsets in the file: start and end.
    pub place: (usize, usize),
    /// It is the body of a heredoc, and not what stands in an instruction.
    pub heredoc: bool,
}

/// A Dockerfile with everything that rules ask for worked out once.
#[derive(Debug)]
pub struct File<'d> {
    /// The tree.
    pub dockerfile: &'d Dockerfile,
    /// Settings of rules.
    pub options: &'d Options,
    /// Commands by instruction; empty for those that run no shell script.
    commands: Vec<Vec<Command>>,
    /// By instruction, too: which of `scripts` stands in it directly.
    own: Vec<Option<usize>>,
    scripts: Vec<Script>,
    /// Byte offset of each line.
    lines: Vec<usize>,
}

impl<'d> File<'d> {
    /// Reads all shell scripts of the file.
    pub fn new(dockerfile: &'d Dockerfile, options: &'d Options) -> File<'d> {
        let text = &dockerfile.text;
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        let mut reader = Reader {
            dockerfile,
            posix: true,
            dialect: Some(Dialect::Sh),
            known: predefined(),
            clean: BTreeSet::new(),
            scripts: Vec::new(),
            as_hadolint: options.as_hadolint,
        };
        let mut commands = Vec::with_capacity(dockerfile.instructions.len());
        let mut own = Vec::with_capacity(dockerfile.instructions.len());
        for instruction in &dockerfile.instructions {
            let before = reader.scripts.len();
            commands.push(reader.read(instruction));
            own.push((reader.scripts.len() > before).then_some(before));
        }
        let scripts = reader.scripts;
        File { dockerfile, options, commands, own, scripts, lines }
    }

    /// Every script that a shell could read, in order.
    pub fn scripts(&self) -> impl Iterator<Item = &Script> {
        self.scripts.iter().filter(|s| s.tree.error.is_none())
    }

    /// Every script that a shell would refuse, and why.
    pub fn broken_scripts(&self) -> impl Iterator<Item = (&Script, &SyntaxError)> {
        self.scripts.iter().filter_map(|s| Some((s, s.tree.error.as_ref()?)))
    }

    /// The script that stands directly in instruction number `index`.
    pub fn script_of(&self, index: usize) -> Option<&Script> {
        self.scripts.get(self.own.get(index).copied().flatten()?)
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

/// A program's name without its directory and `.exe`, in lower case.
fn shell_name(program: &str) -> String {
    let name = program.rsplit(['/', '\\']).next().unwrap_or("").to_ascii_lowercase();
    name.strip_suffix(".exe").map_or(name.clone(), str::to_owned)
}

/// Whether the program of `SHELL` reads POSIX shell scripts.
fn is_posix_shell(program: &str) -> bool {
    ["sh", "bash", "dash", "ash", "ksh", "zsh", "busybox"].contains(&shell_name(program).as_str())
}

/// Variables that a builder sets in every step that asks for them (BuildKit's predefined arguments), and the shell's own.
fn predefined() -> BTreeSet<String> {
    let names = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];
    names.iter().flat_map(|n| [(*n).to_owned(), n.to_ascii_uppercase()]).collect()
}

/// Goes through the instructions, and remembers what the scripts depend on.
struct Reader<'d> {
    dockerfile: &'d Dockerfile,
    posix: bool,
    dialect: Option<Dialect>,
    known: BTreeSet<String>,
    clean: BTreeSet<String>,
    scripts: Vec<Script>,
    as_hadolint: bool,
}

impl Reader<'_> {
    /// The commands of an instruction; its scripts are put away.
    fn read(&mut self, instruction: &Instruction) -> Vec<Command> {
        let instruction = match &instruction.kind {
            Kind::Onbuild(trigger) => trigger.as_ref(),
            _ => instruction,
        };
        if self.as_hadolint && matches!(instruction.kind, Kind::Env(_) | Kind::Arg(_)) {
            // hadolint 2.15.1 forgets SHELL at the next variable.
            (self.posix, self.dialect) = (true, Some(Dialect::Sh));
        }
        match &instruction.kind {
            Kind::From(_) => {
                (self.posix, self.dialect, self.known) = (true, Some(Dialect::Sh), predefined());
                self.clean.clear();
            }
            Kind::Shell(words) => {
                self.posix = words.first().is_none_or(|w| is_posix_shell(&w.value));
                self.dialect = words.first().map_or(Some(Dialect::Sh), |w| Dialect::of(&w.value));
            }
            Kind::Env(pairs) => pairs.iter().for_each(|p| self.set(&p.key.value, Some(&p.value.value))),
            Kind::Arg(arguments) => {
                arguments.iter().for_each(|a| self.set(&a.name.value, a.value.as_ref().map(|v| v.value.as_str())))
            }
            Kind::Run(run) => return self.run(instruction, run),
            _ => {}
        }
        Vec::new()
    }

    fn set(&mut self, name: &str, value: Option<&str>) {
        self.known.insert(name.to_owned());
        // The value of an argument is its giver's: it is taken for plain unless its default is not.
        let plain = value.is_none_or(|v| !v.contains(|c: char| c.is_whitespace() || "$*?[\\".contains(c)));
        if plain {
            self.clean.insert(name.to_owned());
        } else {
            self.clean.remove(name);
        }
    }

    fn run(&mut self, instruction: &Instruction, run: &Run) -> Vec<Command> {
        if let CommandLine::Exec(words) = &run.command {
            return vec![exec_command(words)];
        }
        if !self.posix {
            return Vec::new();
        }
        let span = instruction.arguments.span;
        let file = self.dockerfile;
        let text = Text::instruction(&file.text, span.start.offset, span.end.offset, file.escape);
        let mut out = shell::commands(&text);
        // hadolint sees no commands in a script that cannot be read to its end.
        if self.as_hadolint && shell::parse(&text).error.is_some() {
            self.keep(&text, self.dialect.unwrap_or(Dialect::Sh), (span.start.offset, span.end.offset), false);
            return Vec::new();
        }
        // `RUN <<EOF` is a script for the shell; `RUN python3 <<EOF` is not, and `RUN sh <<EOF` is.
        let bare = out.iter().all(|c| c.words.is_empty()) && !instruction.heredocs.is_empty();
        let given = out.first().map(|c| c.name().to_owned()).filter(|n| is_posix_shell(n));
        if !bare && let Some(dialect) = self.dialect {
            self.keep(&text, dialect, (span.start.offset, span.end.offset), false);
        }
        if bare || given.is_some() {
            let own = given.as_deref().map_or(self.dialect, Dialect::of);
            for heredoc in &instruction.heredocs {
                let interpreter = heredoc.content.lines().next().and_then(|l| l.strip_prefix("#!")).map(str::trim);
                let named = interpreter.map(|i| i.split_whitespace().find(|w| is_posix_shell(w)));
                if named == Some(None) {
                    continue;
                }
                let text = Text::script(&heredoc.content, heredoc.body.start.offset);
                out.extend(shell::commands(&text));
                if let Some(dialect) = named.flatten().map_or(own, Dialect::of) {
                    self.keep(&text, dialect, (heredoc.body.start.offset, heredoc.body.end.offset), true);
                }
            }
        }
        out
    }

    fn keep(&mut self, text: &Text, dialect: Dialect, place: (usize, usize), heredoc: bool) {
        let (known, clean) = (self.known.clone(), self.clean.clone());
        self.scripts.push(Script { tree: shell::parse(text), dialect, known, clean, place, heredoc });
    }
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
            pieces: Vec::new(),
            start: w.span.start.offset,
            end: w.span.end.offset,
        })
        .collect();
    Command { words, assignments: Vec::new(), redirects: Vec::new(), join: shell::Join::First, depth: 0 }
}
