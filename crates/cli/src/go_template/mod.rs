//! The part of Go's text/template that docker's `--format` is used with, over JSON values.
//!
//! Supported: field chains (`.State.Running`, `.`, `$`), variables (`$x := …`), `if`/`else if`/`else`, `range` (with
//! `$i, $e`), `with`, pipelines, trim markers, and the functions of text/template and docker: `json`, `index`, `len`,
//! `eq ne lt le gt ge`, `and or not`, `print printf println`, `join`, `split`, `lower`, `upper`, `title`, `truncate`,
//! `pad`, `slice`. Anything else is refused by name. Source: <https://pkg.go.dev/text/template>.

mod eval;
mod parse;

use serde_json::Value;

use parse::Node;

/// What is wrong with a template, or with what it was used on.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It cannot be read.
    #[error("template: column {column}: {message}")]
    Syntax {
        /// 1-based character.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// It cannot be applied to this value.
    #[error("template: {0}")]
    Evaluate(String),
}

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

impl Template {
    /// Parses. `\t` and `\n` written as two characters are a tab and a line break, as docker reads them.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        Ok(Template { nodes: parse::parse(&text)? })
    }

    /// The text for one value.
    pub fn render(&self, value: &Value) -> Result<String, TemplateError> {
        eval::render(&self.nodes, value)
    }

    /// Names of the top-level fields that are printed, in order: the header of docker's `table` templates.
    pub fn fields(&self) -> Vec<String> {
        self.nodes.iter().filter_map(Node::printed_field).collect()
    }
}

/// Rows as docker's list commands print them for `--format`: `json`, a template per row, or `table TEMPLATE`.
pub fn render_rows(format: &str, rows: &[Value]) -> Result<String, TemplateError> {
    if format == "json" {
        return Ok(rows.iter().map(|row| format!("{row}\n")).collect());
    }
    let (table, body) = match format.strip_prefix("table") {
        Some(rest) if rest.starts_with([' ', '\\', '\t', '{']) => (true, rest.trim_start_matches([' ', '\t'])),
        _ => (false, format),
    };
    let template = Template::parse(body)?;
    let mut text = String::new();
    if !table {
        for row in rows {
            text.push_str(&template.render(row)?);
            text.push('\n');
        }
        return Ok(text);
    }
    let mut out = crate::output::Table::new(template.fields().iter().map(|f| header(f)).collect::<Vec<_>>());
    for row in rows {
        let line = template.render(row)?;
        out.row(line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    }
    Ok(out.render(None))
}

/// `CreatedAt` → `CREATED AT`, `ID` → `CONTAINER ID` is left to the caller's field names.
fn header(field: &str) -> String {
    let mut text = String::new();
    let mut previous_lower = false;
    for c in field.chars() {
        if c.is_uppercase() && previous_lower {
            text.push(' ');
        }
        previous_lower = c.is_lowercase();
        text.extend(c.to_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn show(template: &str, value: Value) -> String {
        Template::parse(template).and_then(|t| t.render(&value)).unwrap_or_else(|e| format!("!{e}"))
    }

    #[test]
    fn templates_print_what_go_prints() {
        let v = json!({"Name": "web", "State": {"Running": true, "Pid": 12}, "List": ["a", "b"], "Map": {"x.y": 1, "b": "c"}, "None": null, "E": []});
        for (template, expected) in [
            ("{{.Name}}", "web"),
            ("{{ .State.Running }}/{{.State.Pid}}", "true/12"),
            ("{{json .State}}", "{\"Running\":true,\"Pid\":12}"),
            ("{{.List}}", "[a b]"),
            ("{{.Map}}", "map[b:c x.y:1]"),
            ("{{index .Map \"x.y\"}}", "1"),
            ("{{index .List 1}}", "b"),
            ("{{(index .List 0)}}", "a"),
            ("{{len .List}}", "2"),
            ("{{range .List}}<{{.}}>{{end}}", "<a><b>"),
            ("{{range $i, $e := .List}}{{$i}}={{$e}},{{end}}", "0=a,1=b,"),
            ("{{range $k, $v := .Map}}{{$k}}={{$v}};{{end}}", "b=c;x.y=1;"),
            ("{{range .E}}x{{else}}none{{end}}", "none"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{if .None}}a{{else if eq .Name \"web\"}}b{{end}}", "b"),
            ("{{with .State}}{{.Pid}}{{$.Name}}{{end}}", "12web"),
            ("{{.None}}", "<no value>"),
            ("{{.Missing}}", "<no value>"),
            ("{{.Name | upper | printf \"%s-%s\" \"x\"}}", "x-WEB"),
            ("{{printf \"%s-%d\" \"x\"}}", "!template: printf: no value for `%d`"),
            ("{{printf \"%-5s|%03d|%q\" .Name .State.Pid \"q\"}}", "web  |012|\"q\""),
            ("{{join .List \", \"}}", "a, b"),
            ("a {{- .Name -}} b", "awebb"),
            ("{{/* a comment */}}x", "x"),
            ("{{$x := .Name}}{{$x}}", "web"),
            ("{{and .State.Running (gt .State.Pid 3)}}", "true"),
            ("{{not .None}}", "true"),
            ("{{truncate .Name 2}}", "we"),
            ("{{println .Name}}", "web\n"),
            ("{{.Name}}\\t{{.State.Pid}}", "web\t12"),
        ] {
            assert_eq!(show(template, v.clone()), expected, "{template}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (template, words) in [
            ("{{.Name", "column 1: unclosed action"),
            ("{{foo}}", "function `foo`"),
            ("{{if .a}}x", "unclosed `if`"),
            ("{{end}}", "unexpected `end`"),
            ("{{.a.}}", "field name"),
            ("{{$nope}}", "undefined variable"),
        ] {
            let error = Template::parse(template).and_then(|t| t.render(&json!({}))).unwrap_err().to_string();
            assert!(error.contains(words), "{template}: {error}");
        }
    }

    #[test]
    fn rows_and_tables() {
        let rows = [json!({"Names": "web", "CreatedAt": "now"}), json!({"Names": "database", "CreatedAt": "then"})];
        assert_eq!(render_rows("{{.Names}}", &rows).unwrap(), "web\ndatabase\n");
        assert_eq!(
            render_rows("table {{.Names}}\\t{{.CreatedAt}}", &rows).unwrap(),
            "NAMES      CREATED AT\nweb        now\ndatabase   then\n"
        );
        assert_eq!(render_rows("json", &rows[..1]).unwrap(), "{\"Names\":\"web\",\"CreatedAt\":\"now\"}\n");
    }

    proptest::proptest! {
        #[test]
        fn any_text_renders_or_fails_but_never_panics(text in "[ {}a-z.$|()\"\\-=:0-9]{0,40}") {
            let _ = Template::parse(&text).and_then(|t| t.render(&json!({"a": [1, {"b": null}]})));
        }
    }
}
