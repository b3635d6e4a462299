//! Splits a line into words as a shell does, without expanding anything.

/// Words of a line: quotes and backslashes as in `sh`. The error says what is open at the end.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => {
                let next = characters.next().ok_or_else(|| format!("`{line}` ends with a backslash"))?;
                if quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`') {
                    word.get_or_insert_default().push('\\');
                }
                word.get_or_insert_default().push(next);
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("a {open} is not closed in `{line}`"));
    }
    words.extend(word);
    if words.is_empty() { Err("an empty command".to_owned()) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            split(r#"sh -c 'a "b" c' "d \"e\" \n" f\ g """#).unwrap(),
            ["sh", "-c", "a \"b\" c", "d \"e\" \\n", "f g", ""]
        );
        assert!(split("a 'b").unwrap_err().contains("not closed"));
        assert!(split("a \\").is_err() && split("  ").is_err());
    }
}
