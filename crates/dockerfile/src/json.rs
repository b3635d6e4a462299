//! JSON arrays of strings, with the place of each string. BuildKit tries JSON first and takes what is not JSON for
//! a shell command; what is JSON but holds something else than strings is an error.

use crate::ast::Word;
use crate::pieces::Piece;

/// What an argument text turned out to be.
pub(crate) enum JsonForm {
    /// An array of strings.
    Words(Vec<Word>),
    /// An array with other things in it.
    NotStrings,
    /// No JSON array.
    No,
}

/// Nesting beyond this is taken for "not JSON": nothing a Dockerfile means has any.
const MAX_DEPTH: usize = 64;

/// Reads `text` as a JSON array.
pub(crate) fn read(text: Piece<'_>) -> JsonForm {
    let text = text.trim();
    let mut reader = Reader { text: text.text, at: 0 };
    if !reader.eat('[') {
        return JsonForm::No;
    }
    match reader.array(text) {
        Some(form) if reader.rest().trim_start_matches(is_space).is_empty() => form,
        _ => JsonForm::No,
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_space).len();
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// After `[`. `None`: not JSON.
    fn array(&mut self, text: Piece<'_>) -> Option<JsonForm> {
        let mut words = Vec::new();
        let mut strings = true;
        self.skip_space();
        if self.eat(']') {
            return Some(JsonForm::Words(words));
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.peek() == Some('"') {
                let value = self.string()?;
                words.push(text.part(start, self.at).valued(value));
            } else {
                self.value(0)?;
                strings = false;
            }
            self.skip_space();
            match self.next()? {
                ',' => {}
                ']' if strings => return Some(JsonForm::Words(words)),
                ']' => return Some(JsonForm::NotStrings),
                _ => return None,
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        if !self.eat('"') {
            return None;
        }
        let mut out = String::new();
        loop {
            match self.next()? {
                '"' => return Some(out),
                '\\' => out.push(self.escape()?),
                c if (c as u32) < 0x20 => return None,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            c @ ('"' | '\\' | '/') => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = self.hex4()?;
                if !(0xD800..0xDC00).contains(&first) {
                    return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                // A high surrogate needs its low half; alone, Go's decoder makes it U+FFFD.
                let before = self.at;
                if self.rest().starts_with("\\u") {
                    self.at += 2;
                    let second = self.hex4()?;
                    if (0xDC00..0xE000).contains(&second) {
                        let scalar = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                        return char::from_u32(scalar);
                    }
                    self.at = before;
                }
                char::REPLACEMENT_CHARACTER
            }
            _ => return None,
        })
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    /// Skips any value.
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        match self.peek()? {
            '"' => self.string().map(drop),
            '[' => self.container(']', false, depth),
            '{' => self.container('}', true, depth),
            c if c == '-' || c.is_ascii_digit() => self.number(),
            _ => {
                let word = ["true", "false", "null"].into_iter().find(|w| self.rest().starts_with(w))?;
                self.at += word.len();
                Some(())
            }
        }
    }

    fn container(&mut self, close: char, keyed: bool, depth: usize) -> Option<()> {
        self.next()?;
        self.skip_space();
        if self.eat(close) {
            return Some(());
        }
        loop {
            self.skip_space();
            if keyed {
                self.string()?;
                self.skip_space();
                if !self.eat(':') {
                    return None;
                }
            }
            self.value(depth + 1)?;
            self.skip_space();
            match self.next()? {
                ',' => {}
                c if c == close => return Some(()),
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        self.eat('-');
        let leading_zero = self.peek() == Some('0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            return None;
        }
        if self.eat('.') {
            self.digits()?;
        }
        if self.eat('e') || self.eat('E') {
            let _sign = self.eat('+') || self.eat('-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<usize> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        (count > 0).then_some(count)
    }
}
