//! Tree and value to text.

use serde_json::{Number, Value};

use super::TemplateError;
use super::parse::{Command, Node, Pipeline, Word};

struct Scope<'v> {
    root: &'v Value,
    variables: Vec<(String, Value)>,
}

type Evaluated = Result<Value, TemplateError>;

fn fail(message: impl Into<String>) -> TemplateError {
    TemplateError::Evaluate(message.into())
}

pub(super) fn render(nodes: &[Node], value: &Value) -> Result<String, TemplateError> {
    let mut scope = Scope { root: value, variables: Vec::new() };
    let mut out = String::new();
    scope.block(nodes, value, &mut out)?;
    Ok(out)
}

impl Scope<'_> {
    /// Variables declared inside end with the block.
    fn block(&mut self, nodes: &[Node], dot: &Value, out: &mut String) -> Result<(), TemplateError> {
        let depth = self.variables.len();
        for node in nodes {
            self.node(node, dot, out)?;
        }
        self.variables.truncate(depth);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value, out: &mut String) -> Result<(), TemplateError> {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Print { variable: Some(name), pipeline } => {
                let value = self.pipeline(pipeline, dot)?;
                self.variables.push((name.clone(), value));
            }
            Node::Print { variable: None, pipeline } => out.push_str(&shown(&self.pipeline(pipeline, dot)?)),
            Node::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if truth(&self.pipeline(condition, dot)?) {
                        return self.block(body, dot, out);
                    }
                }
                self.block(otherwise, dot, out)?;
            }
            Node::With { pipeline, body, otherwise } => {
                let value = self.pipeline(pipeline, dot)?;
                if truth(&value) {
                    self.block(body, &value, out)?;
                } else {
                    self.block(otherwise, dot, out)?;
                }
            }
            Node::Range { key, element, pipeline, body, otherwise } => {
                let value = self.pipeline(pipeline, dot)?;
                let items = items(&value)?;
                if items.is_empty() {
                    return self.block(otherwise, dot, out);
                }
                for (k, v) in items {
                    let depth = self.variables.len();
                    if let Some(name) = key {
                        self.variables.push((name.clone(), k));
                    }
                    if let Some(name) = element {
                        self.variables.push((name.clone(), v.clone()));
                    }
                    self.block(body, &v, out)?;
                    self.variables.truncate(depth);
                }
            }
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Evaluated {
        let mut last: Option<Value> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        last.ok_or_else(|| fail("an empty pipeline"))
    }

    fn command(&self, command: &Command, dot: &Value, piped: Option<Value>) -> Evaluated {
        if let Some((Word::Function(name), rest)) = command.words.split_first() {
            let mut arguments = rest.iter().map(|w| self.word(w, dot)).collect::<Result<Vec<_>, _>>()?;
            arguments.extend(piped);
            return function(name, &arguments);
        }
        match (command.words.as_slice(), piped) {
            ([word], None) => self.word(word, dot),
            _ => Err(fail("a value cannot be called with arguments: a function such as `json` must come first")),
        }
    }

    fn word(&self, word: &Word, dot: &Value) -> Evaluated {
        match word {
            Word::Text(text) => Ok(Value::String(text.clone())),
            Word::Number(n) => Ok(number(*n)),
            Word::Bool(b) => Ok(Value::Bool(*b)),
            Word::Nil => Ok(Value::Null),
            Word::Function(name) => function(name, &[]),
            Word::Group(pipeline, fields) => {
                let value = self.pipeline(pipeline, dot)?;
                Ok(field_chain(&value, fields)?.clone())
            }
            Word::Chain { variable: None, fields } => Ok(field_chain(dot, fields)?.clone()),
            Word::Chain { variable: Some(name), fields } => {
                let start = if name == "$" {
                    self.root
                } else {
                    let found = self.variables.iter().rev().find(|(n, _)| n == name);
                    &found.ok_or_else(|| fail(format!("undefined variable `{name}`")))?.1
                };
                Ok(field_chain(start, fields)?.clone())
            }
        }
    }
}

