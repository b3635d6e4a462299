//! The shape of a script: lists, pipelines, and what is inside what.
//!
//! Nodes lie in one vector, in the order in which they begin; each knows its parent. Scripts of substitutions are children of
//! the node whose word holds them.

use super::{Piece, Redirect, Word};

/// Position of a node.
pub type NodeId = usize;

/// A script.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Everything in it.
    pub nodes: Vec<Node>,
    /// As it was read, continued lines joined.
    pub text: String,
    /// Why it could not be read to its end. The nodes are then incomplete.
    pub error: Option<SyntaxError>,
}

/// What a shell would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// In one line.
    pub message: String,
    /// Byte offsets in the file: start and end.
    pub start: usize,
    /// See `start`.
    pub end: usize,
}

/// A command, or a list of them.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// What it is in; `None` for the script itself.
    pub parent: Option<NodeId>,
    /// Byte offsets in the file: start and end.
    pub start: usize,
    /// See `start`.
    pub end: usize,
    /// Redirections of a compound command; those of a simple one are with it.
    pub redirects: Vec<Redirect>,
}

/// What a node is.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum NodeKind {
    /// Commands one after another: a whole script, or a part of a compound command.
    List(Vec<NodeId>),
    Simple(Simple),
    /// `!`, and commands joined by `|`; operators are between them.
    Pipeline {
        banged: bool,
        parts: Vec<NodeId>,
        operators: Vec<(&'static str, usize)>,
    },
    /// `left && right` or `left || right`.
    AndOr {
        and: bool,
        left: NodeId,
        right: NodeId,
        operator: usize,
    },
    Subshell(NodeId),
    Group(NodeId),
    If {
        branches: Vec<(NodeId, NodeId)>,
        otherwise: Option<NodeId>,
    },
    /// `while` or `until`.
    Loop {
        condition: NodeId,
        body: NodeId,
    },
    /// `for` or `select`; `None` words are the script's arguments.
    For {
        select: bool,
        name: Word,
        words: Option<Vec<Word>>,
        body: NodeId,
    },
    /// `for ((…))`
    ForArithmetic {
        text: String,
        body: NodeId,
    },
    Case {
        word: Word,
        arms: Vec<NodeId>,
    },
    Function {
        name: Word,
        keyword: bool,
        parentheses: bool,
        body: NodeId,
    },
    /// `[[ … ]]`: its words and operators.
    Test(Vec<Word>),
    /// `((…))`, as written.
    Arithmetic(String),
    /// Not read yet; none is left in a tree.
    Open,
}

/// A simple command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simple {
    /// Program and arguments.
    pub words: Vec<Word>,
    /// `NAME=value` before the program.
    pub assignments: Vec<Word>,
    /// Redirections.
    pub redirects: Vec<Redirect>,
}

impl Simple {
    /// The program's name without its directory, if it is written out.
    pub fn name(&self) -> &str {
        self.words.first().filter(|w| !w.expands).map_or("", |w| w.text.rsplit('/').next().unwrap_or(""))
    }

    /// The words after the program.
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Short flags before the first operand or `--`, and long ones without dashes.
    pub fn has_flag(&self, short: char, long: &str) -> bool {
        self.arguments().iter().take_while(|w| w.text != "--").any(|w| match w.text.strip_prefix("--") {
            Some(name) => !long.is_empty() && name.split('=').next() == Some(long),
            None => w.text.strip_prefix('-').is_some_and(|flags| flags.contains(short)),
        })
    }

    /// Arguments that are no flags.
    pub fn operands(&self) -> impl Iterator<Item = &Word> {
        let mut only = false;
        self.arguments().iter().filter(move |w| {
            if !only && w.text == "--" {
                only = true;
                return false;
            }
            only || !w.text.starts_with('-') || w.text == "-"
        })
    }
}

impl Word {
    /// The text where nothing is expanded in it.
    pub fn plain(&self) -> Option<&str> {
        (!self.expands).then_some(self.text.as_str())
    }

    /// Whether a piece of it is a pattern of file names outside quotes.
    pub fn has_glob(&self) -> bool {
        self.pieces
            .iter()
            .any(|p| p.kind == super::PieceKind::Literal && p.string.is_none() && p.text.contains(['*', '?']))
    }

    /// The pieces of kind variable, in and outside quotes.
    pub fn variables(&self) -> impl Iterator<Item = (&Piece, &str, &str)> {
        self.pieces.iter().filter_map(|p| p.variable().map(|(name, rest)| (p, name, rest)))
    }

