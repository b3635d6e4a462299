//! The characters of a script with their places in the file, continuations already gone.

/// Characters and where each stands.
#[derive(Debug, Clone)]
pub struct Text {
    chars: Vec<char>,
    /// Byte offset of each character in the file, and one more for the end.
    offsets: Vec<usize>,
}

impl Text {
    /// The part of a Dockerfile between two byte offsets: continued lines are joined as the Dockerfile's reader joins them,
    /// and comment and blank lines between them are left out.
    pub fn instruction(file: &str, start: usize, end: usize, escape: char) -> Text {
        let part = file.get(start..end).unwrap_or("");
        let mut out = Text { chars: Vec::with_capacity(part.len()), offsets: Vec::with_capacity(part.len() + 1) };
        let mut at = 0;
        while let Some(rest) = part.get(at..).filter(|r| !r.is_empty()) {
            let line_end = rest.find('\n').map_or(rest.len(), |i| i + 1);
            let line = rest.get(..line_end).unwrap_or(rest);
            let first = at == 0;
            let trimmed = line.trim();
            let skipped = !first && (trimmed.is_empty() || trimmed.starts_with('#'));
            if !skipped {
                let body = line.trim_end();
                let continued = body.ends_with(escape);
                let kept = if continued { body.strip_suffix(escape).unwrap_or(body) } else { line };
                for (i, c) in kept.char_indices() {
                    out.chars.push(c);
                    out.offsets.push(start + at + i);
                }
                if !continued && line.ends_with('\n') {
                    // Not continued: what follows (heredoc bodies) is no part of the command.
                    break;
                }
            }
            at += line_end;
        }
        out.offsets.push(end);
        out
    }

    /// A script that stands on its own (a heredoc's body), starting at a byte offset of the file. A backslash before a line
    /// break joins the lines.
    pub fn script(script: &str, start: usize) -> Text {
        let mut out = Text { chars: Vec::with_capacity(script.len()), offsets: Vec::with_capacity(script.len() + 1) };
        let mut chars = script.char_indices().peekable();
        while let Some((i, c)) = chars.next() {
            if c == '\\' && chars.peek().is_some_and(|(_, n)| *n == '\n') {
                chars.next();
                continue;
            }
            out.chars.push(c);
            out.offsets.push(start + i);
        }
        out.offsets.push(start + script.len());
        out
    }

    /// Number of characters.
    pub fn len(&self) -> usize {
        self.chars.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    /// A character.
    pub fn get(&self, at: usize) -> Option<char> {
        self.chars.get(at).copied()
    }

    /// Byte offset in the file of the character at `at`.
    pub fn start_of(&self, at: usize) -> usize {
        self.offsets.get(at).or(self.offsets.last()).copied().unwrap_or(0)
    }

    /// Byte offset in the file right after the character before `at`.
    pub fn end_of(&self, at: usize) -> usize {
        match at.checked_sub(1).and_then(|i| Some((self.chars.get(i)?, self.offsets.get(i)?))) {
            Some((c, offset)) => offset + c.len_utf8(),
            None => self.start_of(0),
        }
    }

    /// The characters in a range as text.
    pub fn slice(&self, from: usize, to: usize) -> String {
        self.chars.get(from..to).unwrap_or_default().iter().collect()
    }
}
