//! Text to tree.

use super::TemplateError;

/// Deepest nesting of actions and parentheses: no real template comes near, and the recursion stays small.
const MAX_DEPTH: usize = 64;

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    /// `{{ pipeline }}`, or `{{ $x := pipeline }}` which prints nothing.
    Print {
        variable: Option<String>,
        pipeline: Pipeline,
    },
    If {
        branches: Vec<(Pipeline, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    With {
        pipeline: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        key: Option<String>,
        element: Option<String>,
        pipeline: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

impl Node {
    /// The last field name that this prints, for table headers.
    pub(super) fn printed_field(&self) -> Option<String> {
        let Node::Print { variable: None, pipeline } = self else { return None };
        pipeline.commands.iter().flat_map(|c| &c.words).find_map(|w| match w {
            Word::Chain { fields, .. } => fields.last().cloned(),
            _ => None,
        })
    }
}

/// Commands joined by `|`.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub commands: Vec<Command>,
}

/// A function with arguments, or one value.
#[derive(Debug)]
pub(super) struct Command {
    pub words: Vec<Word>,
}

#[derive(Debug)]
pub(super) enum Word {
    /// A field chain from `.` (no variable), from `$` or from a variable.
    Chain {
        variable: Option<String>,
        fields: Vec<String>,
    },
    Text(String),
    Number(f64),
    Bool(bool),
    Nil,
    Function(String),
    Group(Pipeline, Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Chain(String),
    Open,
    Close,
    Pipe,
    Comma,
    Assign,
}

struct Action {
    tokens: Vec<Token>,
    column: usize,
}

enum Piece {
    Text(String),
    Action(Action),
}

fn syntax(column: usize, message: impl Into<String>) -> TemplateError {
    TemplateError::Syntax { column, message: message.into() }
}

pub(super) fn parse(text: &str) -> Result<Vec<Node>, TemplateError> {
    let mut pieces = split(text)?.into_iter();
    let (nodes, end) = block(&mut pieces, 0)?;
    match end {
        None => Ok(nodes),
        Some(action) => Err(syntax(action.column, format!("unexpected `{}`", keyword(&action).unwrap_or("end")))),
    }
}

/// Cuts at `{{` and `}}`, trims where `{{-` and `-}}` say so.
fn split(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    let column = |rest: &str| text.len().saturating_sub(rest.len()) + 1;
    loop {
        let Some(start) = rest.find("{{") else {
            pieces.push(Piece::Text(if trim_next { rest.trim_start() } else { rest }.to_owned()));
            return Ok(pieces);
        };
        let (before, from) = rest.split_at(start);
        let here = column(from);
        let mut inner = from.get(2..).unwrap_or_default();
        let mut before = if trim_next { before.trim_start() } else { before };
        if let Some(stripped) = inner.strip_prefix("- ") {
            before = before.trim_end();
            inner = stripped;
        }
        pieces.push(Piece::Text(before.to_owned()));
        let end = action_end(inner).ok_or_else(|| syntax(here, "unclosed action"))?;
        let (mut body, after) = inner.split_at(end);
        rest = after.get(2..).unwrap_or_default();
        trim_next = body.ends_with(" -");
        if trim_next {
            body = body.get(..body.len() - 2).unwrap_or_default();
        }
        let comment = body.trim().starts_with("/*") && body.trim().ends_with("*/");
        if !comment {
            pieces.push(Piece::Action(Action { tokens: tokens(body, here)?, column: here }));
        }
    }
}

/// Where `}}` is, strings skipped.
fn action_end(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut quote = None;
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        match quote {
            Some(q) if b == b'\\' && q == b'"' => i += 1,
            Some(q) if b == q => quote = None,
            Some(_) => {}
            None if b == b'"' || b == b'`' => quote = Some(b),
            None if b == b'}' && bytes.get(i + 1) == Some(&b'}') => return Some(i),
            None => {}
        }
        i += 1;
    }
    None
}

fn tokens(body: &str, column: usize) -> Result<Vec<Token>, TemplateError> {
    let mut out = Vec::new();
    let mut chars = body.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' | '\n' => {
                chars.next();
            }
            '(' | ')' | '|' | ',' => {
                chars.next();
                out.push(match c {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    '|' => Token::Pipe,
                    _ => Token::Comma,
                });
            }
            ':' | '=' => {
                chars.next();
                if c == ':' && chars.next() != Some('=') {
                    return Err(syntax(column, "expected `:=`"));
                }
                out.push(Token::Assign);
            }
            '"' | '`' => {
                chars.next();
                out.push(Token::Text(string(&mut chars, c, column)?));
            }
            '.' | '$' => {
                let mut word = String::new();
                while let Some(&c) = chars.peek().filter(|c| c.is_alphanumeric() || "._$".contains(**c)) {
                    word.push(c);
                    chars.next();
                }
                out.push(Token::Chain(word));
            }
            c if c.is_alphanumeric() || "_-+".contains(c) => {
                let mut word = String::new();
                while let Some(&c) = chars.peek().filter(|c| c.is_alphanumeric() || "._-+".contains(**c)) {
                    word.push(c);
                    chars.next();
                }
                out.push(Token::Word(word));
            }
            other => return Err(syntax(column, format!("unexpected character `{}`", other.escape_default()))),
        }
    }
    Ok(out)
}

