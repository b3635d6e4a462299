//! Which variables a script sets and reads, and which hold nothing that a shell would split.
//!
//! A variable is clean where every assignment before the place is, and one of them is on every way there.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{NodeId, NodeKind, Simple, Tree};
use super::{PieceKind, Word};

/// Variables that hold a number, always.
pub const NUMBERS: [&str; 20] = [
    "?",
    "#",
    "$",
    "!",
    "-",
    "BASHPID",
    "BASH_SUBSHELL",
    "COLUMNS",
    "EPOCHSECONDS",
    "EUID",
    "LINENO",
    "LINES",
    "OPTIND",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHLVL",
    "SRANDOM",
    "UID",
    "HISTSIZE",
];

/// Variables that bash sets, and a POSIX shell does not.
pub const BASH_ONLY: [&str; 18] = [
    "_",
    "BASH_SOURCE",
    "BASHPID",
    "DIRSTACK",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HOSTNAME",
    "HOSTTYPE",
    "MACHTYPE",
    "OSTYPE",
    "PIPESTATUS",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "UID",
];

/// Variables that are set for the shell or for programs, and read by nobody in the script.
pub const MEANT_FOR_OTHERS: [&str; 22] = [
    "PATH",
    "HOME",
    "IFS",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_COLLATE",
    "TERM",
    "TMPDIR",
    "CDPATH",
    "OPTARG",
    "OPTIND",
    "PWD",
    "OLDPWD",
    "SHELL",
    "REPLY",
    "DEBIAN_FRONTEND",
];

/// A place where a variable is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned<'t> {
    /// The variable.
    pub name: &'t str,
    /// Other programs see it.
    pub exported: bool,
    /// Nothing in the value would be split or matched with file names.
    clean: Clean<'t>,
    /// The node that sets it.
    node: NodeId,
    /// Byte offsets in the file of what names it: start and end.
    pub start: usize,
    /// See `start`.
    pub end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clean<'t> {
    Yes,
    No,
    /// As clean as other variables are.
    As(&'t Word),
    /// As clean as a loop's words.
    Words(&'t [Word]),
}

/// Every place where a variable is set, in order.
pub fn assigned(tree: &Tree) -> Vec<Assigned<'_>> {
    let mut out = Vec::new();
    for (id, node) in tree.nodes.iter().enumerate() {
        let before = out.len();
        match &node.kind {
            NodeKind::Simple(c) => simple(c, &mut out),
            NodeKind::For { name, words, select, .. } => {
                let length = if *select { "select".len() } else { "for".len() };
                let clean = words.as_deref().map_or(Clean::No, Clean::Words);
                let (start, end) = (node.start, node.start + length);
                out.push(Assigned { name: &name.raw, exported: false, clean, node: 0, start, end });
            }
            _ => {}
        }
        for word in node.words() {
            for (piece, name, rest) in word.variables() {
                if rest.starts_with(":=") || rest.starts_with('=') {
                    let name = name.trim_start_matches(['#', '!']);
                    out.push(Assigned {
                        name,
                        exported: true,
                        clean: Clean::No,
                        node: 0,
                        start: piece.start,
                        end: piece.end,
                    });
                }
            }
        }
        out.iter_mut().skip(before).for_each(|a| a.node = id);
    }
    for text in arithmetic(tree) {
        for name in names(text).into_iter().filter(|n| set_in_arithmetic(text, n)) {
            out.push(Assigned { name, exported: true, clean: Clean::Yes, node: 0, start: 0, end: 0 });
        }
    }
    out
}

/// An assignment's word.
fn plain<'t>(word: &'t Word, exported: bool, out: &mut Vec<Assigned<'t>>) {
    if let Some((name, appended)) = word.assignment() {
        let array = word.raw.contains("=(") || word.raw.contains("]=");
        let clean = if appended || array { Clean::No } else { Clean::As(word) };
        let length = word.raw.find('=').unwrap_or(0);
        // What is added to was set somewhere, perhaps outside.
        let exported = exported || appended;
        out.push(Assigned { name, exported, clean, node: 0, start: word.start, end: word.start + length });
    }
}

