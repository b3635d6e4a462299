//! `.dockerignore`: which files of a context the build does not see.
//!
//! The pattern language is docker's: Go's `filepath.Match` (`*`, `?`, `[class]`, `\` escapes) on cleaned paths
//! relative to the context, plus `**` for any number of directories and `!` for exceptions. The last pattern that
//! matches a path, or a directory above it, decides.

use std::fmt;

/// Patterns, in file order.
#[derive(Debug, Clone, Default)]
pub struct IgnoreFile {
    patterns: Vec<Rule>,
    exceptions: bool,
}

/// A line that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{text}` is not a valid pattern: {why}")]
pub struct IgnoreError {
    /// 1-based line.
    pub line: usize,
    /// The line, shortened.
    pub text: String,
    /// Reason.
    pub why: &'static str,
}

#[derive(Clone)]
struct Rule {
    glob: Glob,
    exception: bool,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.exception { "!" } else { "" }, self.glob.text)
    }
}

/// What the walk knows about a directory: which patterns matched it. Children inherit it.
#[derive(Debug, Clone, Default)]
pub struct DirState {
    matched: Vec<bool>,
}

/// The verdict on one path.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The build does not see it.
    pub ignored: bool,
    /// For a directory: pass this when asking about its children.
    pub state: DirState,
}

impl IgnoreFile {
    /// Reads the file. Invalid UTF-8 is taken as it comes; a pattern that Go's matcher refuses is an error.
    pub fn parse(bytes: &[u8]) -> Result<IgnoreFile, IgnoreError> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let mut out = IgnoreFile::default();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            out.push(line).map_err(|why| IgnoreError {
                line: index + 1,
                text: line.chars().take(80).collect(),
                why,
            })?;
        }
        Ok(out)
    }

    /// A matcher for a list of patterns, such as the values of `COPY --exclude`.
    pub fn from_patterns<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<IgnoreFile, IgnoreError> {
        let mut out = IgnoreFile::default();
        for (index, pattern) in patterns.into_iter().enumerate() {
            out.push(pattern).map_err(|why| IgnoreError {
                line: index + 1,
                text: pattern.chars().take(80).collect(),
                why,
            })?;
        }
        Ok(out)
    }

    fn push(&mut self, line: &str) -> Result<(), &'static str> {
        let line = line.trim();
        let (exception, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        if pattern.is_empty() {
            return if exception { Err("`!` needs a pattern") } else { Ok(()) };
        }
        let cleaned = clean(pattern);
        let cleaned = cleaned.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&cleaned);
        self.exceptions |= exception;
        self.patterns.push(Rule { glob: Glob::compile(cleaned)?, exception });
        Ok(())
    }

    /// True when nothing is ever ignored.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Asks about one path (relative, `/` between parts) without a walk: parents are looked at too.
    pub fn is_ignored(&self, path: &str) -> bool {
        let mut state = DirState::default();
        let mut ignored = false;
        for (at, _) in path.match_indices('/').chain(std::iter::once((path.len(), ""))) {
            let verdict = self.check(path.get(..at).unwrap_or(path), &state);
            (ignored, state) = (verdict.ignored, verdict.state);
        }
        ignored
    }

    /// Asks about `path`, whose parent directory had `parent`.
    pub fn check(&self, path: &str, parent: &DirState) -> Verdict {
        let mut ignored = false;
        let mut matched = Vec::with_capacity(self.patterns.len());
        for (index, rule) in self.patterns.iter().enumerate() {
            let inherited = parent.matched.get(index).copied().unwrap_or(false);
            // A rule that would not change the answer need not be matched, unless children inherit it.
            let hit = inherited || (rule.exception == ignored && rule.glob.matches(path));
            if hit {
                ignored = !rule.exception;
            }
            matched.push(hit);
        }
        Verdict { ignored, state: DirState { matched } }
    }

    /// Whether an ignored directory must be walked all the same, because an exception may match below it.
    pub fn may_reach_below(&self, directory: &str) -> bool {
        self.exceptions && self.patterns.iter().any(|r| r.exception && r.glob.may_match_below(directory))
    }
}

