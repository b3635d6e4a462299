//! Tokens to a tree. Source: POSIX.1-2024, "Shell Grammar", and bash's manual for what bash adds.

use super::lexer::{Lexer, Substitutions, Token};
use super::tree::{Node, NodeId, NodeKind, Simple, SyntaxError, Tree};
use super::{Redirect, Text, Word};

/// Deepest nesting that is followed; what is deeper is passed over.
const MAX_DEPTH: usize = 40;

/// Where reading cannot go on; the reason is in the parser.
struct Stop;

type Parsed<T> = Result<T, Stop>;

/// Reads a script.
pub fn parse(text: &Text) -> Tree {
    let tree = Tree { text: text.slice(0, text.len()), ..Tree::default() };
    let mut parser = Parser { text, tree, depth: 0 };
    // The first error ends it.
    let _ = parser.script(0, text.len(), None);
    parser.tree
}

struct Parser<'t> {
    text: &'t Text,
    tree: Tree,
    depth: usize,
}

/// A stream with one token ahead.
struct Tokens<'t> {
    lexer: Lexer<'t>,
    ahead: Option<Option<(Token, usize, usize)>>,
    /// Where the token before ended, in characters.
    end: usize,
}

impl<'t> Tokens<'t> {
    fn peek(&mut self) -> Option<&Token> {
        if self.ahead.is_none() {
            let token = self.lexer.next().map(|t| (t, self.lexer.token_start(), self.lexer.at()));
            self.ahead = Some(token);
        }
        self.ahead.as_ref().and_then(|a| a.as_ref()).map(|(t, _, _)| t)
    }

    fn next(&mut self) -> Option<Token> {
        self.peek();
        let (token, _, end) = self.ahead.take().flatten()?;
        self.end = end;
        Some(token)
    }

    /// Where the next token begins, in characters.
    fn start(&mut self) -> usize {
        self.peek();
        self.ahead.as_ref().and_then(|a| a.as_ref()).map_or(self.end, |(_, s, _)| *s)
    }

    /// The next token's text where it is an unquoted word.
    fn word(&mut self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(w, _)) if !w.quoted && !w.expands => Some(&w.raw),
            _ => None,
        }
    }

    fn operator(&mut self) -> Option<&'static str> {
        match self.peek() {
            Some(Token::Operator(o)) => Some(o),
            _ => None,
        }
    }

    fn take_operator(&mut self, wanted: &str) -> bool {
        let found = self.operator() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = self.word() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    fn skip_lines(&mut self) {
        while self.operator() == Some("\n") {
            self.next();
        }
    }
}

/// Words that end a list, and begin no command.
const ENDS: [&str; 7] = ["then", "elif", "else", "fi", "do", "done", "esac"];

impl<'t> Parser<'t> {
    fn open(&mut self, parent: Option<NodeId>, from: usize) -> NodeId {
        let start = self.text.start_of(from);
        self.tree.nodes.push(Node { kind: NodeKind::Open, parent, start, end: start, redirects: Vec::new() });
        self.tree.nodes.len() - 1
    }

    fn close(&mut self, id: NodeId, kind: NodeKind, to: usize) {
        let end = self.text.end_of(to);
        if let Some(node) = self.tree.nodes.get_mut(id) {
            node.kind = kind;
            node.end = end.max(node.start);
        }
    }

    fn fail<T>(&mut self, from: usize, to: usize, message: impl Into<String>) -> Parsed<T> {
        let (start, end) = (self.text.start_of(from), self.text.end_of(to));
        self.tree.error.get_or_insert(SyntaxError { message: message.into(), start, end: end.max(start) });
        Err(Stop)
    }

    /// Fails at the next token.
    fn unexpected<T>(&mut self, tokens: &mut Tokens<'t>, wanted: &str) -> Parsed<T> {
        let from = tokens.start();
        let found = match tokens.peek() {
            None => "the end of the script".to_owned(),
            Some(Token::Operator("\n")) => "the end of the line".to_owned(),
            Some(Token::Operator(o)) => format!("`{o}`"),
            Some(Token::Word(w, _)) => format!("`{}`", w.raw),
            Some(Token::Redirect(o, _, _)) => format!("`{o}`"),
        };
        let to = if tokens.next().is_some() { tokens.end } else { from };
        self.fail(
            from,
            to,
            if wanted.is_empty() {
                format!("{found} stands where a command belongs")
            } else {
                format!("expected {wanted}, found {found}")
            },
        )
    }