fn simple<'t>(c: &'t Simple, out: &mut Vec<Assigned<'t>>) {
    if c.words.is_empty() {
        c.assignments.iter().for_each(|w| plain(w, false, out));
        return;
    }
    match c.name() {
        "export" => c.arguments().iter().for_each(|w| plain(w, true, out)),
        "readonly" | "local" | "declare" | "typeset" => {
            let exported = c.has_flag('x', "") || c.has_flag('g', "");
            for word in c.arguments() {
                plain(word, exported, out);
                if word.assignment().is_none() && !word.raw.starts_with('-') && c.name() != "readonly" {
                    set(word, out);
                }
            }
        }
        "let" => {
            for word in c.arguments() {
                if let Some((name, _)) = word.assignment() {
                    let (start, end) = (word.start, word.start + name.len());
                    out.push(Assigned { name, exported: false, clean: Clean::Yes, node: 0, start, end });
                }
            }
        }
        "read" => with_values(c, "pdntuiNa", Some('a'), out),
        "mapfile" | "readarray" => with_values(c, "dnOsuCc", None, out),
        "printf" if c.has_flag('v', "") => c.arguments().iter().skip(1).take(1).for_each(|w| set(w, out)),
        "getopts" => c.arguments().iter().skip(1).take(1).for_each(|w| set(w, out)),
        "unset" => c.operands().filter_map(Word::plain).for_each(|name| {
            let end = c.words.last().map_or(0, |w| w.end);
            out.push(Assigned { name, exported: true, clean: Clean::No, node: 0, start: end, end });
        }),
        _ => {}
    }
}

/// Operands that name variables; flags in `valued` take the next word, which is a variable itself for `array`.
fn with_values<'t>(c: &'t Simple, valued: &str, array: Option<char>, out: &mut Vec<Assigned<'t>>) {
    let mut arguments = c.arguments().iter();
    while let Some(word) = arguments.next() {
        match word.text.strip_prefix('-') {
            Some(flags) if !flags.is_empty() => {
                let last = flags.chars().last().filter(|f| valued.contains(*f));
                if last.is_some()
                    && let Some(value) = arguments.next()
                    && last == array
                {
                    set(value, out);
                }
            }
            _ => set(word, out),
        }
    }
}

fn set<'t>(word: &'t Word, out: &mut Vec<Assigned<'t>>) {
    if let Some(name) = word.plain().filter(|n| names(n).first() == Some(n)) {
        out.push(Assigned { name, exported: false, clean: Clean::No, node: 0, start: word.start, end: word.end });
    }
}

/// Arrays: their names, and the byte offsets where they become ones.
pub fn arrays(tree: &Tree) -> Vec<(&str, usize)> {
    let mut out = Vec::new();
    for (_, c) in tree.simple() {
        let declares = ["declare", "typeset", "local", "readonly"].contains(&c.name());
        let arguments = if declares { c.arguments() } else { &[] };
        for word in c.assignments.iter().chain(arguments) {
            let Some((name, _)) = word.assignment() else { continue };
            if word.raw.contains("=(") || word.raw.split('=').next().is_some_and(|n| n.ends_with(']')) {
                out.push((name, word.start));
            }
        }
        let flagged = declares && (c.has_flag('a', "") || c.has_flag('A', ""));
        if flagged || matches!(c.name(), "mapfile" | "readarray") || c.name() == "read" && c.has_flag('a', "") {
            out.extend(c.operands().filter_map(|w| Some((names(w.plain()?).first().copied()?, w.start))));
        }
    }
    out
}

fn arithmetic(tree: &Tree) -> impl Iterator<Item = &str> {
    tree.nodes.iter().flat_map(|node| {
        let own = match &node.kind {
            NodeKind::Arithmetic(text) | NodeKind::ForArithmetic { text, .. } => Some(text.as_str()),
            _ => None,
        };
        let pieces = node.words().into_iter().flat_map(|w| &w.pieces).filter(|p| p.kind == PieceKind::Arithmetic);
        own.into_iter().chain(pieces.map(|p| p.text.as_str()))
    })
}

/// Whether arithmetic sets a variable: `x = 1`, `x += 1`, `x++`, `--x`.
fn set_in_arithmetic(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).unwrap_or("").trim_end();
        let after = text.get(at + name.len()..).unwrap_or("").trim_start();
        let operator = after.trim_start_matches(['+', '-', '*', '/', '%', '&', '|', '^', '<', '>']);
        let assigns = operator.starts_with('=')
            && !operator.starts_with("==")
            && !after.starts_with("<=")
            && !after.starts_with(">=");
        assigns
            || after.starts_with("++")
            || after.starts_with("--")
            || before.ends_with("++")
            || before.ends_with("--")
    })
}

/// Names in a text.
fn names(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|n| n.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
        .collect()
}

