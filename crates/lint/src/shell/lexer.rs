//! Characters to tokens.

use super::{Piece, PieceKind, Text, Word};

/// Ranges of characters inside a word that are scripts of their own: the inside of `$(…)` and backquotes.
pub(super) type Substitutions = Vec<(usize, usize)>;

pub(super) enum Token {
    Word(Word, Substitutions),
    Redirect(String, Word, Substitutions),
    /// `&& || | |& & ; ;; ( )` and `\n`.
    Operator(&'static str),
}

/// Longest first, so that `&&` is not read as two `&`.
const OPERATORS: [&str; 11] = [";;&", "&&", "||", "|&", ";;", ";&", "|", "&", ";", "(", ")"];
const REDIRECTS: [&str; 13] = ["<<<", "<<-", "&>>", "<<", ">>", "&>", ">&", "<&", ">|", "<>", "<(", ">", "<"];

pub(super) struct Lexer<'t> {
    text: &'t Text,
    at: usize,
    end: usize,
    /// Where the last token began.
    started: usize,
    /// Delimiters of heredocs whose bodies follow the current line, and whether leading tabs go.
    heredocs: Vec<(String, bool)>,
    /// Where the first quote or expansion begins that never ends, and what would end it.
    pub(super) unclosed: Option<(usize, &'static str)>,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t Text, from: usize, to: usize) -> Lexer<'t> {
        Lexer { text, at: from, end: to.min(text.len()), started: from, heredocs: Vec::new(), unclosed: None }
    }

    /// Where the next token is looked for, in characters.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where the last token began, in characters.
    pub(super) fn token_start(&self) -> usize {
        self.started
    }

    /// Steps over `((…))`, whose first parenthesis was read already; returns where it ends, in characters.
    pub(super) fn skip_arithmetic(&mut self) -> usize {
        let close = self.matching_parenthesis(self.at);
        self.at = (close + 1).min(self.end);
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        if self.peek(0) == Some(')') {
            self.at += 1;
        } else {
            self.never_ends(close, "))");
        }
        self.at
    }

    fn never_ends(&mut self, from: usize, by: &'static str) {
        self.unclosed.get_or_insert((from, by));
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        let at = self.at + ahead;
        if at < self.end { self.text.get(at) } else { None }
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c))
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        loop {
            match self.peek(0)? {
                ' ' | '\t' | '\r' => self.at += 1,
                '\n' => {
                    self.started = self.at;
                    self.at += 1;
                    self.skip_heredocs();
                    return Some(Token::Operator("\n"));
                }
                '#' => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => break,
            }
        }
        self.started = self.at;
        if let Some(token) = self.redirect() {
            return Some(token);
        }
        if let Some(operator) = OPERATORS.iter().find(|o| self.starts_with(o)) {
            self.at += operator.len();
            return Some(Token::Operator(operator));
        }
        let (word, substitutions) = self.word();
        Some(Token::Word(word, substitutions))
    }

    /// `[n]OPERATOR word`
    fn redirect(&mut self) -> Option<Token> {
        let mut digits = 0;
        while self.peek(digits).is_some_and(|c| c.is_ascii_digit()) {
            digits += 1;
        }
        let start = self.at;
        self.at += digits;
        let Some(operator) = REDIRECTS.iter().find(|o| self.starts_with(o)) else {
            self.at = start;
            return None;
        };
        // `<(` and `>(` are process substitutions: words of the command, read as such.
        if (*operator == "<(" || self.starts_with(">(")) && digits == 0 {
            let (word, substitutions) = self.word();
            return Some(Token::Word(word, substitutions));
        }
        self.at += operator.len();
        while self.peek(0).is_some_and(|c| c == ' ' || c == '\t') {
            self.at += 1;
        }
        let shown = self.text.slice(start, start + digits + operator.len());
        let (target, substitutions) = self.word();
        if *operator == "<<" || *operator == "<<-" {
            self.heredocs.push((target.text.clone(), *operator == "<<-"));
        }
        Some(Token::Redirect(shown, target, substitutions))
    }

    fn skip_heredocs(&mut self) {
        for (delimiter, tabs) in std::mem::take(&mut self.heredocs) {
            while self.at < self.end {
                let start = self.at;
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
                let line = self.text.slice(start, self.at);
                self.at += 1;
                if (if tabs { line.trim_start_matches('\t') } else { &line }) == delimiter {
                    break;
                }
            }
            self.at = self.at.min(self.end);
        }
    }

    fn word(&mut self) -> (Word, Substitutions) {
        let start = self.at;
        let mut word = Word {
            raw: String::new(),
            text: String::new(),
            expands: false,
            quoted: false,
            pieces: Vec::new(),
            start: self.text.start_of(start),
            end: 0,
        };
        let mut nested = Vec::new();
        while let Some(c) = self.peek(0) {
            let piece = self.at;
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '|' | '&' | ')' => break,
                '(' if self.at > start
                    && !matches!(self.text.get(self.at - 1), Some('<' | '>' | '=' | '@' | '?' | '*' | '+' | '!')) =>
                {
                    break;
                }
                '(' if self.at == start => break,
                '<' | '>' if self.at > start || self.peek(1) != Some('(') => break,
                '\'' => {
                    word.quoted = true;
                    self.at += 1;
                    while let Some(c) = self.peek(0).filter(|c| *c != '\'') {
                        word.text.push(c);
                        self.at += 1;
                    }
                    if self.peek(0).is_none() {
                        self.never_ends(piece, "'");
                    }
                    self.at += 1;
                    self.piece(&mut word, PieceKind::Single, None, piece);
                }
                '"' => self.double_quoted(&mut word, &mut nested),
                '\\' => {
                    self.at += 1;
                    if let Some(c) = self.peek(0) {
                        word.text.push(c);
                        self.at += 1;
                    }
                    self.piece(&mut word, PieceKind::Escaped, None, piece);
                }
                '$' | '`' => self.expansion(&mut word, &mut nested, None),
                '<' | '>' | '(' => {
                    // A process substitution or an extended pattern: up to its closing parenthesis.
                    let from = self.at;
                    self.at += usize::from(c != '(');
                    let inside = self.at + 1;
                    let close = self.matching_parenthesis(self.at);
                    if close >= self.end {
                        self.never_ends(from, ")");
                    }
                    if c != '(' {
                        nested.push((inside, close));
                        word.expands = true;
                    }
                    self.at = (close + 1).min(self.end);
                    word.text.push_str(&self.text.slice(from, self.at));
                    let kind = if c == '(' { PieceKind::Parentheses } else { PieceKind::Process };
                    self.piece(&mut word, kind, None, from);
                }
                c => {
                    word.text.push(c);
                    self.at += 1;
                    self.literal(&mut word, None, piece);
                }
            }
        }
        self.at = self.at.min(self.end);
        if self.at == start {
            // Nothing here is a word (a stray parenthesis): step over it, so that reading always goes on.
            self.at = (start + 1).min(self.end);
        }
        word.raw = self.text.slice(start, self.at);
        word.end = self.text.end_of(self.at).max(word.start);
        (word, nested)
    }

    /// Adds what was read since `from` to the word's pieces.
    fn piece(&self, word: &mut Word, kind: PieceKind, string: Option<usize>, from: usize) {
        let to = self.at.min(self.end);
        word.pieces.push(Piece {
            kind,
            string,
            text: self.text.slice(from, to),
            start: self.text.start_of(from),
            end: self.text.end_of(to),
        });
    }

    /// One more plain character: longer makes the piece before it if that is plain, too.
    fn literal(&self, word: &mut Word, string: Option<usize>, from: usize) {
        let to = self.at.min(self.end);
        match word.pieces.last_mut() {
            Some(last) if last.kind == PieceKind::Literal && last.string == string => {
                last.text.extend(self.text.get(from));
                last.end = self.text.end_of(to);
            }
            _ => self.piece(word, PieceKind::Literal, string, from),
        }
    }

    fn double_quoted(&mut self, word: &mut Word, nested: &mut Substitutions) {
        word.quoted = true;
        let open = self.at;
        let string = Some(self.text.start_of(open));
        self.at += 1;
        let before = word.pieces.len();
        while let Some(c) = self.peek(0) {
            let piece = self.at;
            match c {
                '"' => {
                    self.at += 1;
                    if word.pieces.len() == before {
                        self.piece(word, PieceKind::Empty, string, open);
                    }
                    return;
                }
                '\\' if self.peek(1).is_some_and(|n| "$`\"\\\n".contains(n)) => {
                    word.text.extend(self.peek(1));
                    self.at += 2;
                    self.piece(word, PieceKind::Escaped, string, piece);
                }
                '$' | '`' => self.expansion(word, nested, string),
                c => {
                    word.text.push(c);
                    self.at += 1;
                    self.literal(word, string, piece);
                }
            }
        }
        self.never_ends(open, "\"");
    }

    /// At `$` or a backquote: copies the expansion as written and notes the scripts in it.
    fn expansion(&mut self, word: &mut Word, nested: &mut Substitutions, string: Option<usize>) {
        let from = self.at;
        let (kind, end) = if self.peek(0) == Some('`') {
            let mut close = self.at + 1;
            while close < self.end && self.text.get(close) != Some('`') {
                close += 1 + usize::from(self.text.get(close) == Some('\\'));
            }
            if close >= self.end {
                self.never_ends(from, "`");
            }
            nested.push((from + 1, close.min(self.end)));
            (PieceKind::Backquotes, close + 1)
        } else {
            match self.peek(1) {
                Some('(') if self.peek(2) == Some('(') => {
                    let close = self.matching_parenthesis(self.at + 1);
                    self.check_close(from, close, ")");
                    (PieceKind::Arithmetic, close + 1)
                }
                Some('(') => {
                    let close = self.matching_parenthesis(self.at + 1);
                    self.check_close(from, close, ")");
                    nested.push((from + 2, close));
                    (PieceKind::Command, close + 1)
                }
                Some('{') => {
                    let end = self.braced(from + 2, nested);
                    if self.text.get(end.saturating_sub(1)) != Some('}') {
                        self.never_ends(from, "}");
                    }
                    (PieceKind::Variable, end)
                }
                Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                    let mut end = from + 2;
                    while self.text.get(end).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                        end += 1;
                    }
                    (PieceKind::Variable, end)
                }
                Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => (PieceKind::Variable, from + 2),
                next => {
                    // A lone dollar sign is itself; before a quote (`$'…'`) it only changes how the quote is read.
                    word.text.push('$');
                    self.at += 1;
                    let kind = match next {
                        Some('\'' | '"') if string.is_none() => PieceKind::DollarQuote,
                        _ => PieceKind::Literal,
                    };
                    self.piece(word, kind, string, from);
                    return;
                }
            }
        };
        self.at = end.min(self.end);
        word.expands = true;
        word.text.push_str(&self.text.slice(from, self.at));
        self.piece(word, kind, string, from);
    }

    fn check_close(&mut self, from: usize, close: usize, by: &'static str) {
        if close >= self.end {
            self.never_ends(from, by);
        }
    }

    /// Inside `${`: where it ends, with the command substitutions in it noted.
    fn braced(&mut self, mut at: usize, nested: &mut Substitutions) -> usize {
        let mut depth = 1;
        while at < self.end {
            match self.text.get(at) {
                Some('\\') => at += 1,
                Some('{') => depth += 1,
                Some('}') => {
                    depth -= 1;
                    if depth == 0 {
                        return at + 1;
                    }
                }
                Some('$') if self.text.get(at + 1) == Some('(') => {
                    let close = self.matching_parenthesis(at + 1);
                    if self.text.get(at + 2) != Some('(') {
                        nested.push((at + 2, close));
                    }
                    at = close;
                }
                _ => {}
            }
            at += 1;
        }
        self.end
    }

    /// Where the parenthesis that opens at `open` closes; the end where it does not.
    fn matching_parenthesis(&self, open: usize) -> usize {
        let mut depth = 0usize;
        let mut at = open;
        let mut quote = None;
        while at < self.end {
            let Some(c) = self.text.get(at) else { break };
            match quote {
                Some('\'') if c == '\'' => quote = None,
                Some('"') if c == '\\' => at += 1,
                Some('"') if c == '"' => quote = None,
                Some(_) => {}
                None => match c {
                    '\\' => at += 1,
                    '\'' | '"' => quote = Some(c),
                    '(' => depth += 1,
                    ')' => {
                        depth = depth.saturating_sub(1);
                        if depth == 0 {
                            return at;
                        }
                    }
                    _ => {}
                },
            }
            at += 1;
        }
        self.end
    }
}
