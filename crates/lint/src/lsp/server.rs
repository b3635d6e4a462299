//! Messages in, messages out.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::place::{Encoding, Text};
use super::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, NOT_INITIALIZED, failure};
use super::{actions, complete, hover};
use crate::model::{Finding, Severity};
use crate::{Options, lint};

/// Longest document, in bytes: longer ones are said to be too long, and not checked.
const MAX_DOCUMENT: usize = 64 << 20;
/// Most documents that are open at once.
const MAX_DOCUMENTS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Running,
    ShutDown,
    Ended(u8),
}

struct Document {
    text: Text,
    findings: Vec<Finding>,
}

/// One client's server.
pub struct Server<'i> {
    options: Options,
    images: &'i dyn Fn() -> Vec<String>,
    documents: BTreeMap<String, Document>,
    stage: Stage,
    encoding: Encoding,
}

impl fmt::Debug for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("documents", &self.documents.len()).field("stage", &self.stage).finish()
    }
}

/// The part of `params` that a request needs is not there.
struct BadParams(&'static str);

impl<'i> Server<'i> {
    /// A server with settings for the rules, and the names of images that may be proposed.
    pub fn new(options: Options, images: &'i dyn Fn() -> Vec<String>) -> Server<'i> {
        Server { options, images, documents: BTreeMap::new(), stage: Stage::New, encoding: Encoding::Utf16 }
    }

    /// The process's exit code once the client said `exit`.
    pub fn exit_code(&self) -> Option<u8> {
        match self.stage {
            Stage::Ended(code) => Some(code),
            _ => None,
        }
    }

    /// Answers one message: an answer to a request, notifications, or nothing.
    pub fn handle(&mut self, message: &Value) -> Vec<Value> {
        let id = message.get("id").filter(|id| id.is_string() || id.is_number()).cloned();
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            // An answer to a request of ours: there are none. Anything else is no message.
            let answer = message.get("result").is_some() || message.get("error").is_some();
            let bad = || failure(id.unwrap_or(Value::Null), INVALID_REQUEST, "a message needs a `method`");
            return if answer { Vec::new() } else { vec![bad()] };
        };
        let params = message.get("params").unwrap_or(&Value::Null);
        match id {
            Some(id) => vec![self.request(id, method, params)],
            None => self.notification(method, params),
        }
    }

    fn request(&mut self, id: Value, method: &str, params: &Value) -> Value {
        match (self.stage, method) {
            (Stage::New, "initialize") => {}
            (Stage::New, _) => return failure(id, NOT_INITIALIZED, "`initialize` comes first"),
            (Stage::Running, "initialize") => return failure(id, INVALID_REQUEST, "`initialize` came already"),
            (Stage::Running, _) => {}
            _ => return failure(id, INVALID_REQUEST, "the server is shut down"),
        }
        let result = match method {
            "initialize" => Ok(self.initialize(params)),
            "shutdown" => {
                self.stage = Stage::ShutDown;
                Ok(Value::Null)
            }
            "textDocument/hover" => self.hover(params),
            "textDocument/completion" => self.completion(params),
            "textDocument/codeAction" => self.code_action(params),
            _ => return failure(id, METHOD_NOT_FOUND, &format!("no method is called `{method}`")),
        };
        match result {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err(BadParams(what)) => failure(id, INVALID_PARAMS, &format!("`{method}` needs {what}")),
        }
    }

    fn notification(&mut self, method: &str, params: &Value) -> Vec<Value> {
        if method == "exit" {
            self.stage = Stage::Ended(u8::from(self.stage != Stage::ShutDown));
            return Vec::new();
        }
        if self.stage != Stage::Running {
            return Vec::new();
        }
        // A notification has no answer: what cannot be understood of it is said as a message for people.
        let said = match method {
            "textDocument/didOpen" => self.opened(params),
            "textDocument/didChange" => self.changed(params),
            "textDocument/didClose" => self.closed(params),
            _ => return Vec::new(),
        };
        said.unwrap_or_else(|BadParams(what)| {
            vec![notification("window/logMessage", json!({"type": 1, "message": format!("`{method}` needs {what}")}))]
        })
    }

    fn initialize(&mut self, params: &Value) -> Value {
        self.stage = Stage::Running;
        let encodings = params.pointer("/capabilities/general/positionEncodings").and_then(Value::as_array);
        if encodings.is_some_and(|list| list.iter().any(|e| e == "utf-8")) {
            self.encoding = Encoding::Utf8;
        }
        json!({
            "serverInfo": {"name": "stockade lint", "version": env!("CARGO_PKG_VERSION")},
            "capabilities": {
                "positionEncoding": self.encoding.name(),
                // Changes come as the parts that changed.
                "textDocumentSync": {"openClose": true, "change": 2},
                "hoverProvider": true,
                "completionProvider": {"triggerCharacters": [" ", "-", "=", ":", "/", "."]},
                "codeActionProvider": {"codeActionKinds": ["quickfix", "source.fixAll"]},
            },
        })
    }

    fn opened(&mut self, params: &Value) -> Result<Vec<Value>, BadParams> {
        let uri = uri(params)?;
        let text = params.pointer("/textDocument/text").and_then(Value::as_str).ok_or(BadParams("the text"))?;
        if self.documents.len() >= MAX_DOCUMENTS && !self.documents.contains_key(&uri) {
            return Err(BadParams("fewer open documents"));
        }
        let version = params.pointer("/textDocument/version").cloned().unwrap_or(Value::Null);
        Ok(vec![self.check(uri, text.to_owned(), version)])
    }

    fn changed(&mut self, params: &Value) -> Result<Vec<Value>, BadParams> {
        let uri = uri(params)?;
        let changes = params.get("contentChanges").and_then(Value::as_array).ok_or(BadParams("the changes"))?;
        let document = self.documents.get(&uri).ok_or(BadParams("a document that is open"))?;
        let mut text = document.text.text.clone();
        for change in changes {
            let new = change.get("text").and_then(Value::as_str).ok_or(BadParams("the new text"))?;
            let Some(range) = change.get("range").filter(|r| !r.is_null()) else {
                text = new.to_owned();
                continue;
            };
            let current = Text::new(text);
            let offset = |name| range.get(name).and_then(|p| current.offset(p, self.encoding));
            let (Some(start), Some(end)) = (offset("start"), offset("end")) else { return Err(BadParams("a range")) };
            let (start, end) = (start.min(end), start.max(end));
            text = current.text;
            text.replace_range(start..end, new);
            if text.len() > MAX_DOCUMENT {
                break;
            }
        }
        let version = params.pointer("/textDocument/version").cloned().unwrap_or(Value::Null);
        Ok(vec![self.check(uri, text, version)])
    }

    fn closed(&mut self, params: &Value) -> Result<Vec<Value>, BadParams> {
        let uri = uri(params)?;
        self.documents.remove(&uri);
        Ok(vec![notification("textDocument/publishDiagnostics", json!({"uri": uri, "diagnostics": []}))])
    }

    /// Checks a document's new text; returns the notification of what was found.
    fn check(&mut self, uri: String, text: String, version: Value) -> Value {
        let too_long = text.len() > MAX_DOCUMENT;
        let text = Text::new(if too_long { String::new() } else { text });
        let report = lint(text.text.as_bytes(), "", &self.options);
        let mut found: Vec<Value> = report
            .diagnostics
            .errors()
            .map(|d| {
                let (start, end) = (d.span.start.offset + text.mark(), d.span.end.offset + text.mark());
                let help = d.help.as_ref().map(|h| format!("\n{h}")).unwrap_or_default();
                json!({
                    "range": text.range(start, end, self.encoding), "severity": 1, "code": d.code, "source": SOURCE,
                    "message": format!("{}{help}", d.message),
                })
            })
            .collect();
        found.extend(report.findings.iter().map(|f| diagnostic(&text, f, self.encoding)));
        if too_long {
            let range = text.range(0, 0, self.encoding);
            found.push(json!({"range": range, "severity": 1, "source": SOURCE, "message": "too long to be checked"}));
        }
        let said = json!({"uri": uri, "version": version, "diagnostics": found});
        self.documents.insert(uri, Document { text, findings: report.findings });
        notification("textDocument/publishDiagnostics", said)
    }

    fn place(&self, params: &Value) -> Result<(&Document, usize), BadParams> {
        let document = self.documents.get(&uri(params)?).ok_or(BadParams("a document that is open"))?;
        let position = params.get("position").unwrap_or(&Value::Null);
        let offset = document.text.offset(position, self.encoding).ok_or(BadParams("a position"))?;
        Ok((document, offset))
    }

    fn hover(&self, params: &Value) -> Result<Value, BadParams> {
        let (document, offset) = self.place(params)?;
        Ok(match hover::hover(&document.text, &document.findings, offset) {
            None => Value::Null,
            Some((words, (start, end))) => json!({
                "contents": {"kind": "markdown", "value": words},
                "range": document.text.range(start, end, self.encoding),
            }),
        })
    }

    fn completion(&self, params: &Value) -> Result<Value, BadParams> {
        let (document, offset) = self.place(params)?;
        let (items, start) = complete::complete(&document.text.text, offset, self.images);
        let range = document.text.range(start, offset, self.encoding);
        let items: Vec<Value> = items
            .iter()
            .map(|i| {
                json!({
                    "label": i.label, "kind": i.kind as u8, "detail": i.detail,
                    "textEdit": {"range": range, "newText": i.label},
                })
            })
            .collect();
        Ok(json!({"isIncomplete": false, "items": items}))
    }

    fn code_action(&self, params: &Value) -> Result<Value, BadParams> {
        let uri = uri(params)?;
        let document = self.documents.get(&uri).ok_or(BadParams("a document that is open"))?;
        let text = &document.text;
        let offset = |name| params.pointer(name).and_then(|p| text.offset(p, self.encoding));
        let (Some(from), Some(to)) = (offset("/range/start"), offset("/range/end")) else {
            return Err(BadParams("a range"));
        };
        let only = params.pointer("/context/only").and_then(Value::as_array);
        // `source` asks for `source.fixAll`, too.
        let asks = |k: &str, kind: &str| kind == k || kind.strip_prefix(k).is_some_and(|rest| rest.starts_with('.'));
        let wanted = |kind: &str| {
            only.is_none_or(|list| list.iter().filter_map(Value::as_str).any(|k| k.is_empty() || asks(k, kind)))
        };
        let shown = |f: &Finding| diagnostic(text, f, self.encoding);
        let found = actions::actions(&uri, text, &document.findings, (from, to), &wanted, self.encoding, &shown);
        Ok(Value::Array(found))
    }
}

const SOURCE: &str = "stockade";

fn uri(params: &Value) -> Result<String, BadParams> {
    let uri = params.pointer("/textDocument/uri").and_then(Value::as_str);
    uri.map(str::to_owned).ok_or(BadParams("a document's uri"))
}

fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn diagnostic(text: &Text, f: &Finding, encoding: Encoding) -> Value {
    let (start, end) = text.of_finding(f);
    let severity = match f.severity {
        Severity::Error => 1,
        Severity::Warning => 2,
        Severity::Info => 3,
        Severity::Style => 4,
    };
    json!({
        "range": text.range(start, end, encoding), "severity": severity,
        "code": f.refs.first().copied().unwrap_or(f.id), "source": SOURCE,
        "message": format!("{}\n{}", f.message, f.advice),
    })
}
