//! Variables, quotes and escapes in the words of a Dockerfile.
//!
//! Forms: `$a ${a} ${a:-w} ${a-w} ${a:+w} ${a+w} ${a:?w} ${a?w} ${a#p} ${a##p} ${a%p} ${a%%p} ${a/p/r} ${a//p/r}`.
//! Single quotes keep everything; double quotes keep everything but `$` and the escape character before `"`, `$` and
//! itself. An unset variable is empty.

use crate::pattern::Pattern;

/// Largest result of one expansion, in bytes. Linux takes no longer argument than 128 KiB, so nothing real is near;
/// without a limit thirty lines of `ARG A=$B$B` fill any memory.
pub const MAX_RESULT_BYTES: usize = 1 << 20;

/// Deepest nesting of `${a:-${b:-…}}`.
const MAX_DEPTH: usize = 64;

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpandError {
    /// In one line.
    pub message: String,
    /// Byte offset in the word where it went wrong.
    pub offset: usize,
}

/// Answers the value of a variable; `None` is unset.
pub type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// The rules of one expansion. [`Expander::new`] gives those for ordinary words.
#[derive(Clone, Copy)]
pub struct Expander<'l> {
    /// The file's escape character.
    pub escape: char,
    /// Where values come from.
    pub lookup: Lookup<'l>,
    /// Leave quotes in the result.
    pub raw_quotes: bool,
    /// Leave escape characters in the result.
    pub raw_escapes: bool,
    /// Quotes are ordinary characters (bodies of heredocs).
    pub ignore_quotes: bool,
    /// Leave references to unset variables as they are.
    pub keep_unset: bool,
}

/// One word of a split result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitWord {
    /// The text.
    pub text: String,
    /// Byte offsets in the input of what it came from.
    pub start: usize,
    /// End of it.
    pub end: usize,
}

/// The outcome of one expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// The whole result.
    pub text: String,
    /// The result split at white space outside quotes.
    pub words: Vec<SplitWord>,
    /// Variables that had no value: name and byte offset of the `$`.
    pub unset: Vec<(String, usize)>,
    /// Variables that had one.
    pub used: Vec<String>,
}

impl<'l> Expander<'l> {
    /// Quotes and escapes are processed and removed, unset variables are empty.
    pub fn new(escape: char, lookup: Lookup<'l>) -> Expander<'l> {
        Expander { escape, lookup, raw_quotes: false, raw_escapes: false, ignore_quotes: false, keep_unset: false }
    }

    /// For bodies of `COPY <<EOF`: only variables and escapes; the escape character is `\` whatever the file says.
    pub fn for_heredoc(lookup: Lookup<'l>) -> Expander<'l> {
        Expander { ignore_quotes: true, ..Expander::new('\\', lookup) }
    }

    /// Expands to one word.
    pub fn word(&self, text: &str) -> Result<String, ExpandError> {
        self.process(text).map(|e| e.text)
    }

    /// Expands, then splits at white space that was not quoted: values that hold spaces become several words.
    pub fn words(&self, text: &str) -> Result<Vec<String>, ExpandError> {
        Ok(self.process(text)?.words.into_iter().map(|w| w.text).collect())
    }

    /// Expands with all that is known about it.
    pub fn process(&self, text: &str) -> Result<Expansion, ExpandError> {
        let mut run = Run { rules: *self, text, at: 0, out: Expansion::default(), splitter: Splitter::default() };
        let result = run.until(None, self.raw_escapes, 0)?;
        run.splitter.finish();
        run.out.text = result;
        run.out.words = run.splitter.words;
        Ok(run.out)
    }
}

#[derive(Default)]
struct Splitter {
    words: Vec<SplitWord>,
    current: String,
    start: Option<usize>,
    end: usize,
}

impl Splitter {
    fn character(&mut self, c: char, start: usize, end: usize) {
        if c.is_whitespace() {
            if !self.current.is_empty() {
                self.finish();
            }
        } else {
            self.raw(c.encode_utf8(&mut [0; 4]), start, end);
        }
    }

    fn raw(&mut self, text: &str, start: usize, end: usize) {
        self.start.get_or_insert(start);
        self.end = end;
        self.current.push_str(text);
    }

    fn finish(&mut self) {
        let start = self.start.take();
        if !self.current.is_empty() {
            let text = std::mem::take(&mut self.current);
            self.words.push(SplitWord { text, start: start.unwrap_or_default(), end: self.end });
        }
    }
}

struct Run<'t, 'l> {
    rules: Expander<'l>,
    text: &'t str,
    at: usize,
    out: Expansion,
    splitter: Splitter,
}

impl Run<'_, '_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|r| r.chars().next())
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, ExpandError> {
        Err(ExpandError { message: message.into(), offset: self.at })
    }