    /// A script of its own between two places.
    fn script(&mut self, from: usize, to: usize, parent: Option<NodeId>) -> Parsed<NodeId> {
        let mut tokens = Tokens { lexer: Lexer::new(self.text, from, to), ahead: None, end: from };
        if self.depth >= MAX_DEPTH {
            let id = self.open(parent, from);
            self.close(id, NodeKind::List(Vec::new()), to);
            return Ok(id);
        }
        self.depth += 1;
        let result = self.list(&mut tokens, parent);
        self.depth -= 1;
        let list = result?;
        if let Some((at, by)) = tokens.lexer.unclosed {
            return self.fail(at, at + 1, format!("nothing closes this: `{by}` is missing"));
        }
        if tokens.peek().is_some() {
            return self.unexpected(&mut tokens, "");
        }
        Ok(list)
    }

    fn list(&mut self, tokens: &mut Tokens<'t>, parent: Option<NodeId>) -> Parsed<NodeId> {
        let from = tokens.start();
        let id = self.open(parent, from);
        let mut items = Vec::new();
        loop {
            tokens.skip_lines();
            let ends = match tokens.peek() {
                None => true,
                Some(Token::Operator(o)) => matches!(*o, ")" | ";;" | ";&" | ";;&"),
                Some(Token::Word(..)) => tokens.word().is_some_and(|w| ENDS.contains(&w) || w == "}"),
                Some(Token::Redirect(..)) => false,
            };
            if ends {
                break;
            }
            items.push(self.and_or(tokens, id)?);
            match tokens.operator() {
                Some(";" | "&") => {
                    tokens.next();
                    if let Some(";" | "&") = tokens.operator() {
                        return self.unexpected(tokens, "");
                    }
                }
                Some("\n") => {}
                Some(")" | ";;" | ";&" | ";;&") | None if tokens.peek().is_none() || tokens.operator().is_some() => {
                    break;
                }
                _ => return self.unexpected(tokens, "`;` or a line break"),
            }
        }
        let end = tokens.end;
        self.close(id, NodeKind::List(items), end);
        Ok(id)
    }

    /// A list that must hold a command.
    fn body(&mut self, tokens: &mut Tokens<'t>, parent: NodeId) -> Parsed<NodeId> {
        let list = self.list(tokens, Some(parent))?;
        let empty = matches!(self.tree.get(list).map(|n| &n.kind), Some(NodeKind::List(items)) if items.is_empty());
        if empty { self.unexpected(tokens, "a command") } else { Ok(list) }
    }

    fn and_or(&mut self, tokens: &mut Tokens<'t>, parent: NodeId) -> Parsed<NodeId> {
        let from = tokens.start();
        let mut left = self.pipeline(tokens, parent)?;
        while let Some(operator @ ("&&" | "||")) = tokens.operator() {
            let at = tokens.start();
            tokens.next();
            tokens.skip_lines();
            let id = self.open(Some(parent), from);
            let right = self.pipeline(tokens, id)?;
            if let Some(node) = self.tree.nodes.get_mut(left) {
                node.parent = Some(id);
            }
            let operator_at = self.text.start_of(at);
            self.close(id, NodeKind::AndOr { and: operator == "&&", left, right, operator: operator_at }, tokens.end);
            left = id;
        }
        Ok(left)
    }

    fn pipeline(&mut self, tokens: &mut Tokens<'t>, parent: NodeId) -> Parsed<NodeId> {
        let from = tokens.start();
        let mut banged = false;
        while let Some("!" | "time") = tokens.word() {
            banged |= tokens.word() == Some("!");
            tokens.next();
            // `time -p`
            if tokens.word() == Some("-p") {
                tokens.next();
            }
        }
        let first = self.command(tokens, parent)?;
        if !banged && !matches!(tokens.operator(), Some("|" | "|&")) {
            return Ok(first);
        }
        let id = self.open(Some(parent), from);
        let (mut parts, mut operators) = (vec![first], Vec::new());
        while let Some(operator @ ("|" | "|&")) = tokens.operator() {
            let at = tokens.start();
            operators.push((operator, self.text.start_of(at)));
            tokens.next();
            tokens.skip_lines();
            parts.push(self.command(tokens, id)?);
        }
        if let Some(node) = self.tree.nodes.get_mut(first) {
            node.parent = Some(id);
        }
        self.close(id, NodeKind::Pipeline { banged, parts, operators }, tokens.end);
        Ok(id)
    }