/// Every variable that the script reads, or gives to others.
pub fn used(tree: &Tree) -> BTreeSet<&str> {
    let mut out = BTreeSet::new();
    // Also in heredocs, in single quotes and in the braces of other variables: better one finding less.
    let mut rest = tree.text.as_str();
    while let Some(at) = rest.find('$') {
        let escaped = rest.get(..at).is_some_and(|before| before.ends_with('\\'));
        rest = rest.get(at + 1..).unwrap_or("");
        if escaped {
            continue;
        }
        let inside = rest.strip_prefix('{').map_or(rest, |r| r.trim_start_matches(['#', '!']));
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        out.extend(inside.get(..end).filter(|n| !n.is_empty()));
        // `${x[y]}` and `${x:y}` read y.
        if let Some(braced) = rest.strip_prefix('{').and_then(|r| r.split('}').next()) {
            out.extend(names(braced));
        }
    }
    out.extend(arithmetic(tree).flat_map(names));
    for (_, c) in tree.simple() {
        match c.name() {
            "export" | "unset" => out.extend(c.operands().filter_map(Word::plain)),
            "let" => out.extend(c.arguments().iter().flat_map(|w| names(&w.text)).skip(1)),
            "[" | "test" => out.extend(numbers_compared(c.arguments())),
            _ => {}
        }
    }
    for node in &tree.nodes {
        if let NodeKind::Test(words) = &node.kind {
            out.extend(numbers_compared(words));
        }
    }
    out
}

/// Whether a variable is read in single quotes only, where no shell reads it: perl and awk have variables, too.
pub fn only_quoted(tree: &Tree, name: &str) -> bool {
    let count = |text: &str| {
        let reads = |at: usize| {
            let rest = text.get(at + 1..).unwrap_or("").trim_start_matches('{');
            rest.strip_prefix(name).is_some_and(|r| !r.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        };
        text.match_indices('$').filter(|(at, _)| reads(*at)).count()
    };
    let single = tree.words().flat_map(|(_, w)| &w.pieces).filter(|p| p.kind == PieceKind::Single);
    let quoted: usize = single.map(|p| count(&p.text)).sum();
    quoted > 0 && quoted == count(&tree.text)
}

/// Names without `$` that a test reads: beside `-eq` and the like, and after `-v`.
fn numbers_compared(words: &[Word]) -> impl Iterator<Item = &str> {
    words.windows(3).chain(words.len().checked_sub(2).and_then(|at| words.get(at..))).flat_map(|three| {
        let reads = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];
        let mut out = Vec::new();
        if let [left, operator, right] = three
            && reads.contains(&operator.raw.as_str())
        {
            out.extend(names(&left.text).into_iter().chain(names(&right.text)));
        }
        for pair in three.windows(2) {
            if let [flag, name] = pair
                && flag.raw == "-v"
            {
                out.extend(names(&name.text));
            }
        }
        out
    })
}

/// Variables that a test asks about: whether they are set is what the script wants to know.
pub fn asked_for(tree: &Tree) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for node in &tree.nodes {
        let words = match &node.kind {
            NodeKind::Simple(c) if matches!(c.name(), "[" | "test") => c.arguments(),
            NodeKind::Test(words) => words.as_slice(),
            _ => &[],
        };
        for pair in words.windows(2) {
            if let [flag, word] = pair
                && matches!(flag.raw.as_str(), "-z" | "-n" | "-v")
            {
                out.extend(word.variables().map(|(_, name, _)| name.to_owned()));
            }
        }
    }
    out
}

/// Inside of what it is certain that a node has run: a branch, a loop's body, the right side of `||`, a chain of `&&`.
/// `None`: after it, everywhere.
fn scope(tree: &Tree, node: NodeId) -> Option<NodeId> {
    let mut child = node;
    let mut ancestors = tree.ancestors(node).peekable();
    while let Some(parent) = ancestors.next() {
        match tree.get(parent).map(|n| &n.kind) {
            // The rest of a chain runs only after it.
            Some(NodeKind::AndOr { and: true, right, .. }) if *right == child => {
                let mut top = parent;
                while let Some(next) = ancestors.next_if(|next| {
                    matches!(tree.get(*next).map(|n| &n.kind), Some(NodeKind::AndOr { and: true, left, .. }) if *left == top)
                }) {
                    top = next;
                }
                return Some(top);
            }
            Some(NodeKind::AndOr { and: false, right, .. }) if *right == child => return Some(child),
            Some(NodeKind::If { branches, .. }) if branches.first().is_none_or(|(first, _)| *first != child) => {
                return Some(child);
            }
            Some(NodeKind::Loop { body, .. }) if *body == child => return Some(child),
            Some(NodeKind::For { .. } | NodeKind::Case { .. } | NodeKind::Subshell(_) | NodeKind::Function { .. }) => {
                return Some(child);
            }
            _ => {}
        }
        child = parent;
    }
    None
}

/// How many assignments before a place are looked at.
const MAX_LOOKED_AT: usize = 64;

/// What is known of the values of a script's variables.
#[derive(Debug)]
pub struct Values<'t> {
    tree: &'t Tree,
    /// Assignments by name: place, whether it is clean, and inside of what it certainly happened (`None`: anywhere later).
    places: BTreeMap<&'t str, Vec<(usize, bool, Option<NodeId>)>>,
}

