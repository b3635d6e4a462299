//! Control files: stanzas of `Name: value` lines (deb822(5), Debian policy §5.1).

/// One stanza, borrowed from its text. Order is kept; names are compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Stanza<'a> {
    /// The value of `name` with its continuation lines, as written but for white space around it.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v)
    }

    /// All fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.fields.iter().copied()
    }

    /// Parses the text of one stanza (no empty lines within).
    ///
    /// # Errors
    /// The 1-based line within the stanza and what is wrong with it.
    pub fn parse(text: &'a str) -> Result<Stanza<'a>, String> {
        let mut fields: Vec<(&'a str, &'a str)> = Vec::new();
        let mut start = 0;
        // A field's value is one slice from after the colon to the end of its last continuation line.
        let mut open: Option<(&'a str, usize)> = None;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let end = start + line.len();
            if line.starts_with([' ', '\t']) {
                if open.is_none() {
                    return Err(format!("line {} continues no field", number + 1));
                }
            } else if !line.trim().is_empty() && !line.starts_with('#') {
                if let Some((name, from)) = open.take() {
                    fields.push((name, text.get(from..start).unwrap_or("").trim()));
                }
                let Some((name, _)) = line.split_once(':') else {
                    return Err(format!("line {} is no `Name: value`", number + 1));
                };
                if name.is_empty() || name.contains(char::is_whitespace) {
                    return Err(format!("line {} has a bad field name", number + 1));
                }
                open = Some((name, start + name.len() + 1));
            }
            start = end;
        }
        if let Some((name, from)) = open {
            fields.push((name, text.get(from..).unwrap_or("").trim()));
        }
        Ok(Stanza { fields })
    }
}

/// Splits a text of several stanzas at its empty lines. Nothing is copied.
pub fn stanzas(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").map(|s| s.trim_matches('\n')).filter(|s| !s.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_continuation_lines() {
        let stanza = Stanza::parse("Package: a\nDepends: b,\n c\nDescription: short\n long\n .\n more\n").unwrap();
        assert_eq!(stanza.get("package"), Some("a"));
        assert_eq!(stanza.get("Depends"), Some("b,\n c"));
        assert_eq!(stanza.get("Description"), Some("short\n long\n .\n more"));
        assert_eq!(stanza.get("Nothing"), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        assert!(Stanza::parse(" x: y").unwrap_err().contains("line 1"));
        assert!(Stanza::parse("A: b\nno colon\n").unwrap_err().contains("line 2"));
    }

    #[test]
    fn stanzas_are_split_at_empty_lines() {
        assert_eq!(stanzas("A: 1\n\n\nB: 2\n\n").collect::<Vec<_>>(), ["A: 1", "B: 2"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_fails_but_never_panics(text: String) {
            for s in stanzas(&text) {
                let _ = Stanza::parse(s);
            }
        }
    }
}