    fn command(&mut self, tokens: &mut Tokens<'t>, parent: NodeId) -> Parsed<NodeId> {
        if self.depth >= MAX_DEPTH {
            let (from, to) = (tokens.start(), tokens.end);
            return self.fail(from, to, "nested too deeply to be checked");
        }
        self.depth += 1;
        let result = self.any_command(tokens, parent);
        self.depth -= 1;
        result
    }

    fn any_command(&mut self, tokens: &mut Tokens<'t>, parent: NodeId) -> Parsed<NodeId> {
        let from = tokens.start();
        let word = tokens.word().map(str::to_owned);
        let id = match (word.as_deref(), tokens.operator()) {
            (_, Some("(")) => self.parenthesis(tokens, parent, from)?,
            (_, Some(_)) => return self.unexpected(tokens, ""),
            (Some("{"), _) => {
                let id = self.start(tokens, parent, from);
                let list = self.body(tokens, id)?;
                self.expect(tokens, "}")?;
                self.close(id, NodeKind::Group(list), tokens.end);
                id
            }
            (Some("if"), _) => self.conditional(tokens, parent, from)?,
            (Some("while" | "until"), _) => {
                let id = self.start(tokens, parent, from);
                let condition = self.body(tokens, id)?;
                let body = self.loop_body(tokens, id)?;
                self.close(id, NodeKind::Loop { condition, body }, tokens.end);
                id
            }
            (Some(word @ ("for" | "select")), _) => self.for_loop(tokens, parent, from, word == "select")?,
            (Some("case"), _) => self.case(tokens, parent, from)?,
            (Some("function"), _) => self.function(tokens, parent, from)?,
            (Some("[["), _) => self.test(tokens, parent, from)?,
            (Some(word), _) if ENDS.contains(&word) || word == "}" => return self.unexpected(tokens, ""),
            _ if tokens.peek().is_none() => return self.unexpected(tokens, "a command"),
            _ => return self.simple(tokens, parent, from),
        };
        self.redirects(tokens, id)?;
        Ok(id)
    }

    /// Opens a node and steps over its first word.
    fn start(&mut self, tokens: &mut Tokens<'t>, parent: NodeId, from: usize) -> NodeId {
        tokens.next();
        self.open(Some(parent), from)
    }

    fn expect(&mut self, tokens: &mut Tokens<'t>, word: &str) -> Parsed<()> {
        if tokens.take_word(word) { Ok(()) } else { self.unexpected(tokens, &format!("`{word}`")) }
    }

    fn loop_body(&mut self, tokens: &mut Tokens<'t>, id: NodeId) -> Parsed<NodeId> {
        self.expect(tokens, "do")?;
        let body = self.body(tokens, id)?;
        self.expect(tokens, "done")?;
        Ok(body)
    }

    /// `(…)` or `((…))`
    fn parenthesis(&mut self, tokens: &mut Tokens<'t>, parent: NodeId, from: usize) -> Parsed<NodeId> {
        let id = self.start(tokens, parent, from);
        // The second one right behind the first: arithmetic, unless it does not end as such.
        if self.text.get(from + 1) == Some('(') && tokens.ahead.is_none() {
            let end = tokens.lexer.skip_arithmetic();
            tokens.end = end;
            let written = self.text.slice(from, end);
            self.close(id, NodeKind::Arithmetic(written), end);
            return Ok(id);
        }
        let list = self.body(tokens, id)?;
        if !tokens.take_operator(")") {
            return self.unexpected(tokens, "`)`");
        }
        self.close(id, NodeKind::Subshell(list), tokens.end);
        Ok(id)
    }

    fn conditional(&mut self, tokens: &mut Tokens<'t>, parent: NodeId, from: usize) -> Parsed<NodeId> {
        let id = self.start(tokens, parent, from);
        let mut branches = Vec::new();
        let mut otherwise = None;
        loop {
            let condition = self.body(tokens, id)?;
            self.expect(tokens, "then")?;
            branches.push((condition, self.body(tokens, id)?));
            if tokens.take_word("elif") {
                continue;
            }
            if tokens.take_word("else") {
                otherwise = Some(self.body(tokens, id)?);
            }
            self.expect(tokens, "fi")?;
            break;
        }
        self.close(id, NodeKind::If { branches, otherwise }, tokens.end);
        Ok(id)
    }

