//! Lenient pieces for typed JSON: real-world metadata has numbers, objects or nothing where a string belongs.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Reads JSON as people's tools do: a byte order mark is skipped, bytes that are not UTF-8 are replaced.
/// # Errors
/// When it is no JSON of this shape.
pub fn parse<T: de::DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_str(&String::from_utf8_lossy(bytes)),
    }
}

/// Turns JSON with comments and trailing commas into JSON.
pub fn strip_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match (in_string, c) {
            (true, '\\') => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            (_, '"') => in_string = !in_string,
            (false, '/') if chars.peek() == Some(&'/') => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
                continue;
            }
            (false, '/') if chars.peek() == Some(&'*') => {
                chars.next();
                let mut last = ' ';
                for c in chars.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
                continue;
            }
            (false, '}' | ']') => {
                let kept = out.trim_end().len();
                if out.get(..kept).is_some_and(|o| o.ends_with(',')) {
                    out.truncate(kept - 1);
                }
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// A string; numbers become their text, everything else the empty string.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(pub String);

impl Text {
    /// The string, unless it is empty.
    pub fn some(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Text, E> {
        Ok(Text(value.to_owned()))
    }
    fn visit_string<E: de::Error>(self, value: String) -> Result<Text, E> {
        Ok(Text(value))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Text, E> {
        Ok(Text::default())
    }
    fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
        Ok(Text::default())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
}

/// Licences: a string, an object with `type`, `id` or `name`, or a list of those.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Licenses(pub Vec<String>);

impl<'de> Deserialize<'de> for Licenses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LicensesVisitor)
    }
}

struct LicensesVisitor;

impl<'de> Visitor<'de> for LicensesVisitor {
    type Value = Licenses;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("licences")
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Licenses, E> {
        Ok(Licenses(Some(value.trim()).filter(|v| !v.is_empty()).map(str::to_owned).into_iter().collect()))
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Licenses, E> {
        Ok(Licenses::default())
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Licenses, E> {
        Ok(Licenses::default())
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Licenses, E> {
        Ok(Licenses::default())
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Licenses, E> {
        Ok(Licenses::default())
    }
    fn visit_unit<E: de::Error>(self) -> Result<Licenses, E> {
        Ok(Licenses::default())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Licenses, A::Error> {
        let mut all = Vec::new();
        while let Some(Licenses(some)) = seq.next_element()? {
            if all.len() < 64 {
                all.extend(some);
            }
        }
        Ok(Licenses(all))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Licenses, A::Error> {
        let mut all = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            let Text(value) = map.next_value()?;
            if matches!(key.as_str(), "type" | "id" | "name") && !value.is_empty() && all.is_empty() {
                all.push(value);
            }
        }
        Ok(Licenses(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_is_text_or_empty() {
        for (json, text) in [("\"a\"", "a"), ("1.5", "1.5"), ("3", "3"), ("null", ""), ("{\"a\":[1]}", ""), ("[1]", "")]
        {
            assert_eq!(serde_json::from_str::<Text>(json).unwrap().0, text);
        }
    }

    #[test]
    fn comments_and_trailing_commas() {
        let text = "{ // x\n \"a\": [1, 2, ], /* , */ \"b//\": \"c,}\\\"\", }";
        let value: serde_json::Value = serde_json::from_str(&strip_comments(text)).unwrap();
        assert_eq!(value, serde_json::json!({ "a": [1, 2], "b//": "c,}\"" }));
    }

    #[test]
    fn licences_in_all_their_forms() {
        for (json, want) in [
            ("\"MIT\"", vec!["MIT"]),
            ("{\"type\":\"BSD\",\"url\":\"x\"}", vec!["BSD"]),
            ("[{\"type\":\"A\"},\"B\",null]", vec!["A", "B"]),
            ("true", vec![]),
        ] {
            assert_eq!(serde_json::from_str::<Licenses>(json).unwrap().0, want);
        }
    }
}
