//! A shell reader for rules: which commands a script runs, with which words, and where they stand.
//!
//! It reads the POSIX shell language with bash's common additions, never fails, and never recurses without a bound: what it
//! cannot understand becomes a command whose words are as written. It is not an interpreter: variables stay variables.
//! Source: POSIX.1-2024, "Shell Command Language".

mod lexer;
mod parser;
mod text;
pub mod tree;
pub mod variables;

pub use parser::parse;
pub use text::Text;
pub use tree::Tree;

use lexer::{Lexer, Token};

/// Deepest nesting of command substitutions that is looked into.
const MAX_DEPTH: usize = 8;

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As written.
    pub raw: String,
    /// With quotes and escapes removed; expansions are kept as written (`$x`, `$(…)`).
    pub text: String,
    /// Whether a variable, an arithmetic expansion or a command substitution is in it, outside single quotes.
    pub expands: bool,
    /// Whether some of it was quoted.
    pub quoted: bool,
    /// What it is made of, in order.
    pub pieces: Vec<Piece>,
    /// Byte offsets in the file: start and end.
    pub start: usize,
    /// See `start`.
    pub end: usize,
}

/// What a piece of a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// Plain characters.
    Literal,
    /// `\x`
    Escaped,
    /// `'…'`
    Single,
    /// `""`
    Empty,
    /// The dollar sign of `$'…'` and `$"…"`.
    DollarQuote,
    /// `$x` or `${x…}`
    Variable,
    /// `$(…)`
    Command,
    /// `` `…` ``
    Backquotes,
    /// `$((…))`
    Arithmetic,
    /// `<(…)` or `>(…)`
    Process,
    /// `(…)` of an extended pattern or of an array.
    Parentheses,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// Where the double-quoted string begins that it is in (byte offset in the file); `None` outside of such.
    pub string: Option<usize>,
    /// As written.
    pub text: String,
    /// Byte offsets in the file: start and end.
    pub start: usize,
    /// See `start`.
    pub end: usize,
}

impl Piece {
    /// Whether its value is split into words and matched with file names: it expands, and no quote protects it.
    pub fn splits(&self) -> bool {
        self.string.is_none() && matches!(self.kind, PieceKind::Variable | PieceKind::Command | PieceKind::Backquotes)
    }

    /// A variable's name and what follows it in the braces (`:-a`, `%x`, `[0]`). `${#x}` and `${!x}` have `#` and `!` first.
    pub fn variable(&self) -> Option<(&str, &str)> {
        if self.kind != PieceKind::Variable {
            return None;
        }
        let inside = self.text.strip_prefix('$')?;
        let inside = inside.strip_prefix('{').map_or(inside, |i| i.strip_suffix('}').unwrap_or(i));
        let prefix = usize::from(inside.len() > 1 && inside.starts_with(['#', '!']));
        let name = inside.get(prefix..)?;
        let end = match name.chars().next() {
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len())
            }
            Some(c) if c.is_ascii_digit() => name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len()),
            Some(c) => c.len_utf8(),
            None => 0,
        };
        Some((inside.get(..prefix + end)?, inside.get(prefix + end..)?))
    }
}

/// How a command is joined to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// The first of a list.
    First,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `;`, a line break, or a keyword such as `then`.
    Sequence,
    /// `|` or `|&`
    Pipe,
    /// `&`
    Background,
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `>`, `>>`, `<`, `<<`, `2>` …
    pub operator: String,
    /// What follows.
    pub target: Word,
    /// Byte offset of the operator in the file.
    pub start: usize,
}

/// A simple command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; may be empty where there are only assignments.
    pub words: Vec<Word>,
    /// `NAME=value` before the program.
    pub assignments: Vec<Word>,
    /// Redirections.
    pub redirects: Vec<Redirect>,
    /// How it is joined to the command before it.
    pub join: Join,
    /// 0 for the script itself, more inside command substitutions.
    pub depth: usize,
}

impl Command {
    /// The program's name without its directory; empty where there is none.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", |w| w.text.rsplit('/').next().unwrap_or(""))
    }

    /// The words after the program.
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Arguments that are no flags. `--` ends flags.
    pub fn operands(&self) -> Vec<&Word> {
        let mut only_operands = false;
        self.arguments()
            .iter()
            .filter(|w| {
                if only_operands {
                    return true;
                }
                if w.text == "--" {
                    only_operands = true;
                    return false;
                }
                !w.text.starts_with('-') || w.text == "-"
            })
            .collect()
    }

    /// Names of flags without dashes and values: `--yes` → `yes`, `-yq` → `y` and `q`, `-o=x` → `o`.
    pub fn flags(&self) -> Vec<String> {
        let mut out = Vec::new();
        for word in self.arguments() {
            if word.text == "--" {
                break;
            }
            if let Some(long) = word.text.strip_prefix("--") {
                out.push(long.split('=').next().unwrap_or("").to_owned());
            } else if let Some(short) = word.text.strip_prefix('-') {
                out.extend(short.split('=').next().unwrap_or("").chars().map(String::from));
            }
        }
        out
    }

    /// Whether one of the flags is given.
    pub fn has_flag(&self, names: &[&str]) -> bool {
        self.flags().iter().any(|f| names.contains(&f.as_str()))
    }

    /// Whether a word is exactly this text.
    pub fn has_argument(&self, text: &str) -> bool {
        self.arguments().iter().any(|w| w.text == text)
    }
}