impl<'t> Values<'t> {
    /// Looks at every assignment, in order.
    pub fn of(tree: &'t Tree) -> Values<'t> {
        let mut values = Values { tree, places: BTreeMap::new() };
        let mut all = assigned(tree);
        all.sort_by_key(|a| a.start);
        for a in all {
            let clean = match a.clean {
                Clean::Yes => true,
                Clean::No => false,
                Clean::As(word) => values.is_clean(word, a.node, a.start),
                Clean::Words(words) => words.iter().all(|w| !w.has_glob() && values.is_clean(w, a.node, a.start)),
            };
            values.places.entry(a.name).or_default().push((a.start, clean, scope(tree, a.node)));
        }
        values
    }

    /// Whether splitting the variable's value at this place of this node changes nothing; `outside`: whether that is so of
    /// the value that it has before the script.
    pub fn clean_at(&self, name: &str, node: NodeId, offset: usize, outside: bool) -> bool {
        let Some(places) = self.places.get(name) else { return outside };
        let within = |scope: NodeId| node == scope || self.tree.ancestors(node).any(|a| a == scope);
        // From the last one back: what certainly happened replaces all that was before. Hostile scripts set a variable
        // thousands of times: after some, nothing is known.
        let before = places.partition_point(|(at, _, _)| *at < offset);
        for (seen, (_, clean, scope)) in places.iter().take(before).rev().enumerate() {
            if !clean || seen == MAX_LOOKED_AT {
                return false;
            }
            if scope.is_none_or(within) {
                return true;
            }
        }
        outside
    }

    fn is_clean(&self, word: &Word, node: NodeId, offset: usize) -> bool {
        word.pieces.iter().all(|p| match p.kind {
            PieceKind::Literal | PieceKind::Single | PieceKind::Escaped => {
                !p.text.contains(|c: char| c.is_whitespace() || "*?[".contains(c))
            }
            PieceKind::Empty | PieceKind::Arithmetic => true,
            PieceKind::Variable => p.variable().is_some_and(|(name, rest)| {
                rest.is_empty()
                    && (NUMBERS.contains(&name) || name.starts_with('#') || self.clean_at(name, node, offset, false))
            }),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::{Text, parse};

    fn tree(text: &str) -> Tree {
        parse(&Text::script(text, 0))
    }

    #[test]
    fn clean_values_need_no_quotes() {
        for (text, clean) in [
            ("X=1; $X", true),
            ("X='a b'; $X", false),
            ("X=$Y; $X", false),
            ("Y=1; X=$Y-z; $X", true),
            ("X=$(ls); $X", false),
            ("X=$((1 + 2)); $X", true),
            ("if a; then X=1; else X='b c'; fi; $X", false),
            ("for X in a b; do $X; done", true),
            ("for X in *; do $X; done", false),
            ("read -r X; $X", false),
            ("$X; X=1", false),
            ("a && X=1 && $X", true),
            ("a && X=1; $X", false),
            ("if a; then X=1; fi; $X", false),
            ("if a; then X=1; $X; fi", true),
            ("(X=1); $X", false),
            ("X=$(ls); X=1; $X", true),
            ("X=1; if a; then X=$(ls); fi; $X", false),
            ("X=1; unset X; $X", false),
            ("echo $((X, 1)); $X", false),
            ("((X = 1)); $X", true),
        ] {
            let tree = tree(text);
            let at = text.rfind("$X").unwrap();
            let node =
                tree.nodes.iter().rposition(|n| n.start <= at && at < n.end && matches!(n.kind, NodeKind::Simple(_)));
            assert_eq!(Values::of(&tree).clean_at("X", node.unwrap(), at, false), clean, "{text}");
        }
    }

    #[test]
    fn many_assignments_are_looked_at_in_bounded_time() {
        let script = format!("a && X=1; {} $X", "X=1 && echo $X && ".repeat(2000));
        let tree = tree(&script);
        let values = Values::of(&tree);
        let uses = tree.simple().filter(|(_, c)| c.name() == "echo");
        let known = uses.filter(|(id, c)| values.clean_at("X", *id, c.words[1].start, false)).count();
        assert_eq!(known, 2000);
    }

    #[test]
    fn sets_and_reads() {
        let t = tree(
            "a=1; read -r -p x b c; for d in 1; do :; done; printf -v e x; export f=2 g; ${h:=1}; ((i++)); X=1 ls",
        );
        let names: BTreeSet<&str> = assigned(&t).iter().map(|a| a.name).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d", "e", "f", "h", "i"]);
        let t = tree("echo $a \"${b#x}\" ${c[d]} $((e)); export f; [[ g -eq 1 ]]; cat <<E\n$h\nE");
        let all = used(&t);
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            assert!(all.contains(name), "{name}");
        }
    }
}
