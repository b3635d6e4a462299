//! The tree that a Dockerfile becomes. Public and stable: the builder and the linter both stand on it.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::mount::MountFlag;
use crate::span::{Span, Spanned};

/// A word of the file. The value is the text with line continuations removed, but *not* yet expanded: quotes,
/// escapes and `$variables` are still in it, except in words of a JSON array, which are final.
pub type Word = Spanned<String>;

/// A whole file.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// Name for messages, as given by the caller.
    pub file: String,
    /// The text, without a byte order mark. Offsets of [`Span`]s refer to it.
    pub text: Arc<str>,
    /// Escape character: `\`, or `` ` `` when the `escape` directive says so.
    pub escape: char,
    /// Parser directives, in file order.
    pub directives: Vec<Directive>,
    /// Every comment, also those inside continued instructions, in file order. Directives are not among them.
    pub comments: Vec<Comment>,
    /// Every instruction, in file order.
    pub instructions: Vec<Instruction>,
    /// Build stages, in file order.
    pub stages: Vec<Stage>,
    /// What is allowed but unwise.
    pub warnings: Vec<Diagnostic>,
}

impl Dockerfile {
    /// The instructions before the first `FROM`: in a valid file, only `ARG`.
    pub fn preamble(&self) -> &[Instruction] {
        let end = self.stages.first().map_or(self.instructions.len(), |s| s.instructions.start);
        self.instructions.get(..end).unwrap_or_default()
    }

    /// The instructions of a stage; its `FROM` is the first.
    pub fn stage_instructions(&self, stage: &Stage) -> &[Instruction] {
        self.instructions.get(stage.instructions.clone()).unwrap_or_default()
    }

    /// The value of a directive: `syntax`, `escape` or `check`.
    pub fn directive(&self, name: &str) -> Option<&Directive> {
        self.directives.iter().find(|d| d.name.value == name)
    }
}

/// `# name=value` at the top of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// In lower case.
    pub name: Word,
    /// Trimmed.
    pub value: Word,
    /// The whole line.
    pub span: Span,
}

/// A `#` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Text after `#`, trimmed.
    pub text: String,
    /// From `#` to the end of the line.
    pub span: Span,
}

/// A build stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Position among the stages, from 0.
    pub index: usize,
    /// Name after `AS`, in lower case.
    pub name: Option<String>,
    /// Indices into [`Dockerfile::instructions`]; the first is the `FROM`.
    pub instructions: Range<usize>,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// The instruction word as written (`run`, `RUN`).
    pub keyword: Word,
    /// Everything: from the instruction word to the end of the last line, heredoc bodies included.
    pub span: Span,
    /// Flags in file order, as written; the typed values are in [`Instruction::kind`].
    pub flags: Vec<Flag>,
    /// What follows the flags, with continuations joined; the span covers the raw text.
    pub arguments: Word,
    /// The whole instruction in one line, trimmed: what docker shows and stores for `ONBUILD`.
    pub original: String,
    /// Heredocs of the line, in order.
    pub heredocs: Vec<Heredoc>,
    /// Indices into [`Dockerfile::comments`] of the comment lines right before it.
    pub comments: Range<usize>,
    /// What it means.
    pub kind: Kind,
}

impl Instruction {
    /// The instruction word in upper case.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }
}

/// `--name` or `--name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Without the dashes.
    pub name: Word,
    /// With quotes and backslashes already removed, as BuildKit does for flags; variables not expanded.
    pub value: Option<Word>,
    /// All of it.
    pub span: Span,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter without quotes.
    pub name: String,
    /// The `<<NAME` word in the instruction.
    pub marker: Word,
    /// The body as written, each line with its line end.
    pub content: String,
    /// Where the body is, without the line of the end delimiter.
    pub body: Span,
    /// `<<-`: tabs at the start of lines are removed.
    pub chomp: bool,
    /// The delimiter had no quotes: variables are expanded in `COPY` and `ADD`.
    pub expand: bool,
    /// File descriptor before `<<` (0 when none).
    pub descriptor: u32,
}