    fn for_loop(&mut self, tokens: &mut Tokens<'t>, parent: NodeId, from: usize, select: bool) -> Parsed<NodeId> {
        let id = self.start(tokens, parent, from);
        if tokens.operator() == Some("(") {
            let from = tokens.start();
            tokens.next();
            let end = tokens.lexer.skip_arithmetic();
            tokens.end = end;
            let text = self.text.slice(from, end);
            tokens.take_operator(";");
            tokens.skip_lines();
            let body = self.loop_body(tokens, id)?;
            self.close(id, NodeKind::ForArithmetic { text, body }, tokens.end);
            return Ok(id);
        }
        let Some(Token::Word(..)) = tokens.peek() else { return self.unexpected(tokens, "the name of a variable") };
        let Some(Token::Word(name, _)) = tokens.next() else { return Err(Stop) };
        tokens.skip_lines();
        let mut words = None;
        if tokens.take_word("in") {
            let mut list = Vec::new();
            while let Some(Token::Word(..)) = tokens.peek() {
                let Some(Token::Word(word, nested)) = tokens.next() else { return Err(Stop) };
                self.nested(nested, id)?;
                list.push(word);
            }
            words = Some(list);
        }
        if !tokens.take_operator(";") && tokens.operator() != Some("\n") && tokens.word() != Some("do") {
            return self.unexpected(tokens, "`;` or a line break");
        }
        tokens.skip_lines();
        let body = self.loop_body(tokens, id)?;
        self.close(id, NodeKind::For { select, name, words, body }, tokens.end);
        Ok(id)
    }

    fn case(&mut self, tokens: &mut Tokens<'t>, parent: NodeId, from: usize) -> Parsed<NodeId> {
        let id = self.start(tokens, parent, from);
        let Some(Token::Word(..)) = tokens.peek() else { return self.unexpected(tokens, "a word") };
        let Some(Token::Word(word, nested)) = tokens.next() else { return Err(Stop) };
        self.nested(nested, id)?;
        tokens.skip_lines();
        self.expect(tokens, "in")?;
        let mut arms = Vec::new();
        loop {
            tokens.skip_lines();
            if tokens.take_word("esac") {
                break;
            }
            tokens.take_operator("(");
            loop {
                let Some(Token::Word(..)) = tokens.peek() else {
                    return self.unexpected(tokens, "a pattern or `esac`");
                };
                if let Some(Token::Word(_, nested)) = tokens.next() {
                    self.nested(nested, id)?;
                }
                if !tokens.take_operator("|") {
                    break;
                }
            }
            if !tokens.take_operator(")") {
                return self.unexpected(tokens, "`)`");
            }
            arms.push(self.list(tokens, Some(id))?);
            if !matches!(tokens.operator(), Some(";;" | ";&" | ";;&")) {
                tokens.skip_lines();
                self.expect(tokens, "esac")?;
                break;
            }
            tokens.next();
        }
        self.close(id, NodeKind::Case { word, arms }, tokens.end);
        Ok(id)
    }

    /// `function NAME [()] BODY`
    fn function(&mut self, tokens: &mut Tokens<'t>, parent: NodeId, from: usize) -> Parsed<NodeId> {
        let id = self.start(tokens, parent, from);
        let Some(Token::Word(..)) = tokens.peek() else { return self.unexpected(tokens, "the function's name") };
        let Some(Token::Word(name, _)) = tokens.next() else { return Err(Stop) };
        let parentheses = tokens.take_operator("(");
        if parentheses && !tokens.take_operator(")") {
            return self.unexpected(tokens, "`)`");
        }
        tokens.skip_lines();
        let body = self.command(tokens, id)?;
        self.close(id, NodeKind::Function { name, keyword: true, parentheses, body }, tokens.end);
        Ok(id)
    }

