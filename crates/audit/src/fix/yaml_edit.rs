//! Entries of a YAML file set, added and taken out, with comments, order and formatting of the rest as they were.
//!
//! Each function looks at the tree and its places ([`crate::yaml`]) and answers with the bytes to replace. What cannot be
//! changed without touching something else (an alias, a merged key) is refused with a reason, for a person to do.

use super::edit::{Edit, line_break, line_end, line_start, next_line};
use crate::yaml::{Node, Value};

/// The file that is edited.
pub(crate) struct Yaml<'t> {
    pub(crate) text: &'t str,
}

type Edited = Result<Edit, String>;

fn refuse_alias(node: &Node) -> Result<(), String> {
    if node.alias {
        Err(format!("line {}: it is an alias, and what it stands for is used elsewhere too", node.line))
    } else {
        Ok(())
    }
}

impl Yaml<'_> {
    /// Replaces a scalar.
    pub(crate) fn replace(&self, node: &Node, with: &str) -> Edited {
        refuse_alias(node)?;
        match &node.value {
            Value::Scalar(..) if node.span.is_empty() => Ok(Edit::insert(self.after_colon(node)?, format!(" {with}"))),
            Value::Scalar(..) => Ok(Edit::new(node.span.clone(), with)),
            _ => Err(format!("line {}: it is no plain value", node.line)),
        }
    }

    /// Adds `key: value` to a mapping that lacks the key. A null value becomes a mapping.
    pub(crate) fn add_entry(&self, map: &Node, key: &str, value: &str) -> Edited {
        refuse_alias(map)?;
        match &map.value {
            _ if map.is_null() && map.span.is_empty() => {
                Ok(Edit::insert(self.after_colon(map)?, format!(" {{{key}: {value}}}")))
            }
            _ if map.is_null() => Ok(Edit::new(map.span.clone(), format!("{{{key}: {value}}}"))),
            Value::Map(entries) if map.flow => {
                let comma = if entries.is_empty() { "" } else { ", " };
                Ok(Edit::insert(map.span.start + 1, format!("{key}: {value}{comma}")))
            }
            Value::Map(entries) => {
                let first = entries.first().ok_or("an empty mapping")?;
                let indent = self.column(first.1.key.start);
                let at = line_end(self.text, self.last_byte(map));
                Ok(Edit::insert(at, format!("{}{}{key}: {value}", line_break(self.text), " ".repeat(indent))))
            }
            _ => Err(format!("line {}: it is no mapping", map.line)),
        }
    }

    /// Takes the entry with this index out of a mapping.
    pub(crate) fn remove_entry(&self, map: &Node, index: usize) -> Edited {
        refuse_alias(map)?;
        let entries = map.map();
        let (_, node) = entries.get(index).ok_or("no such entry")?;
        let end = self.end(node);
        let next = entries.get(index + 1).map(|(_, n)| n.key.start);
        let previous = index.checked_sub(1).and_then(|i| entries.get(i)).map(|(_, n)| self.end(n));
        if map.flow {
            return Ok(Edit::new(between(node.key.start, end, previous, next), ""));
        }
        if entries.len() == 1 {
            return Ok(Edit::new(node.key.start..end, "{}"));
        }
        Ok(self.remove_lines(node.key.start, end, next))
    }

    /// Takes the item with this index out of a list; the last one leaves `[]`.
    pub(crate) fn remove_item(&self, list: &Node, index: usize) -> Edited {
        refuse_alias(list)?;
        let items = list.list();
        let node = items.get(index).ok_or("no such item")?;
        let end = self.end(node);
        let next = items.get(index + 1).map(|n| n.span.start);
        let previous = index.checked_sub(1).and_then(|i| items.get(i)).map(|n| self.end(n));
        if list.flow {
            return Ok(Edit::new(between(node.span.start, end, previous, next), ""));
        }
        let dash = self.dash(node)?;
        if items.len() == 1 {
            // Brackets must stand further to the right than the key; dashes need not.
            let in_place = list.key.is_empty() || self.column(dash) > self.column(list.key.start);
            let edit =
                if in_place { Edit::new(dash..end, "[]") } else { Edit::new(self.after_colon(list)?..end, " []") };
            return Ok(edit);
        }
        let next_dash = items.get(index + 1).map(|n| self.dash(n)).transpose()?;
        Ok(self.remove_lines(dash, end, next_dash))
    }

    /// Adds an item at the end of a list.
    pub(crate) fn add_item(&self, list: &Node, item: &str) -> Edited {
        refuse_alias(list)?;
        match &list.value {
            _ if list.is_null() && list.span.is_empty() => {
                Ok(Edit::insert(self.after_colon(list)?, format!(" [{item}]")))
            }
            Value::List(items) if list.flow => match items.last() {
                Some(last) => Ok(Edit::insert(self.end(last), format!(", {item}"))),
                None => Ok(Edit::insert(list.span.start + 1, item)),
            },
            Value::List(items) => {
                let first = items.first().ok_or("an empty list")?;
                let indent = self.column(self.dash(first)?);
                let at = line_end(self.text, self.last_byte(list));
                Ok(Edit::insert(at, format!("{}{}- {item}", line_break(self.text), " ".repeat(indent))))
            }
            _ => Err(format!("line {}: it is no list", list.line)),
        }
    }

    /// Takes bytes out that begin an entry or an item of a block collection, with their whole lines where they are alone
    /// on them. `next` is where the following entry begins.
    fn remove_lines(&self, start: usize, end: usize, next: Option<usize>) -> Edit {
        let line = line_start(self.text, start);
        let alone = self.text.get(line..start).is_some_and(|t| t.trim().is_empty());
        if alone {
            return Edit::new(line..next_line(self.text, end), "");
        }
        // The first entry stands behind the dash of its item: the next one takes its place, unless a comment is between.
        match next {
            Some(next) if self.text.get(end..next).is_some_and(|t| t.trim().is_empty()) => Edit::new(start..next, ""),
            _ => Edit::new(start..end, ""),
        }
    }

    /// The dash of a block list's item: before it, on its line or above.
    fn dash(&self, item: &Node) -> Result<usize, String> {
        let before = self.text.get(..item.span.start).unwrap_or_default();
        // Between the dash and the item there is white space, or an anchor or a tag.
        let line = line_start(self.text, item.span.start);
        let on_line = self.text.get(line..item.span.start).unwrap_or_default();
        match on_line.rfind("- ") {
            Some(i) => Ok(line + i),
            None => match before.trim_end() {
                trimmed if trimmed.ends_with('-') => Ok(trimmed.len() - 1),
                _ => Err(format!("line {}: the dash of the item was not found", item.line)),
            },
        }
    }

    fn column(&self, at: usize) -> usize {
        self.text.get(line_start(self.text, at)..at).map_or(0, |t| t.chars().count())
    }

    fn after_colon(&self, node: &Node) -> Result<usize, String> {
        let rest = self.text.get(node.key.end..).unwrap_or_default();
        rest.find(':').map(|i| node.key.end + i + 1).filter(|_| node.key.end > 0).ok_or_else(|| "no key".to_owned())
    }

    /// Where the text of a value ends.
    pub(crate) fn end(&self, node: &Node) -> usize {
        let raw = match &node.value {
            _ if node.alias => node.span.end,
            Value::Scalar(..) if node.span.is_empty() => self.after_colon(node).unwrap_or(node.span.end),
            Value::List(list) if !node.flow => list.last().map_or(node.span.end, |n| self.end(n)),
            Value::Map(entries) if !node.flow => entries.last().map_or(node.span.end, |(_, n)| self.end(n)),
            _ => node.span.end,
        };
        // A text in several lines reaches to the beginning of the line after it.
        self.text.get(..raw).map_or(raw, |t| t.trim_end().len().max(node.span.start.min(raw)))
    }

    fn last_byte(&self, node: &Node) -> usize {
        self.end(node).saturating_sub(1)
    }
}