/// A missing field is null, which prints `<no value>`, as docker prints it for maps.
fn field_chain<'v>(start: &'v Value, fields: &[String]) -> Result<&'v Value, TemplateError> {
    let mut value = start;
    for field in fields {
        value = match value {
            Value::Object(map) => map.get(field).unwrap_or(&Value::Null),
            Value::Null => &Value::Null,
            other => return Err(fail(format!("`.{field}`: {} has no fields", kind(other)))),
        };
    }
    Ok(value)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn items(value: &Value) -> Result<Vec<(Value, Value)>, TemplateError> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => Ok(list.iter().enumerate().map(|(i, v)| (Value::from(i), v.clone())).collect()),
        Value::Object(map) => {
            // Go ranges over maps in the order of their keys.
            let mut pairs: Vec<_> = map.iter().map(|(k, v)| (Value::String(k.clone()), v.clone())).collect();
            pairs.sort_by(|a, b| a.0.as_str().cmp(&b.0.as_str()));
            Ok(pairs)
        }
        other => Err(fail(format!("range: {} cannot be walked", kind(other)))),
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
    }
}

#[allow(clippy::cast_possible_truncation)] // checked to be whole and small
fn number(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() < 9.0e15 {
        Value::from(n as i64)
    } else {
        Number::from_f64(n).map_or(Value::Null, Value::Number)
    }
}

/// As Go's `fmt.Print` shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(s) => s.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(_) => {
            let pairs = items(value).unwrap_or_default();
            format!(
                "map[{}]",
                pairs.iter().map(|(k, v)| format!("{}:{}", shown(k), shown(v))).collect::<Vec<_>>().join(" ")
            )
        }
        other => other.to_string(),
    }
}

fn function(name: &str, arguments: &[Value]) -> Evaluated {
    let need = |n: usize| {
        if arguments.len() == n {
            Ok(())
        } else {
            Err(fail(format!("{name}: needs {n} arguments, got {}", arguments.len())))
        }
    };
    let argument = |i: usize| arguments.get(i).unwrap_or(&Value::Null);
    let text = |i: usize| {
        argument(i)
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| fail(format!("{name}: {} is not a text", kind(argument(i)))))
    };
    match name {
        "json" => {
            need(1)?;
            serde_json::to_string(argument(0)).map(Value::String).map_err(|e| fail(e.to_string()))
        }
        "index" => arguments.iter().skip(1).try_fold(argument(0).clone(), |value, key| index(&value, key)),
        "len" => {
            need(1)?;
            Ok(Value::from(match argument(0) {
                Value::String(s) => s.len(),
                Value::Array(a) => a.len(),
                Value::Object(o) => o.len(),
                Value::Null => 0,
                other => return Err(fail(format!("len: {} has no length", kind(other)))),
            }))
        }
        "not" => {
            need(1)?;
            Ok(Value::Bool(!truth(argument(0))))
        }
        "and" => Ok(arguments.iter().find(|v| !truth(v)).or(arguments.last()).cloned().unwrap_or(Value::Null)),
        "or" => Ok(arguments.iter().find(|v| truth(v)).or(arguments.last()).cloned().unwrap_or(Value::Null)),
        "eq" => Ok(Value::Bool(arguments.iter().skip(1).any(|v| same(argument(0), v)))),
        "ne" => {
            need(2)?;
            Ok(Value::Bool(!same(argument(0), argument(1))))
        }
        "lt" | "le" | "gt" | "ge" => {
            need(2)?;
            let order = compare(argument(0), argument(1))
                .ok_or_else(|| fail(format!("{name}: the values cannot be compared")))?;
            Ok(Value::Bool(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }))
        }
        "print" => Ok(Value::String(arguments.iter().map(shown).collect())),
        "println" => Ok(Value::String(arguments.iter().map(shown).collect::<Vec<_>>().join(" ") + "\n")),
        "printf" => printf(&text(0)?, arguments.get(1..).unwrap_or_default()).map(Value::String),
        "lower" => text(0).map(|t| Value::String(t.to_lowercase())),
        "upper" => text(0).map(|t| Value::String(t.to_uppercase())),
        "title" => text(0).map(|t| {
            let mut chars = t.chars();
            Value::String(chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default())
        }),
        "join" => {
            need(2)?;
            let list = items(argument(0))?;
            Ok(Value::String(list.iter().map(|(_, v)| shown(v)).collect::<Vec<_>>().join(&text(1)?)))
        }
        "split" => {
            need(2)?;
            let separator = text(1)?;
            Ok(Value::Array(text(0)?.split(separator.as_str()).map(|s| Value::String(s.to_owned())).collect()))
        }
        "truncate" => {
            need(2)?;
            let n = argument(1).as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
            Ok(Value::String(text(0)?.chars().take(n).collect()))
        }
        "pad" => {
            need(3)?;
            let width = |i: usize| argument(i).as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= 1000);
            let (Some(before), Some(after)) = (width(1), width(2)) else {
                return Err(fail("pad: widths must be 0 to 1000"));
            };
            Ok(Value::String(format!("{}{}{}", " ".repeat(before), text(0)?, " ".repeat(after))))
        }
        "slice" => {
            let bound = |i: usize| argument(i).as_u64().and_then(|n| usize::try_from(n).ok());
            let t = text(0)?;
            let (from, to) = (bound(1).unwrap_or(0), bound(2).unwrap_or(t.len()));
            t.get(from..to).map(|s| Value::String(s.to_owned())).ok_or_else(|| fail("slice: out of range"))
        }
        _ => Err(fail(format!("function `{name}` is not known; a field is written with a dot: `.{name}`"))),
    }
}