    /// `[[ … ]]`: operators are words in it.
    fn test(&mut self, tokens: &mut Tokens<'t>, parent: NodeId, from: usize) -> Parsed<NodeId> {
        let id = self.start(tokens, parent, from);
        let mut words = Vec::new();
        loop {
            let at = tokens.start();
            match tokens.next() {
                None => return self.unexpected(tokens, "`]]`"),
                Some(Token::Word(w, _)) if w.raw == "]]" => break,
                Some(Token::Word(w, nested)) => {
                    self.nested(nested, id)?;
                    words.push(w);
                }
                Some(Token::Operator(o)) => words.push(self.operator_word(o, at, tokens.end)),
                Some(Token::Redirect(o, target, nested)) => {
                    self.nested(nested, id)?;
                    let length = o.chars().count();
                    words.push(self.operator_word(&o, at, at + length));
                    words.push(target);
                }
            }
        }
        self.close(id, NodeKind::Test(words), tokens.end);
        Ok(id)
    }

    fn operator_word(&self, text: &str, from: usize, to: usize) -> Word {
        Word {
            raw: text.to_owned(),
            text: text.to_owned(),
            expands: false,
            quoted: false,
            pieces: Vec::new(),
            start: self.text.start_of(from),
            end: self.text.end_of(to),
        }
    }

    fn simple(&mut self, tokens: &mut Tokens<'t>, parent: NodeId, from: usize) -> Parsed<NodeId> {
        let id = self.open(Some(parent), from);
        let mut simple = Simple::default();
        loop {
            match tokens.peek() {
                Some(Token::Word(..)) => {
                    let Some(Token::Word(word, nested)) = tokens.next() else { return Err(Stop) };
                    self.nested(nested, id)?;
                    if simple.words.is_empty() && word.assignment().is_some() {
                        simple.assignments.push(word);
                    } else {
                        simple.words.push(word);
                    }
                }
                Some(Token::Redirect(..)) => {
                    let redirect = self.redirect(tokens, id)?;
                    simple.redirects.push(redirect);
                }
                Some(Token::Operator("(")) if simple.words.len() == 1 && simple.assignments.is_empty() => {
                    return self.defined(tokens, id, simple);
                }
                Some(Token::Operator("(")) => return self.unexpected(tokens, "`;`, a line break or quotes"),
                _ => break,
            }
        }
        if let (Some(first), Some(last)) = (simple.words.first(), simple.words.last())
            && first.raw == "["
            && last.raw != "]"
        {
            let error =
                SyntaxError { message: "`[` needs `]` as its last word".to_owned(), start: first.start, end: last.end };
            self.tree.error.get_or_insert(error);
            return Err(Stop);
        }
        self.close(id, NodeKind::Simple(simple), tokens.end);
        Ok(id)
    }

    /// `NAME() BODY`; the name was read already.
    fn defined(&mut self, tokens: &mut Tokens<'t>, id: NodeId, simple: Simple) -> Parsed<NodeId> {
        tokens.next();
        if !tokens.take_operator(")") {
            return self.unexpected(tokens, "`)`");
        }
        tokens.skip_lines();
        let body = self.command(tokens, id)?;
        let Some(name) = simple.words.into_iter().next() else { return Err(Stop) };
        self.close(id, NodeKind::Function { name, keyword: false, parentheses: true, body }, tokens.end);
        Ok(id)
    }

    fn redirect(&mut self, tokens: &mut Tokens<'t>, id: NodeId) -> Parsed<Redirect> {
        let from = tokens.start();
        let Some(Token::Redirect(operator, target, nested)) = tokens.next() else { return Err(Stop) };
        if target.raw.is_empty() || target.raw == "\n" {
            let end = tokens.end;
            return self.fail(from, end, format!("nothing follows `{operator}`"));
        }
        self.nested(nested, id)?;
        Ok(Redirect { operator, target, start: self.text.start_of(from) })
    }

    /// Redirections behind a compound command.
    fn redirects(&mut self, tokens: &mut Tokens<'t>, id: NodeId) -> Parsed<()> {
        while let Some(Token::Redirect(..)) = tokens.peek() {
            let redirect = self.redirect(tokens, id)?;
            let end = self.text.end_of(tokens.end);
            if let Some(node) = self.tree.nodes.get_mut(id) {
                node.redirects.push(redirect);
                node.end = end;
            }
        }
        Ok(())
    }

    /// The scripts of a word's substitutions.
    fn nested(&mut self, ranges: Substitutions, parent: NodeId) -> Parsed<()> {
        for (from, to) in ranges {
            self.script(from, to, Some(parent))?;
        }
        Ok(())
    }
}