    /// `NAME=value` as name, whether it is `+=`, and where the value begins in `text`.
    pub fn assignment(&self) -> Option<(&str, bool)> {
        let (name, _) = self.raw.split_once('=')?;
        let appended = name.ends_with('+');
        let name = name.strip_suffix('+').unwrap_or(name);
        let plain = name.split('[').next().unwrap_or("");
        let first = plain.chars().next()?;
        let fits = (first.is_ascii_alphabetic() || first == '_')
            && plain.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && (plain.len() == name.len() || name.ends_with(']'));
        fits.then_some((plain, appended))
    }
}

impl Tree {
    /// The simple commands, in order of their places.
    pub fn simple(&self) -> impl Iterator<Item = (NodeId, &Simple)> {
        self.nodes.iter().enumerate().filter_map(|(id, n)| match &n.kind {
            NodeKind::Simple(simple) => Some((id, simple)),
            _ => None,
        })
    }

    /// A node.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The simple command of a node, if it is one.
    pub fn command(&self, id: NodeId) -> Option<&Simple> {
        match &self.nodes.get(id)?.kind {
            NodeKind::Simple(simple) => Some(simple),
            _ => None,
        }
    }

    /// What it is in, from the inside out.
    pub fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let mut next = self.nodes.get(id).and_then(|n| n.parent);
        std::iter::from_fn(move || {
            let id = next?;
            next = self.nodes.get(id).and_then(|n| n.parent);
            Some(id)
        })
    }

    /// Whether somebody asks for its exit code: it is on the left of `&&` or `||`, or the last command of a condition.
    pub fn is_condition(&self, id: NodeId) -> bool {
        let mut child = id;
        let mut grandchild = id;
        for parent in self.ancestors(id) {
            // Only the last command of a condition's list gives its exit code.
            let ends = |condition: &NodeId| {
                let Some(NodeKind::List(items)) = self.nodes.get(*condition).map(|n| &n.kind) else { return false };
                *condition == child && items.last() == Some(&grandchild)
            };
            let asked = match self.nodes.get(parent).map(|n| &n.kind) {
                Some(NodeKind::AndOr { left, .. }) => *left == child,
                Some(NodeKind::If { branches, .. }) => branches.iter().any(|(c, _)| ends(c)),
                Some(NodeKind::Loop { condition, .. }) => ends(condition),
                _ => false,
            };
            if asked {
                return true;
            }
            grandchild = child;
            child = parent;
        }
        false
    }

    /// The script of a substitution: the list that begins inside the piece.
    pub fn script_of(&self, holder: NodeId, piece: &Piece) -> Option<NodeId> {
        self.nodes.iter().enumerate().find_map(|(id, n)| {
            let inside = piece.start < n.start && n.end < piece.end + 1 && n.parent == Some(holder);
            (inside && matches!(n.kind, NodeKind::List(_))).then_some(id)
        })
    }

    /// The only simple command of a list.
    pub fn only_command(&self, list: NodeId) -> Option<&Simple> {
        match &self.nodes.get(list)?.kind {
            NodeKind::List(items) => match items.as_slice() {
                [one] => self.command(*one),
                _ => None,
            },
            NodeKind::Simple(simple) => Some(simple),
            _ => None,
        }
    }

    /// Every word of the script with the node that holds it.
    pub fn words(&self) -> impl Iterator<Item = (NodeId, &Word)> {
        self.nodes.iter().enumerate().flat_map(|(id, n)| n.words().into_iter().map(move |w| (id, w)))
    }

    /// Whether a command may appear as this text: `set -e` in any of its forms.
    pub fn stops_at_errors(&self) -> bool {
        self.simple().any(|(_, c)| {
            c.name() == "set"
                && c.arguments().iter().any(|w| {
                    w.text == "errexit"
                        || w.text.strip_prefix('-').is_some_and(|f| !f.starts_with('-') && f.contains('e'))
                })
        })
    }
}

impl Node {
    /// Words that stand directly in this node.
    pub fn words(&self) -> Vec<&Word> {
        let mut out: Vec<&Word> = match &self.kind {
            NodeKind::Simple(s) => {
                s.assignments.iter().chain(&s.words).chain(s.redirects.iter().map(|r| &r.target)).collect()
            }
            NodeKind::For { words: Some(words), .. } => words.iter().collect(),
            NodeKind::Case { word, .. } => vec![word],
            NodeKind::Test(words) => words.iter().collect(),
            _ => Vec::new(),
        };
        out.extend(self.redirects.iter().map(|r| &r.target));
        out
    }
}
