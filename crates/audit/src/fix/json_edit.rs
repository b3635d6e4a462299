//! Members of a JSON object set and taken out, with everything else of the file as it was.
//!
//! For `daemon.json`: order, indentation and line breaks stay. The text is parsed by serde_json first, so that this file
//! only ever walks over text that is JSON. Source: RFC 8259.

use std::ops::Range;

use serde_json::Value;

use super::edit::{Edit, apply, line_break, line_start};

/// A member of the top object.
struct Member {
    key: String,
    /// Bytes of the quoted key.
    at: Range<usize>,
    /// Bytes of the value.
    value: Range<usize>,
}

/// Sets a member of the top object. An empty text is an empty object.
pub(crate) fn set(text: &str, key: &str, value: &Value) -> Result<String, String> {
    let (text, open, members) = top(text)?;
    let written = value.to_string();
    if let Some(member) = members.iter().rev().find(|m| m.key == key) {
        return apply(&text, vec![Edit::new(member.value.clone(), written)]);
    }
    let eol = line_break(&text);
    let entry = format!("{}: {written}", Value::from(key));
    let Some(last) = members.last() else {
        // What stands between the brackets of an empty object is white space.
        let close = text.rfind('}').ok_or("the object does not end")?;
        return apply(&text, vec![Edit::new(open + 1..close, format!("{eol}  {entry}{eol}"))]);
    };
    let on_own_line = text.get(open..last.at.start).is_some_and(|t| t.contains('\n'));
    let separator = if on_own_line {
        let start = line_start(&text, last.at.start);
        let indent: String =
            text.get(start..last.at.start).unwrap_or("").chars().take_while(|c| c.is_whitespace()).collect();
        format!(",{eol}{indent}")
    } else {
        ", ".to_owned()
    };
    apply(&text, vec![Edit::insert(last.value.end, format!("{separator}{entry}"))])
}

/// Takes a member of the top object out, with the comma that goes with it. Nothing happens where it is not there.
pub(crate) fn remove(text: &str, key: &str) -> Result<String, String> {
    let (text, open, members) = top(text)?;
    let Some(i) = members.iter().rposition(|m| m.key == key) else { return Ok(text) };
    let range = match (i.checked_sub(1).and_then(|p| members.get(p)), members.get(i), members.get(i + 1)) {
        (_, Some(member), Some(next)) => member.at.start..next.at.start,
        (Some(previous), Some(member), None) => previous.value.end..member.value.end,
        (None, Some(member), None) => open + 1..member.value.end,
        (_, None, _) => return Ok(text),
    };
    let shorter = apply(&text, vec![Edit::new(range, "")])?;
    // The same key twice: the one before would now be in force.
    if members.iter().filter(|m| m.key == key).count() > 1 { remove(&shorter, key) } else { Ok(shorter) }
}

/// The text (an object, if it was empty), where its object opens, and its members.
fn top(text: &str) -> Result<(String, usize, Vec<Member>), String> {
    let text = if text.trim().is_empty() { "{}\n".to_owned() } else { text.to_owned() };
    let value: Value = serde_json::from_str(&text).map_err(|e| format!("it is not JSON: {e}"))?;
    if !value.is_object() {
        return Err("it holds no JSON object".to_owned());
    }
    let mut walk = Walk { text: &text, at: 0 };
    walk.space();
    let open = walk.at;
    walk.at += 1;
    let mut members = Vec::new();
    loop {
        walk.space();
        match walk.byte() {
            Some(b'}') | None => return Ok((text.clone(), open, members)),
            Some(b',') => walk.at += 1,
            _ => {
                let at = walk.value();
                walk.space();
                walk.at += 1; // the colon
                walk.space();
                let value = walk.value();
                let key = text.get(at.clone()).and_then(|k| serde_json::from_str(k).ok()).unwrap_or_default();
                members.push(Member { key, at, value });
            }
        }
    }
}

/// A place in text that is known to be JSON.
struct Walk<'t> {
    text: &'t str,
    at: usize,
}

impl Walk<'_> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.byte().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Passes over one value.
    fn value(&mut self) -> Range<usize> {
        let start = self.at;
        let mut depth = 0usize;
        while let Some(b) = self.byte() {
            match b {
                b'"' => self.string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth == 0 => break,
                _ if depth == 0 && b.is_ascii_whitespace() => break,
                _ => self.at += 1,
            }
            if depth == 0 && matches!(b, b'"' | b'}' | b']') {
                break;
            }
        }
        start..self.at
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(b) = self.byte() {
            self.at += if b == b'\\' { 2 } else { 1 };
            if b == b'"' {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_rest_of_the_file_stays() {
        let text = "{\n    \"z\": [1, {\"a\": \"}\\\"\"}],\n    \"b\" : true\n}\n";
        assert_eq!(
            set(text, "icc", &json!(false)).unwrap(),
            "{\n    \"z\": [1, {\"a\": \"}\\\"\"}],\n    \"b\" : true,\n    \"icc\": false\n}\n"
        );
        assert_eq!(set(text, "b", &json!("x")).unwrap(), text.replace("true", "\"x\""));
        assert_eq!(remove(text, "z").unwrap(), "{\n    \"b\" : true\n}\n");
        assert_eq!(remove(text, "b").unwrap(), "{\n    \"z\": [1, {\"a\": \"}\\\"\"}]\n}\n");
        assert_eq!(remove(text, "nothing").unwrap(), text);
        assert_eq!(remove("{\"a\": 1}", "a").unwrap(), "{}");
        assert_eq!(remove("{\"a\": 1, \"a\": 2, \"b\": 3}", "a").unwrap(), "{\"b\": 3}");
    }

    #[test]
    fn empty_files_become_objects() {
        for text in ["", "\n", "{}", "{ }"] {
            let new = set(text, "a", &json!(1)).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&new).unwrap(), json!({"a": 1}), "{text:?}");
        }
        assert_eq!(set("{\"a\":1}", "b", &json!(2)).unwrap(), "{\"a\":1, \"b\": 2}");
        assert!(set("[1]", "a", &json!(1)).is_err() && set("{", "a", &json!(1)).is_err());
    }

    proptest::proptest! {
        /// Whatever the object, set and remove give what they promise and leave the others alone.
        #[test]
        fn members_are_set_and_removed(keys in proptest::collection::vec("[a-d\"\\\\{}, ]{1,3}", 0..5), pretty: bool) {
            let object: serde_json::Map<String, Value> =
                keys.iter().enumerate().map(|(i, k)| (k.clone(), json!([i, {k: "]}"}]))).collect();
            let value = Value::Object(object.clone());
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let new: Value = serde_json::from_str(&set(&text, "new", &json!({"x": 1})).unwrap()).unwrap();
            assert_eq!(new["new"], json!({"x": 1}));
            for key in object.keys() {
                assert_eq!(&new[key], &object[key]);
                let less: Value = serde_json::from_str(&remove(&text, key).unwrap()).unwrap();
                let mut wanted = object.clone();
                wanted.shift_remove(key);
                assert_eq!(less, Value::Object(wanted));
            }
        }
    }
}
