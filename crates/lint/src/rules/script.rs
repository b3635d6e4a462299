//! What the rules about shell scripts share.

use crate::file::Script;
use crate::shell::tree::{NodeId, NodeKind, Simple, Tree};
use crate::shell::{Piece, PieceKind, Redirect, Word};

use super::Sink;

/// Builtins that declare variables.
pub(super) const DECLARES: [&str; 5] = ["export", "readonly", "local", "declare", "typeset"];

/// Directories without which a system does not work, or loses its state.
pub(super) const SYSTEM: [&str; 17] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/mnt",
    "/proc",
    "/root",
    "/sbin",
    "/sys",
    "/usr",
    "/usr/bin",
    "/usr/local",
    "/usr/share",
    "/var",
];

/// Reports a whole simple command.
pub(super) fn whole(out: &mut Sink<'_>, command: &Simple, message: impl Into<String>) {
    if let (Some(first), Some(last)) = (command.words.first(), command.words.last()) {
        out.at(first.start, last.end, message);
    }
}

/// Whether a piece is a command substitution.
pub(super) fn is_command(piece: &Piece) -> bool {
    matches!(piece.kind, PieceKind::Command | PieceKind::Backquotes)
}

/// Whether a list runs a program: `$(<file)` does not.
pub(super) fn has_commands(tree: &Tree, list: NodeId) -> bool {
    match tree.get(list).map(|n| &n.kind) {
        Some(NodeKind::List(items)) => {
            !items.is_empty() && !items.iter().all(|i| tree.command(*i).is_some_and(|c| c.words.is_empty()))
        }
        _ => false,
    }
}

/// Neighbours in pipelines that are both simple commands.
pub(super) fn pipes(tree: &Tree) -> impl Iterator<Item = (&Simple, &Simple)> {
    pipes_of(tree).filter_map(|(left, right)| Some((left, right?)))
}

/// Simple commands whose output goes into a pipe, with what reads it where that is simple, too.
pub(super) fn pipes_of(tree: &Tree) -> impl Iterator<Item = (&Simple, Option<&Simple>)> {
    tree.nodes.iter().flat_map(move |node| {
        let parts = match &node.kind {
            NodeKind::Pipeline { parts, .. } => parts.as_slice(),
            _ => &[],
        };
        parts.windows(2).filter_map(move |pair| match pair {
            [left, right] => Some((tree.command(*left)?, tree.command(*right))),
            _ => None,
        })
    })
}

/// All redirections.
pub(super) fn redirects(tree: &Tree) -> impl Iterator<Item = &Redirect> {
    tree.nodes.iter().flat_map(|node| {
        let simple = match &node.kind {
            NodeKind::Simple(s) => s.redirects.as_slice(),
            _ => &[],
        };
        simple.iter().chain(&node.redirects)
    })
}

/// Calls with every `for … in $(COMMAND …)`: the substitution, and its only (or first of a pipeline) command.
pub(super) fn loops_over_commands(script: &Script, mut found: impl FnMut(&Piece, &Simple)) {
    let tree = &script.tree;
    for (id, node) in tree.nodes.iter().enumerate() {
        let NodeKind::For { words: Some(words), .. } = &node.kind else { continue };
        for piece in words.iter().flat_map(|w| &w.pieces).filter(|p| is_command(p) && p.string.is_none()) {
            let Some(NodeKind::List(items)) = tree.script_of(id, piece).and_then(|l| tree.get(l)).map(|n| &n.kind)
            else {
                continue;
            };
            let [one] = items.as_slice() else { continue };
            let first = match tree.get(*one).map(|n| &n.kind) {
                // What a pipeline's later programs make of names is theirs.
                Some(NodeKind::Pipeline { parts, .. }) => {
                    parts.first().and_then(|p| tree.command(*p)).filter(|c| c.name() == "cat")
                }
                _ => tree.command(*one),
            };
            if let Some(command) = first {
                found(piece, command);
            }
        }
    }
}

/// Calls with every piece whose value the shell splits into words: not in assignments, not as the program's name, not in
/// the list of a loop, not in `case` and `[[ … ]]`.
pub(super) fn split_pieces(script: &Script, mut found: impl FnMut(NodeId, &Piece)) {
    let bash = script.dialect == crate::file::Dialect::Bash;
    for (id, node) in script.tree.nodes.iter().enumerate() {
        let mut look = |word: &Word| word.pieces.iter().filter(|p| p.splits()).for_each(|p| found(id, p));
        if let NodeKind::Simple(c) = &node.kind {
            // bash reads arguments of `export` as assignments, where nothing is split.
            let declares = bash && DECLARES.contains(&c.name());
            c.arguments().iter().filter(|w| !(declares && w.assignment().is_some())).for_each(&mut look);
            c.redirects.iter().filter(|r| !r.operator.ends_with("<<<")).for_each(|r| look(&r.target));
        }
        node.redirects.iter().filter(|r| !r.operator.ends_with("<<<")).for_each(|r| look(&r.target));
    }
}