/// Go's `filepath.Clean` for relative patterns: no empty parts, no `.`, `..` taken back, no slash at the end.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// A pattern on whole paths.
#[derive(Clone)]
pub struct Glob {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Literal(char),
    /// `?`: one character, not `/`.
    Any,
    /// `*`: characters without `/`.
    Star,
    /// `**` before something: nothing, or anything that ends in `/`. This half chooses between the two…
    DirectoriesOpen,
    /// …and this half reads up to a `/`.
    DirectoriesInside,
    /// `**` at the end: anything.
    Everything,
    /// `[…]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Compiles docker's form of Go's pattern language. Errors with the reason.
    pub fn compile(pattern: &str) -> Result<Glob, &'static str> {
        let mut tokens = Vec::new();
        let mut characters = pattern.chars().peekable();
        while let Some(c) = characters.next() {
            let token = match c {
                '*' if characters.peek() == Some(&'*') => {
                    characters.next();
                    let slash = characters.next_if_eq(&'/').is_some();
                    // `**name` at the start with nothing special after it is a plain suffix, across directories.
                    let suffix = tokens.is_empty() && !slash && !characters.clone().any(|c| "*?[]\\".contains(c));
                    if characters.peek().is_none() || suffix {
                        Token::Everything
                    } else {
                        tokens.push(Token::DirectoriesOpen);
                        Token::DirectoriesInside
                    }
                }
                '*' => Token::Star,
                '?' => Token::Any,
                '[' => class(&mut characters)?,
                '\\' => Token::Literal(characters.next().ok_or("it ends in `\\`")?),
                c => Token::Literal(c),
            };
            tokens.push(token);
        }
        Ok(Glob { text: pattern.to_owned(), tokens })
    }

    /// Whether the pattern holds anything but literal characters.
    pub fn is_literal(&self) -> bool {
        self.tokens.iter().all(|t| matches!(t, Token::Literal(_)))
    }

    /// Whether the whole of `path` matches.
    pub fn matches(&self, path: &str) -> bool {
        // States of a nondeterministic automaton: which numbers of tokens may be used up after each character.
        // Patterns are short, so this is quick, and no pattern makes it slow.
        let count = self.tokens.len();
        let mut states = vec![false; count + 1];
        states[0] = true;
        self.close(&mut states);
        let mut next = vec![false; count + 1];
        for c in path.chars() {
            next.fill(false);
            let mut alive = false;
            for (i, token) in self.tokens.iter().enumerate().filter(|(i, _)| states[*i]) {
                let (stay, step) = match token {
                    Token::Literal(l) => (false, *l == c),
                    Token::Any => (false, c != '/'),
                    Token::Star => (c != '/', false),
                    Token::Everything => (true, false),
                    Token::DirectoriesOpen => (false, false),
                    Token::DirectoriesInside => (true, c == '/'),
                    Token::Class { negated, ranges } => {
                        (false, ranges.iter().any(|(lo, hi)| (*lo..=*hi).contains(&c)) != *negated)
                    }
                };
                next[i] |= stay;
                next[i + 1] |= step;
                alive |= stay | step;
            }
            if !alive {
                return false;
            }
            self.close(&mut next);
            std::mem::swap(&mut states, &mut next);
        }
        states[count]
    }

    /// Passes over tokens that may match nothing.
    fn close(&self, states: &mut [bool]) {
        for (i, token) in self.tokens.iter().enumerate() {
            if !states[i] {
                continue;
            }
            match token {
                Token::Star | Token::Everything => states[i + 1] = true,
                Token::DirectoriesOpen => {
                    states[i + 1] = true;
                    states[i + 2] = true;
                }
                _ => {}
            }
        }
    }

    /// Whether some path below `directory` could match: compares the pattern's literal start.
    fn may_match_below(&self, directory: &str) -> bool {
        let mut below = directory.chars().chain(std::iter::once('/'));
        for token in &self.tokens {
            match (token, below.next()) {
                (Token::Literal(l), Some(c)) if *l == c => {}
                (Token::Literal(_), Some(_)) => return false,
                _ => return true,
            }
        }
        // The pattern is used up: it names a directory above, and all below it matches.
        matches!(below.next(), None | Some('/'))
    }
}