fn string(chars: &mut impl Iterator<Item = char>, quote: char, column: usize) -> Result<String, TemplateError> {
    let mut text = String::new();
    loop {
        match chars.next() {
            None => return Err(syntax(column, "unclosed string")),
            Some(c) if c == quote => return Ok(text),
            Some('\\') if quote == '"' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(c @ ('\\' | '"' | '\'')) => text.push(c),
                _ => return Err(syntax(column, "unknown escape in a string")),
            },
            Some(c) => text.push(c),
        }
    }
}

fn keyword(action: &Action) -> Option<&str> {
    match action.tokens.first() {
        Some(Token::Word(w)) => Some(w),
        _ => None,
    }
}

/// Nodes up to `end` or `else`, which is handed back.
fn block(pieces: &mut std::vec::IntoIter<Piece>, depth: usize) -> Result<(Vec<Node>, Option<Action>), TemplateError> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                if !text.is_empty() {
                    nodes.push(Node::Text(text));
                }
                continue;
            }
            Piece::Action(action) => action,
        };
        if depth > MAX_DEPTH {
            return Err(syntax(action.column, "nested too deeply"));
        }
        match keyword(&action) {
            Some("end" | "else") => return Ok((nodes, Some(action))),
            Some("if") => nodes.push(if_node(&action, pieces, depth)?),
            Some("with" | "range") => nodes.push(with_or_range(&action, pieces, depth)?),
            Some(w @ ("template" | "define" | "block" | "break" | "continue")) => {
                return Err(syntax(action.column, format!("`{w}` is not supported in --format")));
            }
            _ => nodes.push(print_node(&action)?),
        }
    }
    Ok((nodes, None))
}

fn body(
    pieces: &mut std::vec::IntoIter<Piece>,
    opener: &Action,
    depth: usize,
) -> Result<(Vec<Node>, Action), TemplateError> {
    let (nodes, end) = block(pieces, depth + 1)?;
    let end = end.ok_or_else(|| syntax(opener.column, format!("unclosed `{}`", keyword(opener).unwrap_or(""))))?;
    Ok((nodes, end))
}

fn if_node(action: &Action, pieces: &mut std::vec::IntoIter<Piece>, depth: usize) -> Result<Node, TemplateError> {
    let mut branches = Vec::new();
    let mut condition = whole_pipeline(action.tokens.get(1..).unwrap_or_default(), action.column)?;
    loop {
        let (nodes, end) = body(pieces, action, depth)?;
        branches.push((condition, nodes));
        if keyword(&end) == Some("end") {
            return Ok(Node::If { branches, otherwise: Vec::new() });
        }
        match end.tokens.get(1) {
            Some(Token::Word(w)) if w == "if" => {
                condition = whole_pipeline(end.tokens.get(2..).unwrap_or_default(), end.column)?;
            }
            _ => {
                let (otherwise, _) = body(pieces, action, depth)?;
                return Ok(Node::If { branches, otherwise });
            }
        }
    }
}

fn with_or_range(action: &Action, pieces: &mut std::vec::IntoIter<Piece>, depth: usize) -> Result<Node, TemplateError> {
    let range = keyword(action) == Some("range");
    let tokens = action.tokens.get(1..).unwrap_or_default();
    let (variables, rest) = declaration(tokens);
    let pipeline = whole_pipeline(rest, action.column)?;
    let (nodes, end) = body(pieces, action, depth)?;
    let otherwise = if keyword(&end) == Some("else") { body(pieces, action, depth)?.0 } else { Vec::new() };
    if !range {
        return Ok(Node::With { pipeline, body: nodes, otherwise });
    }
    let mut variables = variables.into_iter();
    let (key, element) = match (variables.next(), variables.next()) {
        (Some(element), None) => (None, Some(element)),
        (key, element) => (key, element),
    };
    Ok(Node::Range { key, element, pipeline, body: nodes, otherwise })
}

