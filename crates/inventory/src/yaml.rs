//! The part of YAML that lock files are written in: block and one-line flow collections, plain and quoted scalars.
//!
//! Machine-written locks (pnpm, Yarn, pub, CocoaPods, Stack) use no anchors, tags or several documents. Block scalars
//! are kept as their text. What is outside of this gives an error, never a guess.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yaml {
    /// Anything that is no collection, quotes resolved.
    Scalar(String),
    /// A mapping, in file order.
    Map(Vec<(String, Yaml)>),
    /// A sequence.
    Seq(Vec<Yaml>),
}

/// Collections within collections. Lock files stay under ten.
const MAX_DEPTH: usize = 64;

impl Yaml {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Yaml> {
        self.entries().iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(String, Yaml)] {
        match self {
            Yaml::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; none for anything else.
    pub fn items(&self) -> &[Yaml] {
        match self {
            Yaml::Seq(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match self {
            Yaml::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a key's scalar.
    pub fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }
}

/// Reads one document.
/// # Errors
/// Words with the line number, when the text is outside of what is understood.
pub fn parse(text: &str) -> Result<Yaml, String> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (number, raw) in text.lines().enumerate() {
        let content = raw.trim_start_matches(' ');
        let indent = raw.len() - content.len();
        if content.starts_with("---") && indent == 0 && lines.is_empty() {
            continue;
        }
        if content == "..." || (content.starts_with("---") && indent == 0) {
            break;
        }
        if content.starts_with('\t') {
            return Err(format!("line {}: tabs cannot indent YAML", number + 1));
        }
        lines.push(Line { number: number + 1, indent, content: content.trim_end(), raw });
    }
    let mut parser = Parser { lines, at: 0 };
    parser.skip_blank();
    let Some(first) = parser.peek() else { return Ok(Yaml::Map(Vec::new())) };
    let value = parser.block(first.indent, 0)?;
    parser.skip_blank();
    match parser.peek() {
        None => Ok(value),
        Some(line) => Err(format!("line {}: unexpected indentation", line.number)),
    }
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    indent: usize,
    content: &'a str,
    raw: &'a str,
}

struct Parser<'a> {
    lines: Vec<Line<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Line<'a>> {
        self.lines.get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        while self.peek().is_some_and(|l| l.content.is_empty() || l.content.starts_with('#')) {
            self.at += 1;
        }
    }

    fn block(&mut self, indent: usize, depth: usize) -> Result<Yaml, String> {
        let Some(line) = self.peek() else { return Ok(Yaml::Scalar(String::new())) };
        if depth > MAX_DEPTH {
            return Err(format!("line {}: nested too deeply", line.number));
        }
        if line.content == "-" || line.content.starts_with("- ") {
            self.sequence(indent, depth)
        } else if line.content.starts_with(['{', '[']) {
            self.at += 1;
            flow(line.content, line.number)
        } else {
            self.mapping(indent, depth)
        }
    }

    fn sequence(&mut self, indent: usize, depth: usize) -> Result<Yaml, String> {
        let mut items = Vec::new();
        loop {
            self.skip_blank();
            let Some(line) = self.peek().filter(|l| l.indent == indent) else { break };
            let Some(rest) = line.content.strip_prefix('-').filter(|r| r.is_empty() || r.starts_with(' ')) else {
                break;
            };
            let inner = rest.trim_start();
            if inner.is_empty() {
                self.at += 1;
                items.push(self.child(indent, depth)?);
            } else if split_key(inner).is_some() || inner.starts_with("- ") {
                // `- key: value`: the mapping starts on this line, indented by the dash.
                let deeper = indent + (line.content.len() - inner.len());
                if let Some(slot) = self.lines.get_mut(self.at) {
                    slot.indent = deeper;
                    slot.content = inner;
                }
                items.push(self.block(deeper, depth + 1)?);
            } else {
                self.at += 1;
                items.push(self.scalar(inner, line, indent)?);
            }
        }
        Ok(Yaml::Seq(items))
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Result<Yaml, String> {
        let mut entries = Vec::new();
        loop {
            self.skip_blank();
            let Some(line) = self.peek().filter(|l| l.indent == indent) else { break };
            if let Some(key) = line.content.strip_prefix("? ") {
                // A key too long for one line: `? key` and then `: value`.
                self.at += 1;
                let key = unquote(key.trim(), line.number)?;
                let value = match self.peek().filter(|l| l.indent == indent) {
                    Some(next) if next.content.starts_with(':') => {
                        let rest = next.content.strip_prefix(':').unwrap_or_default().trim_start();
                        self.explicit_value(rest, next, indent, depth)?
                    }
                    _ => Yaml::Scalar(String::new()),
                };
                entries.push((key, value));
                continue;
            }
            let Some((key, rest)) = split_key(line.content) else {
                return Err(format!("line {}: no key", line.number));
            };
            self.at += 1;
            let key = unquote(key, line.number)?;
            let value = if rest.is_empty() { self.child(indent, depth)? } else { self.scalar(rest, line, indent)? };
            entries.push((key, value));
        }
        if let Some(line) = self.peek().filter(|l| l.indent > indent) {
            return Err(format!("line {}: unexpected indentation", line.number));
        }
        Ok(Yaml::Map(entries))
    }

    fn explicit_value(&mut self, rest: &'a str, line: Line<'a>, indent: usize, depth: usize) -> Result<Yaml, String> {
        if rest.is_empty() {
            self.at += 1;
            return self.child(indent, depth);
        }
        if split_key(rest).is_some() {
            let deeper = indent + (line.content.len() - rest.len());
            if let Some(slot) = self.lines.get_mut(self.at) {
                slot.indent = deeper;
                slot.content = rest;
            }
            return self.block(deeper, depth + 1);
        }
        self.at += 1;
        self.scalar(rest, line, indent)
    }

    /// The value below a key: deeper lines, or a sequence at the same depth.
    fn child(&mut self, indent: usize, depth: usize) -> Result<Yaml, String> {
        self.skip_blank();
        match self.peek() {
            Some(line) if line.indent > indent => self.block(line.indent, depth + 1),
            Some(line) if line.indent == indent && (line.content == "-" || line.content.starts_with("- ")) => {
                self.sequence(indent, depth + 1)
            }
            _ => Ok(Yaml::Scalar(String::new())),
        }
    }

    fn scalar(&mut self, text: &'a str, line: Line<'a>, indent: usize) -> Result<Yaml, String> {
        match text.chars().next() {
            Some('{' | '[') => flow(text, line.number),
            Some('|' | '>') => {
                let mut lines = Vec::new();
                while let Some(next) = self.peek().filter(|l| l.indent > indent || l.content.is_empty()) {
                    lines.push(next.raw.trim());
                    self.at += 1;
                }
                Ok(Yaml::Scalar(lines.join("\n").trim_end().to_owned()))
            }
            Some('&' | '*' | '!') => Err(format!("line {}: anchors and tags are not understood", line.number)),
            _ => unquote(text, line.number).map(Yaml::Scalar),
        }
    }
}

/// Splits `key: rest`, minding quotes. The rest is trimmed and without its comment.
fn split_key(content: &str) -> Option<(&str, &str)> {
    let end = match content.chars().next()? {
        quote @ ('"' | '\'') => quoted_end(content, quote)?,
        '{' | '[' | '#' => return None,
        _ => {
            if let Some(at) = content.find(": ") {
                at
            } else if content.ends_with(':') {
                content.len() - 1
            } else {
                return None;
            }
        }
    };
    let rest = content.get(end..)?.strip_prefix(':')?;
    if !(rest.is_empty() || rest.starts_with(' ')) {
        return None;
    }
    let rest = rest.trim();
    Some((content.get(..end)?, if rest.starts_with('#') { "" } else { rest }))
}

/// Where a quoted scalar at the start ends (after the closing quote).
fn quoted_end(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote == '"' => {
                chars.next();
            }
            c if c == quote => {
                if quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == '\'') {
                    chars.next();
                } else {
                    return Some(at + c.len_utf8());
                }
            }
            _ => {}
        }
    }
    None
}