fn index(value: &Value, key: &Value) -> Evaluated {
    match (value, key) {
        (Value::Object(map), Value::String(k)) => Ok(map.get(k).cloned().unwrap_or(Value::Null)),
        (Value::Array(list), Value::Number(n)) => {
            let found = n.as_u64().and_then(|i| usize::try_from(i).ok()).and_then(|i| list.get(i));
            found
                .cloned()
                .ok_or_else(|| fail(format!("index {n} is out of range: the list has {} entries", list.len())))
        }
        (Value::Null, _) => Ok(Value::Null),
        (other, _) => Err(fail(format!("index: {} has no such entries", kind(other)))),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || compare(a, b).is_some_and(std::cmp::Ordering::is_eq)
}

fn compare(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x.as_f64()?.partial_cmp(&y.as_f64()?),
        (Value::String(x), Value::String(y)) => Some(x.cmp(y)),
        _ => None,
    }
}

/// Verbs `%s %v %d %q %t %%` with an optional `-` or `0` flag and width.
fn printf(format: &str, arguments: &[Value]) -> Result<String, TemplateError> {
    let mut out = String::new();
    let mut next = arguments.iter();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = String::new();
        let verb = loop {
            match chars.next() {
                Some(c) if c.is_ascii_digit() || c == '-' => spec.push(c),
                Some(c) => break c,
                None => return Err(fail("printf: `%` at the end of the format")),
            }
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        if !"svdqt".contains(verb) {
            return Err(fail(format!("printf: `%{verb}` is not supported")));
        }
        let value = next.next().ok_or_else(|| fail(format!("printf: no value for `%{verb}`")))?;
        let text = if verb == 'q' { format!("{:?}", shown(value)) } else { shown(value) };
        let width: usize = spec.trim_start_matches(['-', '0']).parse().unwrap_or(0).min(1000);
        out.push_str(&match spec.chars().next() {
            Some('-') => format!("{text:<width$}"),
            Some('0') => format!("{text:0>width$}"),
            _ => format!("{text:>width$}"),
        });
    }
    Ok(out)
}