    fn check(&self, result: &str) -> Result<(), ExpandError> {
        if result.len() > MAX_RESULT_BYTES {
            return self.error(format!("the expanded value is longer than {} KiB", MAX_RESULT_BYTES >> 10));
        }
        Ok(())
    }

    /// Processes up to `stop` (which is consumed) or the end. Only the outermost call splits words.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool, depth: usize) -> Result<String, ExpandError> {
        if depth > MAX_DEPTH {
            return self.error(format!("`${{…}}` is nested more than {MAX_DEPTH} deep"));
        }
        let top = depth == 0;
        let mut result = String::new();
        while let Some(c) = self.peek() {
            let start = self.at;
            if stop == Some(c) {
                self.next();
                return Ok(result);
            }
            match c {
                '$' => {
                    let value = self.dollar(depth)?;
                    if top {
                        value.chars().for_each(|c| self.splitter.character(c, start, self.at));
                    }
                    result.push_str(&value);
                }
                '\'' | '"' if !self.rules.ignore_quotes => {
                    let value = if c == '"' { self.double_quoted(raw_escapes, depth)? } else { self.single_quoted()? };
                    if top {
                        self.splitter.raw(&value, start, self.at);
                    }
                    result.push_str(&value);
                }
                _ => self.plain(&mut result, raw_escapes, top),
            }
            self.check(&result)?;
        }
        match stop {
            Some(c) => self.error(format!("`{c}` is missing at the end")),
            None => Ok(result),
        }
    }

    fn plain(&mut self, result: &mut String, raw_escapes: bool, top: bool) {
        let start = self.at;
        let Some(c) = self.next() else { return };
        if c != self.rules.escape {
            result.push(c);
            if top {
                self.splitter.character(c, start, self.at);
            }
            return;
        }
        let mut kept = String::new();
        if raw_escapes {
            kept.push(c);
        }
        // The escape character at the very end stands for nothing.
        kept.extend(self.next());
        result.push_str(&kept);
        if top && !kept.is_empty() {
            self.splitter.raw(&kept, start, self.at);
        }
    }

    fn single_quoted(&mut self) -> Result<String, ExpandError> {
        let mut result = String::new();
        if self.rules.raw_quotes {
            result.push('\'');
        }
        self.next();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(end) = rest.find('\'') else { return self.error("the closing `'` is missing") };
        result.push_str(rest.get(..end).unwrap_or_default());
        self.at += end + 1;
        if self.rules.raw_quotes {
            result.push('\'');
        }
        Ok(result)
    }

    fn double_quoted(&mut self, raw_escapes: bool, depth: usize) -> Result<String, ExpandError> {
        let mut result = String::new();
        self.next();
        if self.rules.raw_quotes {
            result.push('"');
        }
        loop {
            match self.peek() {
                None => return self.error("the closing `\"` is missing"),
                Some('"') => {
                    self.next();
                    if self.rules.raw_quotes {
                        result.push('"');
                    }
                    return Ok(result);
                }
                Some('$') => {
                    let value = self.dollar(depth)?;
                    result.push_str(&value);
                    self.check(&result)?;
                }
                Some(c) => {
                    self.next();
                    let escaped = self.peek().filter(|n| matches!(n, '"' | '$') || *n == self.rules.escape);
                    match escaped.filter(|_| c == self.rules.escape) {
                        Some(n) => {
                            if raw_escapes {
                                result.push(c);
                            }
                            result.push(n);
                            self.next();
                        }
                        None => result.push(c),
                    }
                }
            }
        }
    }

    fn value_of(&mut self, name: &str, at: usize) -> Option<String> {
        let value = (self.rules.lookup)(name);
        match &value {
            Some(_) => self.out.used.push(name.to_owned()),
            None => self.out.unset.push((name.to_owned(), at)),
        }
        value
    }

    fn dollar(&mut self, depth: usize) -> Result<String, ExpandError> {
        let start = self.at;
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.value_of(&name, start) {
                Some(value) => value,
                None if self.rules.keep_unset => format!("${name}"),
                None => String::new(),
            });
        }
        self.next();
        match self.peek() {
            None => return self.error("the closing `}` is missing"),
            Some(c @ ('{' | '}' | ':')) => return self.error(format!("a variable's name is missing before `{c}`")),
            _ => {}
        }
        let name = self.name();
        let Some(operator) = self.next() else { return self.error("the closing `}` is missing") };
        match operator {
            '}' => Ok(match self.value_of(&name, start) {
                Some(value) => value,
                None if self.rules.keep_unset => format!("${{{name}}}"),
                None => String::new(),
            }),
            ':' => {
                let Some(operator) = self.next() else { return self.error("the closing `}` is missing") };
                self.modified(&name, operator, true, start, depth)
            }
            '/' => self.replaced(&name, start, depth),
            _ => self.modified(&name, operator, false, start, depth),
        }
    }

    fn modified(
        &mut self,
        name: &str,
        operator: char,
        empty_is_unset: bool,
        start: usize,
        depth: usize,
    ) -> Result<String, ExpandError> {
        let mark = if empty_is_unset { ":" } else { "" };
        if !matches!(operator, '+' | '-' | '?' | '#' | '%') {
            return self.error(format!("`{mark}{operator}` is no modifier of `${{{name}}}`"));
        }
        let trims = matches!(operator, '#' | '%');
        let word = self.until(Some('}'), trims, depth + 1)?;
        let value = self.value_of(name, start);
        if self.rules.keep_unset && value.is_none() {
            return Ok(format!("${{{name}{mark}{operator}{word}}}"));
        }
        let filled = value.as_ref().filter(|v| !(empty_is_unset && v.is_empty()));
        match operator {
            '-' => Ok(filled.cloned().unwrap_or(word)),
            '+' => Ok(filled.map(|_| word).unwrap_or_default()),
            '?' => match filled {
                Some(value) => Ok(value.clone()),
                None if !word.is_empty() => self.error(format!("{name}: {word}")),
                None if value.is_none() => self.error(format!("{name}: is not allowed to be unset")),
                None => self.error(format!("{name}: is not allowed to be empty")),
            },
            _ => {
                let longest = word.starts_with(operator);
                let pattern = if longest { word.get(1..).unwrap_or_default() } else { &word };
                let value = value.unwrap_or_default();
                let trimmed = Pattern::compile(pattern).and_then(|p| {
                    let kept =
                        if operator == '#' { p.trim_prefix(&value, longest) } else { p.trim_suffix(&value, longest) };
                    kept.map(str::to_owned)
                });
                trimmed.or_else(|message| self.error(message))
            }
        }
    }

    fn replaced(&mut self, name: &str, start: usize, depth: usize) -> Result<String, ExpandError> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.until(Some('/'), true, depth + 1)?;
        let by = self.until(Some('}'), true, depth + 1)?;
        let value = self.value_of(name, start);
        if self.rules.keep_unset && value.is_none() {
            let slash = if all { "//" } else { "/" };
            return Ok(format!("${{{name}{slash}{pattern}/{by}}}"));
        }
        let value = value.unwrap_or_default();
        Pattern::compile(&pattern)
            .and_then(|p| p.replace(&value, &by, all, MAX_RESULT_BYTES))
            .or_else(|message| self.error(message))
    }

    /// A variable's name: letters, digits and `_`; or digits alone; or one special character.
    fn name(&mut self) -> String {
        let start = self.at;
        match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    self.next();
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => {
                self.next();
            }
            _ => {
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.next();
                }
            }
        }
        self.text.get(start..self.at).unwrap_or_default().to_owned()
    }
}