fn unquote(text: &str, number: usize) -> Result<String, String> {
    let text = text.trim();
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let end = quoted_end(text, quote).ok_or_else(|| format!("line {number}: a quote is not closed"))?;
            let inner = text.get(1..end - 1).unwrap_or_default();
            Ok(if quote == '\'' { inner.replace("''", "'") } else { unescape(inner) })
        }
        _ => Ok(text.find(" #").and_then(|at| text.get(..at)).unwrap_or(text).trim_end().to_owned()),
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// A flow collection on one line.
fn flow(text: &str, number: usize) -> Result<Yaml, String> {
    let mut rest = text;
    flow_value(&mut rest, 0).ok_or_else(|| format!("line {number}: a flow collection is not closed on its line"))
}

fn flow_value(rest: &mut &str, depth: usize) -> Option<Yaml> {
    *rest = rest.trim_start();
    if depth > MAX_DEPTH {
        return None;
    }
    match rest.chars().next()? {
        open @ ('{' | '[') => {
            *rest = rest.get(1..)?;
            let close = if open == '{' { '}' } else { ']' };
            let (mut entries, mut items) = (Vec::new(), Vec::new());
            loop {
                *rest = rest.trim_start();
                if let Some(after) = rest.strip_prefix(close) {
                    *rest = after;
                    break;
                }
                let before = rest.len();
                let value = flow_value(rest, depth + 1)?;
                *rest = rest.trim_start();
                if open == '{' {
                    let key = value.text()?.to_owned();
                    let value = match rest.strip_prefix(':') {
                        Some(after) => {
                            *rest = after;
                            flow_value(rest, depth + 1)?
                        }
                        None => Yaml::Scalar(String::new()),
                    };
                    entries.push((key, value));
                } else {
                    items.push(value);
                }
                *rest = rest.trim_start();
                *rest = rest.strip_prefix(',').unwrap_or(rest);
                if rest.len() == before {
                    // A bracket of the other kind, or a stray colon.
                    return None;
                }
            }
            Some(if open == '{' { Yaml::Map(entries) } else { Yaml::Seq(items) })
        }
        quote @ ('"' | '\'') => {
            let end = quoted_end(rest, quote)?;
            let value = unquote(rest.get(..end)?, 0).ok()?;
            *rest = rest.get(end..)?;
            Some(Yaml::Scalar(value))
        }
        _ => {
            let end = rest
                .char_indices()
                .find(|(at, c)| {
                    matches!(c, ',' | '}' | ']')
                        || (*c == ':' && rest.get(at + 1..).is_none_or(|r| r.is_empty() || r.starts_with([' ', ','])))
                })
                .map(|(at, _)| at)?;
            let value = rest.get(..end)?.trim().to_owned();
            *rest = rest.get(end..)?;
            Some(Yaml::Scalar(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_in_all_its_forms() {
        let text = "---\n# comment\nlockfileVersion: '9.0'\nsettings:\n  a: true # yes\npackages:\n\n  '@s/a@1.0.0':\n    resolution: {integrity: sha512-x==, tarball: https://x/y}\n    engines: {node: '>=6'}\n    cpu: [x64, \"arm64\"]\n  ? very-long\n  : resolution: {a: b}\n    dev: true\nlist:\n- one\n- name: two\n  v: 2\n- \nafter: \"x: y\"\nurl: http://a:80/b\ntext: |\n  one\n  two\nend: 1\n";
        let yaml = parse(text).unwrap();
        assert_eq!(yaml.text_at("lockfileVersion"), Some("9.0"));
        assert_eq!(yaml.get("settings").unwrap().text_at("a"), Some("true"));
        let package = yaml.get("packages").unwrap().get("@s/a@1.0.0").unwrap();
        assert_eq!(package.get("resolution").unwrap().text_at("tarball"), Some("https://x/y"));
        assert_eq!(package.get("engines").unwrap().text_at("node"), Some(">=6"));
        assert_eq!(package.get("cpu").unwrap().items().len(), 2);
        let long = yaml.get("packages").unwrap().get("very-long").unwrap();
        assert_eq!(long.text_at("dev"), Some("true"));
        assert_eq!(yaml.get("list").unwrap().items()[1].text_at("v"), Some("2"));
        assert_eq!(yaml.text_at("after"), Some("x: y"));
        assert_eq!(yaml.text_at("url"), Some("http://a:80/b"));
        assert_eq!(yaml.text_at("text"), Some("one\ntwo"));
        assert_eq!(yaml.text_at("end"), Some("1"));
    }

    #[test]
    fn damage_is_an_error() {
        for bad in ["a: {b", "a: [}", "a: [: b]", "a: *x", "a: 1\n   b: 2", "\"x", "a:\n\tb: 1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let deep: String = (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
        assert!(parse(&deep).is_err());
        assert!(parse(&format!("a: {}", "[".repeat(100_000))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = parse(&text); }
        #[test]
        fn any_near_yaml(text in "[a\\-: \n{}\\[\\],'\"?|#]{0,60}") { let _ = parse(&text); }
    }
}