impl Heredoc {
    /// The body, without leading tabs where `<<-` asks for it.
    pub fn data(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// What an instruction means.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Kind {
    Add(Add),
    Arg(Vec<ArgDeclaration>),
    Cmd(CommandLine),
    Copy(Copy),
    Entrypoint(CommandLine),
    Env(Vec<Pair>),
    Expose(Vec<Word>),
    From(From),
    Healthcheck(Healthcheck),
    Label(Vec<Pair>),
    Maintainer(Word),
    /// The trigger; its own spans are exact.
    Onbuild(Box<Instruction>),
    Run(Run),
    Shell(Vec<Word>),
    Stopsignal(Word),
    User(Word),
    Volume(Vec<Word>),
    Workdir(Word),
}

impl Kind {
    /// The instruction word in upper case.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Add(_) => "ADD",
            Kind::Arg(_) => "ARG",
            Kind::Cmd(_) => "CMD",
            Kind::Copy(_) => "COPY",
            Kind::Entrypoint(_) => "ENTRYPOINT",
            Kind::Env(_) => "ENV",
            Kind::Expose(_) => "EXPOSE",
            Kind::From(_) => "FROM",
            Kind::Healthcheck(_) => "HEALTHCHECK",
            Kind::Label(_) => "LABEL",
            Kind::Maintainer(_) => "MAINTAINER",
            Kind::Onbuild(_) => "ONBUILD",
            Kind::Run(_) => "RUN",
            Kind::Shell(_) => "SHELL",
            Kind::Stopsignal(_) => "STOPSIGNAL",
            Kind::User(_) => "USER",
            Kind::Volume(_) => "VOLUME",
            Kind::Workdir(_) => "WORKDIR",
        }
    }
}

/// `FROM [--platform=P] IMAGE [AS NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Image or stage; may hold variables.
    pub image: Word,
    /// Name as written after `AS`.
    pub name: Option<Word>,
    /// `--platform`; may hold variables.
    pub platform: Option<Word>,
}

/// The command of `RUN`, `CMD`, `ENTRYPOINT` and `HEALTHCHECK CMD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Given to the stage's shell as it stands.
    Shell(Word),
    /// A JSON array: the words themselves.
    Exec(Vec<Word>),
}

/// `RUN`
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The command; for a lone heredoc, the marker word (the script is in [`Instruction::heredocs`]).
    pub command: CommandLine,
    /// `--mount`, in order.
    pub mounts: Vec<MountFlag>,
    /// `--network`
    pub network: NetworkMode,
    /// `--security`
    pub security: Security,
    /// `--device`, in order, as written.
    pub devices: Vec<Word>,
}

/// Network of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// What the build asked for.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The host's.
    Host,
}

/// Confinement of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    /// As the build asked for.
    #[default]
    Sandbox,
    /// Without confinement; needs the builder's consent.
    Insecure,
}

/// `NAME=value` of `ENV` and `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Key; may hold quotes and variables.
    pub key: Word,
    /// Value; may hold quotes and variables.
    pub value: Word,
    /// The old form `KEY value with spaces`.
    pub legacy: bool,
}

/// `ARG NAME[=value]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDeclaration {
    /// Name.
    pub name: Word,
    /// Default.
    pub value: Option<Word>,
}

/// A source of `COPY` and `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Path, pattern or, for `ADD`, URL.
    Path(Word),
    /// Index into [`Instruction::heredocs`].
    Heredoc(usize),
}

/// `COPY`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Copy {
    pub sources: Vec<Source>,
    pub destination: Word,
    /// Stage, image or build context; no variables are expanded in it.
    pub from: Option<Word>,
    pub chown: Option<Word>,
    pub chmod: Option<Word>,
    pub link: bool,
    pub parents: bool,
    pub exclude: Vec<Word>,
}

/// `ADD`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Add {
    pub sources: Vec<Source>,
    pub destination: Word,
    pub chown: Option<Word>,
    pub chmod: Option<Word>,
    pub checksum: Option<Word>,
    pub link: bool,
    pub keep_git_dir: bool,
    /// `--unpack`: extract remote archives too (`true`) or not even local ones (`false`).
    pub unpack: Option<bool>,
    pub exclude: Vec<Word>,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// Disables one from the base.
    None,
    /// Durations in nanoseconds; 0 means the default.
    #[allow(missing_docs)]
    Check {
        command: CommandLine,
        interval_ns: u64,
        timeout_ns: u64,
        start_period_ns: u64,
        start_interval_ns: u64,
        retries: u32,
    },
}