/// Every simple command of a script, in order; those inside substitutions follow the command that holds them.
pub fn commands(text: &Text) -> Vec<Command> {
    let mut out = Vec::new();
    read(text, 0, text.len(), 0, &mut out);
    out
}

/// Words that begin or continue a compound command; a command may follow each.
const KEYWORDS: [&str; 12] = ["if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!", "{", "}"];

/// Those that begin one.
const OPENERS: [&str; 5] = ["if", "while", "until", "!", "{"];

fn read(text: &Text, from: usize, to: usize, depth: usize, out: &mut Vec<Command>) {
    let mut reader = Reader { text, depth, out, command: None, join: Join::First, case_depth: 0, in_pattern: false };
    let mut lexer = Lexer::new(text, from, to);
    while let Some(token) = lexer.next() {
        reader.token(token);
    }
    reader.end(Join::Sequence);
}

struct Reader<'t, 'o> {
    text: &'t Text,
    depth: usize,
    out: &'o mut Vec<Command>,
    /// The command being read, with the substitutions in its words.
    command: Option<(Command, Vec<(usize, usize)>)>,
    join: Join,
    /// Open `case` commands.
    case_depth: usize,
    /// Between `in` or `;;` and `)` of a `case`.
    in_pattern: bool,
}

impl Reader<'_, '_> {
    fn token(&mut self, token: Token) {
        match token {
            Token::Word(word, substitutions) => self.word(word, substitutions),
            Token::Redirect(operator, target, substitutions) => {
                // The tree has the operators' places.
                let start = target.start;
                let (command, nested) = self.current();
                command.redirects.push(Redirect { operator, target, start });
                nested.extend(substitutions);
            }
            Token::Operator(operator) => self.operator(operator),
        }
    }

    fn current(&mut self) -> &mut (Command, Vec<(usize, usize)>) {
        let (join, depth) = (self.join, self.depth);
        self.command.get_or_insert_with(|| {
            let command = Command { words: Vec::new(), assignments: Vec::new(), redirects: Vec::new(), join, depth };
            (command, Vec::new())
        })
    }

    fn word(&mut self, word: Word, substitutions: Vec<(usize, usize)>) {
        if self.in_pattern {
            if word.raw == "esac" {
                self.in_pattern = false;
                self.case_depth = self.case_depth.saturating_sub(1);
            }
            return;
        }
        let at_start = self.command.as_ref().is_none_or(|(c, _)| c.words.is_empty() && c.assignments.is_empty());
        if at_start && KEYWORDS.contains(&word.raw.as_str()) {
            // `a && { b; }` and `a | while b`: the compound command hangs on what is before it.
            if !OPENERS.contains(&word.raw.as_str()) {
                self.end(if self.out.is_empty() { Join::First } else { Join::Sequence });
            }
            return;
        }
        if at_start && word.raw == "esac" {
            self.case_depth = self.case_depth.saturating_sub(1);
            return;
        }
        let assignment = word.raw.split_once('=').is_some_and(|(n, _)| is_name(n));
        let (command, nested) = self.current();
        nested.extend(substitutions);
        if assignment && command.words.is_empty() {
            command.assignments.push(word);
            return;
        }
        let opens_case = word.raw == "in" && command.words.len() == 2 && command.name() == "case";
        command.words.push(word);
        if opens_case {
            self.case_depth += 1;
            self.end(Join::Sequence);
            self.in_pattern = true;
        }
    }

    fn operator(&mut self, operator: &'static str) {
        match operator {
            "&&" => self.end(Join::And),
            "||" => self.end(Join::Or),
            "|" | "|&" if !self.in_pattern => self.end(Join::Pipe),
            "&" => self.end(Join::Background),
            ";;" | ";&" | ";;&" => {
                self.end(Join::Sequence);
                self.in_pattern = self.case_depth > 0;
            }
            ")" if self.in_pattern => self.in_pattern = false,
            "|" | "|&" | "(" if self.in_pattern => {}
            _ => self.end(Join::Sequence),
        }
    }