/// `$a := …` or `$a, $b := …`: the names and what follows.
fn declaration(tokens: &[Token]) -> (Vec<String>, &[Token]) {
    match tokens {
        [Token::Chain(a), Token::Assign, rest @ ..] if a.starts_with('$') => (vec![a.clone()], rest),
        [Token::Chain(a), Token::Comma, Token::Chain(b), Token::Assign, rest @ ..]
            if a.starts_with('$') && b.starts_with('$') =>
        {
            (vec![a.clone(), b.clone()], rest)
        }
        _ => (Vec::new(), tokens),
    }
}

fn print_node(action: &Action) -> Result<Node, TemplateError> {
    let (variables, rest) = declaration(&action.tokens);
    Ok(Node::Print { variable: variables.into_iter().next(), pipeline: whole_pipeline(rest, action.column)? })
}

fn whole_pipeline(tokens: &[Token], column: usize) -> Result<Pipeline, TemplateError> {
    let mut at = 0;
    let pipeline = pipeline(tokens, &mut at, column, 0)?;
    if at < tokens.len() {
        return Err(syntax(column, "unexpected `)`"));
    }
    Ok(pipeline)
}

fn pipeline(tokens: &[Token], at: &mut usize, column: usize, depth: usize) -> Result<Pipeline, TemplateError> {
    if depth > MAX_DEPTH {
        return Err(syntax(column, "nested too deeply"));
    }
    let mut commands = Vec::new();
    let mut words = Vec::new();
    loop {
        let token = tokens.get(*at);
        match token {
            None | Some(Token::Close | Token::Pipe) => {
                if words.is_empty() {
                    return Err(syntax(column, "a value is missing"));
                }
                commands.push(Command { words: std::mem::take(&mut words) });
                if token != Some(&Token::Pipe) {
                    return Ok(Pipeline { commands });
                }
            }
            Some(Token::Open) => {
                *at += 1;
                let inner = pipeline(tokens, at, column, depth + 1)?;
                if tokens.get(*at) != Some(&Token::Close) {
                    return Err(syntax(column, "unclosed `(`"));
                }
                let mut fields = Vec::new();
                if let Some(Token::Chain(chain)) =
                    tokens.get(*at + 1).filter(|t| matches!(t, Token::Chain(c) if c.len() > 1 && c.starts_with('.')))
                {
                    fields = split_fields(chain.trim_start_matches('.'), column)?;
                    *at += 1;
                }
                words.push(Word::Group(inner, fields));
            }
            Some(Token::Text(text)) => words.push(Word::Text(text.clone())),
            Some(Token::Chain(chain)) => words.push(chain_word(chain, column)?),
            Some(Token::Word(word)) => words.push(plain_word(word)),
            Some(Token::Comma | Token::Assign) => return Err(syntax(column, "unexpected `,` or `:=`")),
        }
        *at += 1;
    }
}

fn plain_word(word: &str) -> Word {
    match word {
        "true" => Word::Bool(true),
        "false" => Word::Bool(false),
        "nil" => Word::Nil,
        _ => match word.parse::<f64>() {
            Ok(n) if word.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') => Word::Number(n),
            _ => Word::Function(word.to_owned()),
        },
    }
}

fn chain_word(chain: &str, column: usize) -> Result<Word, TemplateError> {
    if chain == "." {
        return Ok(Word::Chain { variable: None, fields: Vec::new() });
    }
    if let Some(rest) = chain.strip_prefix('.') {
        return Ok(Word::Chain { variable: None, fields: split_fields(rest, column)? });
    }
    let (variable, rest) = chain.split_once('.').map_or((chain, None), |(v, r)| (v, Some(r)));
    let fields = rest.map_or(Ok(Vec::new()), |r| split_fields(r, column))?;
    Ok(Word::Chain { variable: Some(variable.to_owned()), fields })
}

fn split_fields(text: &str, column: usize) -> Result<Vec<String>, TemplateError> {
    let fields: Vec<String> = text.split('.').map(str::to_owned).collect();
    if fields.iter().any(String::is_empty) {
        return Err(syntax(column, "a field name is missing after `.`"));
    }
    Ok(fields)
}
