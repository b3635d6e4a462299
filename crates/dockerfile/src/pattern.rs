//! Shell patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?`, and `\` before `*`, `?`, `\`, `}` and `/`.

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// Any one character but a line end.
    Any,
    /// Any characters but a line end.
    Star,
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
}

/// Work allowed for one match, in character comparisons: about a second.
const MAX_STEPS: usize = 1 << 28;

impl Pattern {
    /// Errors with the reason.
    pub(crate) fn compile(text: &str) -> Result<Pattern, String> {
        let mut tokens = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => match characters.next() {
                    // `}` and `/` are escaped for the sake of `${}` only.
                    Some(c @ ('}' | '/' | '*' | '?' | '\\')) => Token::Literal(c),
                    Some(c) => return Err(format!("invalid escape `\\{c}` in the pattern `{text}`")),
                    None => return Err(format!("the pattern `{text}` ends in an escape character")),
                },
                c => Token::Literal(c),
            });
        }
        tokens.dedup_by(|b, a| *a == Token::Star && *b == Token::Star);
        Ok(Pattern { tokens })
    }

    /// Length, in characters, of the shortest or longest start of `text` that matches.
    fn prefix(&self, text: impl Iterator<Item = char>, reverse: bool, longest: bool) -> Option<usize> {
        let count = self.tokens.len();
        let token = |i: usize| self.tokens.get(if reverse { count - 1 - i } else { i }).copied();
        // `states[i]`: the first i tokens are used up.
        let mut states = vec![false; count + 1];
        let close = |states: &mut Vec<bool>| {
            for i in 0..count {
                if states[i] && token(i) == Some(Token::Star) {
                    states[i + 1] = true;
                }
            }
        };
        states[0] = true;
        close(&mut states);
        let mut best = states[count].then_some(0);
        for (at, c) in text.enumerate() {
            if best.is_some() && !longest {
                return best;
            }
            let mut next = vec![false; count + 1];
            let mut alive = false;
            for (i, active) in states.iter().enumerate().take(count) {
                if !active {
                    continue;
                }
                match token(i) {
                    Some(Token::Literal(l)) if l == c => next[i + 1] = true,
                    Some(Token::Any) if c != '\n' => next[i + 1] = true,
                    Some(Token::Star) if c != '\n' => next[i] = true,
                    _ => continue,
                }
                alive = true;
            }
            if !alive {
                return best;
            }
            close(&mut next);
            states = next;
            if states[count] {
                best = Some(at + 1);
            }
        }
        best
    }

    fn affordable(&self, text: &str) -> Result<(), String> {
        if text.len().saturating_mul(self.tokens.len()) > MAX_STEPS {
            return Err("the pattern is too costly for a value of this length".to_owned());
        }
        Ok(())
    }

    /// `${v#p}` and `${v##p}`.
    pub(crate) fn trim_prefix<'t>(&self, text: &'t str, longest: bool) -> Result<&'t str, String> {
        self.affordable(text)?;
        let Some(length) = self.prefix(text.chars(), false, longest) else { return Ok(text) };
        Ok(text.get(byte_of(text, length)..).unwrap_or_default())
    }

    /// `${v%p}` and `${v%%p}`.
    pub(crate) fn trim_suffix<'t>(&self, text: &'t str, longest: bool) -> Result<&'t str, String> {
        self.affordable(text)?;
        let Some(length) = self.prefix(text.chars().rev(), true, longest) else { return Ok(text) };
        let end =
            if length == 0 { text.len() } else { text.char_indices().rev().nth(length - 1).map_or(0, |(at, _)| at) };
        Ok(text.get(..end).unwrap_or_default())
    }

    /// `${v/p/r}` and `${v//p/r}`: the leftmost longest match, or every one.
    pub(crate) fn replace(&self, text: &str, by: &str, all: bool, limit: usize) -> Result<String, String> {
        self.affordable(text)?;
        let mut out = String::new();
        let mut at = 0;
        let mut steps = 0usize;
        let mut after_match = false;
        while at <= text.len() {
            let rest = text.get(at..).unwrap_or_default();
            steps = steps.saturating_add(self.tokens.len()).saturating_add(self.cost(rest));
            if steps > MAX_STEPS {
                return Err("the pattern is too costly for a value of this length".to_owned());
            }
            let found = self.prefix(rest.chars(), false, true).map(|n| byte_of(rest, n));
            match found {
                // An empty match right after another match does not count.
                Some(length) if length > 0 || !after_match => {
                    out.push_str(by);
                    at += length;
                    if !all {
                        out.push_str(text.get(at..).unwrap_or_default());
                        return Ok(out);
                    }
                    after_match = length > 0;
                    if length > 0 {
                        if out.len() > limit {
                            return Err("the result is too long".to_owned());
                        }
                        continue;
                    }
                }
                _ => after_match = false,
            }
            let Some(c) = text.get(at..).and_then(|r| r.chars().next()) else { break };
            out.push(c);
            at += c.len_utf8();
            if out.len() > limit {
                return Err("the result is too long".to_owned());
            }
        }
        Ok(out)
    }

    /// Worst case of one attempt: a star looks at everything that is left.
    fn cost(&self, rest: &str) -> usize {
        if self.tokens.contains(&Token::Star) { rest.len().saturating_mul(self.tokens.len()) } else { 0 }
    }
}

fn byte_of(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}
