//! The paragraph format of Debian control files (deb-control(5)), also used by opkg.

/// Calls `each` for every paragraph with its fields: name, and value with continuation lines as they are.
pub fn paragraphs<'a>(text: &'a [u8], mut each: impl FnMut(&Paragraph<'a>)) {
    let mut paragraph = Paragraph::default();
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', text).chain(std::iter::once(text.len()));
    for end in ends {
        let line = text.get(start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let offset = start;
        start = end + 1;
        match line.first() {
            None => paragraph.end(&mut each),
            Some(b' ' | b'\t') => {
                if line.iter().all(u8::is_ascii_whitespace) {
                    // Blank but not empty: dpkg takes it as an end.
                    paragraph.end(&mut each);
                } else if let Some(field) = paragraph.fields.last_mut() {
                    field.end = end.min(text.len());
                    field.value = text.get(field.start..field.end).unwrap_or_default();
                }
            }
            Some(b'#') => {}
            Some(_) => match memchr::memchr(b':', line) {
                Some(colon) => {
                    let value_at = offset + colon + 1;
                    paragraph.fields.push(Field {
                        name: line.get(..colon).unwrap_or_default(),
                        value: line.get(colon + 1..).unwrap_or_default(),
                        start: value_at,
                        end,
                    });
                }
                None => paragraph.broken += 1,
            },
        }
    }
    paragraph.end(&mut each);
}

struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    start: usize,
    end: usize,
}

/// One paragraph.
#[derive(Default)]
pub struct Paragraph<'a> {
    fields: Vec<Field<'a>>,
    /// Lines that are no field.
    pub broken: usize,
}

impl<'a> Paragraph<'a> {
    fn end(&mut self, each: &mut impl FnMut(&Paragraph<'a>)) {
        if !self.fields.is_empty() || self.broken > 0 {
            each(self);
        }
        self.fields.clear();
        self.broken = 0;
    }

    /// The trimmed value of a field; names compare without case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let field = self.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name.as_bytes()))?;
        std::str::from_utf8(field.value).ok().map(str::trim)
    }
}

/// Names in a relation field (`Depends`): the first of each group of alternatives, without versions and architectures.
pub fn relation_names(value: &str) -> Vec<String> {
    let mut names: Vec<String> = value
        .split(',')
        .filter_map(|group| group.split('|').next())
        .filter_map(|one| one.trim().split([' ', '(', '[', ':', '<', '>', '=', '~']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(Option<String>, usize)> {
        let mut out = Vec::new();
        paragraphs(text.as_bytes(), |p| out.push((p.get("a").map(str::to_owned), p.broken)));
        out
    }

    #[test]
    fn folds_and_separates() {
        assert_eq!(all("A: 1\n more\n\n\n# c\na:2\nB: x"), [(Some("1\n more".into()), 0), (Some("2".into()), 0)]);
        assert_eq!(all("garbage\n\nA: 1\r\n \nA: 2"), [(None, 1), (Some("1".into()), 0), (Some("2".into()), 0)]);
        assert!(all("\n\n").is_empty());
    }

    #[test]
    fn relations() {
        assert_eq!(
            relation_names("libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0, perl:any"),
            ["libc6", "debconf", "perl"]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) { paragraphs(&bytes, |p| { let _ = p.get("Package"); }); }
    }
}