    /// Puts away the command being read; `join` is how the next one hangs on it.
    fn end(&mut self, join: Join) {
        if let Some((command, nested)) = self.command.take() {
            self.out.push(command);
            self.join = join;
            if self.depth < MAX_DEPTH {
                for (from, to) in nested {
                    read(self.text, from, to, self.depth + 1, self.out);
                }
            }
        } else if self.join != Join::First {
            self.join = join;
        }
    }
}

fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('+').unwrap_or(text);
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Vec<Command> {
        commands(&Text::script(text, 0))
    }

    /// Each command as `join:words`, for short tables.
    fn shown(text: &str) -> Vec<String> {
        script(text)
            .iter()
            .map(|c| {
                let join = match c.join {
                    Join::First => "",
                    Join::And => "&&",
                    Join::Or => "||",
                    Join::Sequence => ";",
                    Join::Pipe => "|",
                    Join::Background => "&",
                };
                let words: Vec<&str> = c.words.iter().map(|w| w.text.as_str()).collect();
                format!("{}{join}{}", ">".repeat(c.depth), words.join(" "))
            })
            .collect()
    }

    #[test]
    fn lists_and_pipes() {
        assert_eq!(shown("a -x && b | c; d || e & f\ng"), ["a -x", "&&b", "|c", ";d", "||e", "&f", ";g"]);
    }

    #[test]
    fn compound_commands_yield_their_commands() {
        assert_eq!(shown("if a; then b; else c; fi; d"), ["a", ";b", ";c", ";d"]);
        assert_eq!(shown("for x in 1 2; do echo $x; done"), ["for x in 1 2", ";echo $x"]);
        assert_eq!(
            shown("case $x in a|b) one;; *) two; three;; esac; four"),
            ["case $x in", ";one", ";two", ";three", ";four"]
        );
        assert_eq!(shown("(cd /x && make) && { y; z; }"), ["cd /x", "&&make", "&&y", ";z"]);
        assert_eq!(shown("! grep x f"), ["grep x f"]);
        assert_eq!(shown("ls | while read x; do y; done | z"), ["ls", "|read x", ";y", "|z"]);
        assert_eq!(shown("a || if b; then c; fi"), ["a", "||b", ";c"]);
    }

    #[test]
    fn quotes_escapes_and_comments() {
        assert_eq!(shown("echo 'a b' \"c $d\" e\\ f # not && this"), ["echo a b c $d e f"]);
        assert_eq!(shown("echo a#b"), ["echo a#b"]);
        let c = &script("x '$a' \"$b\" $c")[0];
        assert_eq!(c.words.iter().map(|w| w.expands).collect::<Vec<_>>(), [false, false, true, true]);
    }

    #[test]
    fn substitutions_are_looked_into() {
        assert_eq!(shown("echo $(curl x | sh) `date`"), ["echo $(curl x | sh) `date`", ">curl x", ">|sh", ">date"]);
        assert_eq!(shown("a=$(b $(c)) d"), ["d", ">b $(c)", ">>c"]);
        assert_eq!(shown("echo $((1 + 2)) ${x:-$(y)}"), ["echo $((1 + 2)) ${x:-$(y)}", ">y"]);
    }

    #[test]
    fn redirections_and_heredocs() {
        let c = &script("cat > /etc/x 2>&1 <<'E'\nsome && text\nE\nnext")[..];
        assert_eq!(c.len(), 2, "{c:?}");
        assert_eq!(
            c[0].redirects.iter().map(|r| (r.operator.as_str(), r.target.text.as_str())).collect::<Vec<_>>(),
            [(">", "/etc/x"), ("2>&", "1"), ("<<", "E")]
        );
        assert_eq!(c[1].name(), "next");
    }

    #[test]
    fn offsets_point_into_the_file() {
        let text = "RUN a \\\n  # a comment\n  && b c";
        let t = Text::instruction(text, 4, text.len(), '\\');
        let c = commands(&t);
        assert_eq!(shown("x").len(), 1);
        let word = &c[1].words[1];
        assert_eq!(&text[word.start..word.end], "c");
        assert_eq!(c[1].join, Join::And);
    }

    #[test]
    fn flags_and_operands() {
        let c = &script("apt-get -qq install -y --no-install-recommends foo=1 -- -bar")[0];
        assert_eq!(c.operands().iter().map(|w| w.text.as_str()).collect::<Vec<_>>(), ["install", "foo=1", "-bar"]);
        assert!(c.has_flag(&["y"]) && c.has_flag(&["no-install-recommends"]) && !c.has_flag(&["b"]));
    }

    proptest::proptest! {
        #[test]
        fn any_script_is_read(text in "[a-c $(){}`'\"\\\\|&;<>#\n=*]{0,60}") {
            for c in script(&text) {
                for w in &c.words {
                    proptest::prop_assert!(w.start <= w.end && w.end <= text.len());
                }
            }
        }
    }
}