fn class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    const OPEN: &str = "`[` is not closed";
    let negated = characters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let c = characters.next().ok_or(OPEN)?;
        if c == ']' && !ranges.is_empty() {
            return Ok(Token::Class { negated, ranges });
        }
        let lo = bound(c, characters)?;
        if characters.next_if_eq(&'-').is_none() {
            ranges.push((lo, lo));
            continue;
        }
        let c = characters.next().ok_or(OPEN)?;
        ranges.push((lo, bound(c, characters)?));
    }
}

/// One end of a range, as Go reads it.
fn bound(c: char, characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, &'static str> {
    match c {
        '\\' => characters.next().ok_or("`[` is not closed"),
        '-' | ']' => Err("`-` or `]` stands where a character is expected"),
        c => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::compile(pattern).unwrap().matches(path)
    }

    #[test]
    fn globs_match_as_go_and_docker_do() {
        for (pattern, path, expected) in [
            ("foo", "foo", true),
            ("foo", "foo/bar", false),
            ("*", "foo", true),
            ("*", "foo/bar", false),
            ("*.go", "a.go", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("**", "a/b/c", true),
            ("**/foo", "foo", true),
            ("**/foo", "a/b/foo", true),
            ("**/foo", "xfoo", false),
            ("**foo", "xfoo", true),
            ("**foo", "a/xfoo", true),
            ("**/*.txt", "a/b/c.txt", true),
            ("**/*.txt", "c.txt", true),
            ("**/*.txt", "c.txtx", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("a/**", "a/x/y", true),
            ("a/**", "a", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[\\]]", "]", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("é*", "élan", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        for bad in ["[", "[]", "[a", "a\\", "[-]", "[a-]"] {
            assert!(Glob::compile(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_ignored_with_their_directories_and_exceptions() {
        let file = IgnoreFile::parse(
            b"\xEF\xBB\xBF# comment\n\n  node_modules/  \n/build\n*.log\n!keep.log\ndocs\n!docs/README.md\n./a/../tmp\n",
        )
        .unwrap();
        for (path, ignored) in [
            ("node_modules", true),
            ("node_modules/x/y.js", true),
            ("build/out", true),
            ("src/build", false),
            ("a.log", true),
            ("sub/a.log", false),
            ("keep.log", false),
            ("docs", true),
            ("docs/README.md", false),
            ("docs/other.md", true),
            ("tmp/x", true),
            ("# comment", false),
        ] {
            assert_eq!(file.is_ignored(path), ignored, "{path}");
        }
        assert!(file.may_reach_below("docs"));
        assert!(!file.may_reach_below("node_modules"));
    }

    #[test]
    fn the_last_match_decides_and_stars_reach_below() {
        let file = IgnoreFile::parse(b"*\n!src\nsrc/*.tmp\n!**/keep\n").unwrap();
        assert!(file.is_ignored("a"));
        assert!(!file.is_ignored("src/main.rs"));
        assert!(file.is_ignored("src/x.tmp"));
        assert!(!file.is_ignored("deep/below/keep"));
        assert!(file.may_reach_below("anything"), "`**` reaches everywhere");
    }

    #[test]
    fn a_bad_pattern_is_named_with_its_line() {
        let error = IgnoreFile::parse(b"ok\n[bad\n").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(IgnoreFile::parse(b"!\n").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_and_paths_are_answered(bytes: Vec<u8>, path: String) {
            if let Ok(file) = IgnoreFile::parse(&bytes) {
                let _ = file.is_ignored(&path);
                let _ = file.may_reach_below(&path);
            }
        }

        #[test]
        fn a_directory_that_cannot_reach_an_exception_has_none_below(
            patterns in proptest::collection::vec("!?[ab*?/]{1,6}", 1..5), directory in "[ab]{1,2}(/[ab])?", name in "[ab]{1,2}"
        ) {
            let Ok(file) = IgnoreFile::from_patterns(patterns.iter().map(String::as_str)) else { return Ok(()) };
            if file.is_ignored(&directory) && !file.may_reach_below(&directory) {
                let path = format!("{directory}/{name}");
                proptest::prop_assert!(file.is_ignored(&path), "{:?} {}", file, path);
            }
        }
    }
}