/// The unquoted text of a word with everything else blanked out, byte for byte where it lies in one line.
fn bare(word: &Word) -> Option<String> {
    let mut out = String::new();
    for piece in &word.pieces {
        let plain = piece.kind == PieceKind::Literal && piece.string.is_none();
        // Pieces that hold a line break of the file are longer there than here: places would be wrong.
        if piece.end - piece.start != piece.text.len() || piece.start != word.start + out.len() {
            return None;
        }
        if plain {
            out.push_str(&piece.text);
        } else {
            out.extend(std::iter::repeat_n('\0', piece.text.len()));
        }
    }
    Some(out)
}

/// Byte ranges of `{a,b}` and `{1..3}` in a word.
pub(super) fn brace_expansions(word: &Word) -> Vec<(usize, usize)> {
    let Some(text) = bare(word) else { return Vec::new() };
    let mut found = Vec::new();
    let mut open: Vec<(usize, bool)> = Vec::new();
    let bytes = text.as_bytes();
    for (i, b) in bytes.iter().enumerate() {
        match b {
            b'{' => open.push((i, false)),
            b',' => open.last_mut().into_iter().for_each(|o| o.1 = true),
            b'.' if bytes.get(i + 1) == Some(&b'.') => open.last_mut().into_iter().for_each(|o| o.1 = true),
            b'}' => {
                if let Some((start, true)) = open.pop() {
                    found.push((word.start + start, word.start + i + 1));
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether a word is several by its braces.
pub(super) fn has_braces(word: &Word) -> bool {
    !brace_expansions(word).is_empty()
}

/// Byte ranges of braces that are neither expansions nor `{}`.
pub(super) fn lone_braces(word: &Word, as_hadolint: bool) -> Vec<(usize, usize)> {
    let Some(text) = bare(word) else { return Vec::new() };
    let expansions = brace_expansions(word);
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for (i, b) in bytes.iter().enumerate().filter(|(_, b)| matches!(b, b'{' | b'}')) {
        let at = word.start + i;
        let before = i.checked_sub(1).and_then(|j| bytes.get(j));
        let pair = *b == b'{' && bytes.get(i + 1) == Some(&b'}') || *b == b'}' && before == Some(&b'{');
        // git's `HEAD@{1}`.
        let revision = !as_hadolint && (text.get(..i).is_some_and(|t| t.contains("@{")) || before == Some(&b'@'));
        if !pair && !revision && !expansions.iter().any(|(s, e)| *s <= at && at < *e) {
            found.push((at, at + 1));
        }
    }
    found
}

/// Whether `[…]` stands in a word outside quotes.
pub(super) fn has_bracket(word: &Word) -> bool {
    let Some(text) = bare(word) else { return false };
    text.find('[').is_some_and(|open| text.get(open + 1..).is_some_and(|rest| rest.contains(']')))
}

/// Whether a program expands its arguments itself, so that dollar signs in single quotes are meant.
pub(super) fn expands_itself(command: &Simple) -> bool {
    let names = [
        "trap",
        "sh",
        "bash",
        "dash",
        "ksh",
        "zsh",
        "ash",
        "ssh",
        "eval",
        "xprop",
        "alias",
        "sudo",
        "doas",
        "run0",
        "docker",
        "podman",
        "oc",
        "dpkg-query",
        "jq",
        "rename",
        "rg",
        "unset",
        "git",
        "yq",
        "awk",
        "gawk",
        "mawk",
        "nawk",
        "perl",
        "find",
        "printf",
        "ruby",
        "python",
        "python3",
        "php",
        "node",
        "xargs",
        "su",
        "gosu",
        "su-exec",
        "envsubst",
        "parallel",
        "env",
        "timeout",
        "nice",
        "busybox",
        "command",
        "exec",
    ];
    names.contains(&command.name())
        && command.name() != "printf"
        && command.name() != "python"
        && command.name() != "python3"
}

/// Whether text in single quotes looks as if it should be expanded.
pub(super) fn looks_expanded(text: &str, sed: bool) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['$', '`']) {
        let after = rest.get(at + 1..).unwrap_or("");
        let next = after.chars().next();
        let found = match (rest.get(at..=at), next) {
            (Some("`"), _) => after.find('`').is_some_and(|end| end > 0),
            // `sed '$d'` and the like address the last line.
            (_, Some(c)) if c.is_ascii_alphanumeric() || c == '_' => {
                let word: usize = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').count();
                !(sed && word == 1 && !after.chars().nth(1).is_some_and(|c| "/,|".contains(c)))
            }
            (_, Some('{')) => !sed || after.contains('}'),
            (_, Some('(')) => true,
            _ => false,
        };
        if found {
            return true;
        }
        rest = after;
    }
    false
}

/// Whether a word of `echo` has an escape sequence that some shells expand.
pub(super) fn has_escape(word: &Word) -> bool {
    word.text
        .as_bytes()
        .windows(2)
        .any(|pair| matches!(pair, [b'\\', b'a' | b'b' | b'e' | b'f' | b'n' | b'r' | b't' | b'v' | b'x' | b'0']))
        && word.quoted | word.raw.contains("\\\\")
}

/// Whether an argument of `rm -r` may be a system's directory when its variables are empty.
pub(super) fn may_be_system(word: &Word) -> bool {
    let mut path = String::new();
    let mut variables = 0;
    for piece in &word.pieces {
        match piece.variable() {
            // `${x:?}` fails when it is empty.
            Some((_, rest)) if rest.starts_with(":?") || rest.starts_with('?') || rest.contains('-') => return false,
            Some(_) => variables += 1,
            None if is_command(piece) || piece.kind == PieceKind::Arithmetic => return false,
            None => path.push_str(piece.text.trim_matches('\'')),
        }
    }
    let starred = path.ends_with('*');
    let trimmed = path.trim_end_matches('*');
    if variables == 0 {
        return starred && (trimmed == "/" || trimmed == "/home/");
    }
    if !path.contains('/') {
        return false;
    }
    let place = trimmed.trim_end_matches('/');
    place.is_empty() || SYSTEM.contains(&place)
}

/// Words of `[ … ]`, `test …` and `[[ … ]]`.
pub(super) fn test_words(tree: &Tree) -> impl Iterator<Item = &Word> {
    tree.nodes.iter().flat_map(|node| match &node.kind {
        NodeKind::Simple(c) if matches!(c.name(), "[" | "test") => c.arguments(),
        NodeKind::Test(words) => words.as_slice(),
        _ => &[],
    })
}

/// The words of each `[ … ]`, `test …` and `[[ … ]]`; the closing `]` is among them.
pub(super) fn test_words_of_each(tree: &Tree) -> impl Iterator<Item = &[Word]> {
    tree.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Simple(c) if matches!(c.name(), "[" | "test") => Some(c.arguments()),
        NodeKind::Test(words) => Some(words.as_slice()),
        _ => None,
    })
}

/// The same without `test`, which ShellCheck asks less of.
pub(super) fn bracket_words(tree: &Tree) -> impl Iterator<Item = &[Word]> {
    tree.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Simple(c) if c.name() == "[" => Some(c.arguments()),
        NodeKind::Test(words) => Some(words.as_slice()),
        _ => None,
    })
}