/// An element of a collection in brackets, with the comma before or after it.
fn between(start: usize, end: usize, previous: Option<usize>, next: Option<usize>) -> std::ops::Range<usize> {
    match (previous, next) {
        (_, Some(next)) => start..next,
        (Some(previous), None) => previous..end,
        (None, None) => start..end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::edit::apply;
    use crate::yaml::parse;

    /// Edits the file with what `edit` answers for its first document.
    fn edited(text: &str, edit: impl Fn(&Yaml<'_>, &Node) -> Edited) -> String {
        let doc = parse(text.as_bytes()).unwrap().remove(0);
        let new = apply(text, vec![edit(&Yaml { text }, &doc).unwrap()]).unwrap();
        parse(new.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{new}"));
        new
    }

    const TEXT: &str = "# head\nservices:\n  web: # here\n    image: a # the image\n    # about ports\n    ports:\n      - \"80:80\" # one\n      - 81:81\n    tail: |\n      text\n      more\n\n  # other\n  db:\n    x: {a: 1, b: [c, d]}\n";

    #[test]
    fn entries_are_added_after_the_last_line_of_the_mapping() {
        let new = edited(TEXT, |y, d| y.add_entry(d.at(&["services", "web"]).unwrap(), "read_only", "true"));
        assert_eq!(new, TEXT.replace("      more\n", "      more\n    read_only: true\n"));
        let new = edited(TEXT, |y, d| y.add_entry(d.at(&["services", "db", "x"]).unwrap(), "z", "2"));
        assert_eq!(new, TEXT.replace("{a: 1", "{z: 2, a: 1"));
        assert_eq!(edited("a:\nb: 1\n", |y, d| y.add_entry(d.get("a").unwrap(), "k", "v")), "a: {k: v}\nb: 1\n");
        assert_eq!(edited("a: {}", |y, d| y.add_entry(d.get("a").unwrap(), "k", "v")), "a: {k: v}");
        assert_eq!(
            edited("a:\r\n  b: 1\r\n", |y, d| y.add_entry(d.get("a").unwrap(), "k", "v")),
            "a:\r\n  b: 1\r\n  k: v\r\n"
        );
        // Without a line break at the end.
        assert_eq!(edited("a:\n  b: 1", |y, d| y.add_entry(d.get("a").unwrap(), "k", "v")), "a:\n  b: 1\n  k: v");
    }

    #[test]
    fn entries_are_taken_out_with_their_lines_and_nothing_else() {
        let take = |text: &str, path: &[&str], key: &str| {
            edited(text, |y, d| {
                let map = d.at(path).unwrap();
                y.remove_entry(map, map.entry(key).unwrap().0)
            })
        };
        assert_eq!(
            take(TEXT, &["services", "web"], "ports"),
            TEXT.replace("    ports:\n      - \"80:80\" # one\n      - 81:81\n", "")
        );
        assert_eq!(take(TEXT, &["services", "web"], "image"), TEXT.replace("    image: a # the image\n", ""));
        assert_eq!(take(TEXT, &["services", "web"], "tail"), TEXT.replace("    tail: |\n      text\n      more\n", ""));
        assert_eq!(take(TEXT, &["services", "db", "x"], "a"), TEXT.replace("a: 1, ", ""));
        assert_eq!(take(TEXT, &["services", "db", "x"], "b"), TEXT.replace(", b: [c, d]", ""));
        assert_eq!(take("a:\n  only: 1\n", &["a"], "only"), "a:\n  {}\n");
    }

    #[test]
    fn the_first_entry_behind_a_dash_leaves_the_dash() {
        let take = |text: &str| {
            edited(text, |y, d| {
                let map = &d.get("l").unwrap().list()[0];
                y.remove_entry(map, 0)
            })
        };
        assert_eq!(take("l:\n  - a: 1\n    b: 2\n"), "l:\n  - b: 2\n");
        let new = take("l:\n  - a: 1 # about a\n    b: 2\n");
        assert_eq!(parse(new.as_bytes()).unwrap()[0].get("l").unwrap().list()[0].get("b").unwrap().integer(), Some(2));
        assert!(new.contains("# about a"));
        assert_eq!(take("l:\n  - a: 1\n"), "l:\n  - {}\n");
    }

    #[test]
    fn items_are_added_and_taken_out() {
        let take = |text: &str, path: &[&str], i: usize| edited(text, |y, d| y.remove_item(d.at(path).unwrap(), i));
        let ports = ["services", "web", "ports"];
        assert_eq!(take(TEXT, &ports, 0), TEXT.replace("      - \"80:80\" # one\n", ""));
        assert_eq!(take(TEXT, &ports, 1), TEXT.replace("      - 81:81\n", ""));
        assert_eq!(take(TEXT, &["services", "db", "x", "b"], 1), TEXT.replace("[c, d]", "[c]"));
        assert_eq!(take("l: [a]", &["l"], 0), "l: []");
        assert_eq!(take("l:\n- a\n", &["l"], 0), "l: []\n");
        assert_eq!(take("l:\n  - a\n", &["l"], 0), "l:\n  []\n");
        let add = |text: &str, path: &[&str]| edited(text, |y, d| y.add_item(d.at(path).unwrap(), "new"));
        assert_eq!(add(TEXT, &ports), TEXT.replace("      - 81:81\n", "      - 81:81\n      - new\n"));
        assert_eq!(add("l: []", &["l"]), "l: [new]");
        assert_eq!(add("l: [a]", &["l"]), "l: [a, new]");
        assert_eq!(add("l:\n", &["l"]), "l: [new]\n");
    }

    #[test]
    fn values_are_replaced_and_aliases_refused() {
        assert_eq!(edited("a: 'x' # c\n", |y, d| y.replace(d.get("a").unwrap(), "y")), "a: y # c\n");
        assert_eq!(edited("a:\nb: 1\n", |y, d| y.replace(d.get("a").unwrap(), "y")), "a: y\nb: 1\n");
        let text = "a: &x {k: 1}\nb: *x\n";
        let doc = parse(text.as_bytes()).unwrap().remove(0);
        assert!(Yaml { text }.add_entry(doc.get("b").unwrap(), "z", "1").unwrap_err().contains("alias"));
    }
}