/// Arithmetic with the byte offset at which it begins.
pub(super) fn arithmetic(tree: &Tree) -> Vec<(usize, &str)> {
    let commands = tree.nodes.iter().filter_map(|n| match &n.kind {
        NodeKind::Arithmetic(text) => Some((n.start, text.as_str())),
        NodeKind::ForArithmetic { text, .. } => Some((n.start + "for ".len(), text.as_str())),
        _ => None,
    });
    let pieces = tree.words().flat_map(|(_, w)| w.pieces.iter());
    let words = pieces.filter(|p| p.kind == PieceKind::Arithmetic).map(|p| (p.start, p.text.as_str()));
    commands.chain(words).collect()
}

/// How many arguments a format takes; `None` where that is not fixed (`*`, `%(…)T`).
pub(super) fn format_places(format: &str) -> Option<usize> {
    let mut places = 0;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            continue;
        }
        match chars.peek() {
            Some('%') => drop(chars.next()),
            Some('(') | None => return None,
            _ => {
                let mut conversion = None;
                for c in chars.by_ref() {
                    match c {
                        '*' => return None,
                        '-' | '+' | ' ' | '#' | '.' | '0'..='9' => {}
                        c => {
                            conversion = Some(c);
                            break;
                        }
                    }
                }
                conversion?;
                places += 1;
            }
        }
    }
    Some(places)
}
