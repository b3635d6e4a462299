//! `stockade lint --lsp` as an editor drives it: the real binary over its standard input and output.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use stockade_lint::lsp::{read, write};

struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
    _dir: tempfile::TempDir,
}

impl Client {
    fn start() -> Client {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_stockade"))
            .args(["lint", "--lsp"])
            .current_dir(dir.path())
            .env("STOCKADE_ROOT", dir.path().join("state"))
            .env("STOCKADE_RUN", dir.path().join("run"))
            .env("HOME", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Client { child, input, output, last: 0, _dir: dir }
    }

    fn ready(capabilities: Value) -> Client {
        let mut client = Client::start();
        let answer = client.ask("initialize", json!({"processId": null, "capabilities": capabilities}));
        assert_eq!(answer["capabilities"]["hoverProvider"], true, "{answer}");
        client.tell("initialized", json!({}));
        client
    }

    fn next(&mut self) -> Value {
        serde_json::from_slice(&read(&mut self.output).unwrap().expect("the server went away")).unwrap()
    }

    fn answer(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        write(&mut self.input, &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).unwrap();
        let answer = self.next();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    fn tell(&mut self, method: &str, params: Value) {
        write(&mut self.input, &json!({"jsonrpc": "2.0", "method": method, "params": params})).unwrap();
    }

    /// Opens a document and returns what is said about it.
    fn open(&mut self, text: &str) -> Vec<Value> {
        let document = json!({"uri": URI, "languageId": "dockerfile", "version": 1, "text": text});
        self.tell("textDocument/didOpen", json!({"textDocument": document}));
        self.diagnostics()
    }

    fn diagnostics(&mut self) -> Vec<Value> {
        let said = self.next();
        assert_eq!(said["method"], "textDocument/publishDiagnostics", "{said}");
        assert_eq!(said["params"]["uri"], URI);
        said["params"]["diagnostics"].as_array().unwrap().clone()
    }

    fn at(&self, line: u64, character: u64) -> Value {
        json!({"textDocument": {"uri": URI}, "position": {"line": line, "character": character}})
    }

    /// Exit code and stderr after `shutdown` and `exit`.
    fn end(mut self) -> (Option<i32>, String) {
        assert_eq!(self.ask("shutdown", Value::Null), Value::Null);
        self.tell("exit", Value::Null);
        self.left()
    }

    fn left(mut self) -> (Option<i32>, String) {
        drop(self.input);
        let mut words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        (self.child.wait().unwrap().code(), words)
    }
}

const URI: &str = "file:///project/Dockerfile";

fn codes(diagnostics: &[Value]) -> Vec<&str> {
    diagnostics.iter().map(|d| d["code"].as_str().unwrap()).collect()
}

#[test]
fn diagnostics_follow_the_text() {
    let mut client = Client::ready(json!({}));
    let found = client.open("FROM debian:12\nRUN sudo ls\nUSER app\n");
    assert!(codes(&found).contains(&"DL3004"), "{found:?}");
    // The word `sudo` becomes nothing.
    let range = json!({"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 9}});
    client.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"range": range, "text": ""}]}),
    );
    let found = client.diagnostics();
    assert!(!codes(&found).contains(&"DL3004"), "{found:?}");
    // The whole text, and a mistake of syntax.
    client.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": URI, "version": 3}, "contentChanges": [{"text": "FROM a:1\nRUNN x\n"}]}),
    );
    let found = client.diagnostics();
    assert!(codes(&found).contains(&"unknown-instruction"), "{found:?}");
    assert_eq!(found[0]["range"], json!({"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 4}}));
    client.tell("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    assert!(client.diagnostics().is_empty());
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[test]
fn places_count_utf16_unless_the_client_knows_bytes() {
    for (capabilities, character) in
        [(json!({}), 11), (json!({"general": {"positionEncodings": ["utf-16", "utf-8"]}}), 13)]
    {
        let mut client = Client::ready(capabilities);
        // The face is two units of UTF-16 and four bytes; `sudo` is behind it.
        let found = client.open("FROM a:1\nRUN : 😀 && sudo ls\nUSER app\n");
        let sudo = found.iter().find(|d| d["code"] == "DL3004").unwrap();
        assert_eq!(sudo["range"]["start"], json!({"line": 1, "character": character + 1}), "{sudo}");
        // A change behind the face: `sudo ls` becomes `ls`.
        let range =
            json!({"start": {"line": 1, "character": character + 1}, "end": {"line": 1, "character": character + 6}});
        client.tell(
            "textDocument/didChange",
            json!({"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"range": range, "text": ""}]}),
        );
        let found = client.diagnostics();
        assert!(!codes(&found).contains(&"DL3004"), "{found:?}");
        assert_eq!(client.end().0, Some(0));
    }
}

#[test]
fn hover_explains_rules_instructions_and_flags() {
    let mut client = Client::ready(json!({}));
    client.open("FROM debian:12\nCOPY --from=x --chown=1:1 a /b\nRUN sudo ls\nUSER app\n");
    let word = |answer: &Value| answer["contents"]["value"].as_str().unwrap_or("").to_owned();
    let place = client.at(1, 2);
    assert!(word(&client.ask("textDocument/hover", place)).contains("Copies files"));
    let place = client.at(1, 16);
    assert!(word(&client.ask("textDocument/hover", place)).contains("Owner"));
    let place = client.at(2, 5);
    let said = word(&client.ask("textDocument/hover", place));
    assert!(said.contains("DL3004") && said.contains("Instead"), "{said}");
    let place = client.at(1, 27);
    assert_eq!(client.ask("textDocument/hover", place), Value::Null);
    assert_eq!(client.end().0, Some(0));
}

#[test]
fn quick_fixes_are_edits_that_mend() {
    let mut client = Client::ready(json!({}));
    let text =
        "FROM debian:12\nRUN apt-get update && apt-get install -y curl=7 && rm -rf /var/lib/apt/lists/*\nUSER app\n";
    let found = client.open(text);
    let finding = found.iter().find(|d| d["code"] == "DL3015").unwrap();
    let params = json!({
        "textDocument": {"uri": URI}, "range": finding["range"], "context": {"diagnostics": [finding], "only": ["quickfix"]},
    });
    let actions = client.ask("textDocument/codeAction", params);
    let mends = |a: &&Value| a["diagnostics"][0]["code"] == "DL3015" && a["isPreferred"] == true;
    let action = actions.as_array().unwrap().iter().find(mends).unwrap();
    let edit = &action["edit"]["changes"][URI][0];
    assert!(edit["newText"].as_str().unwrap().contains("--no-install-recommends"), "{edit}");
    client.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": URI, "version": 2},
               "contentChanges": [{"range": edit["range"], "text": edit["newText"]}]}),
    );
    let found = client.diagnostics();
    assert!(!codes(&found).contains(&"DL3015"), "{found:?}");
    // What remains can be switched off where it is.
    let whole = json!({"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}});
    let params = json!({"textDocument": {"uri": URI}, "range": whole, "context": {"diagnostics": []}});
    let actions = client.ask("textDocument/codeAction", params);
    let ignore = actions.as_array().unwrap().iter().find(|a| a["title"].as_str().unwrap().starts_with("Ignore"));
    if let Some(ignore) = ignore {
        let edit = &ignore["edit"]["changes"][URI][0];
        assert!(edit["newText"].as_str().unwrap().starts_with("# hadolint ignore="), "{edit}");
    }
    assert_eq!(client.end().0, Some(0));
}

#[test]
fn completion_knows_instructions_flags_stages_and_images() {
    let mut client = Client::ready(json!({}));
    client.open("FROM debian:12 AS tools\nFROM deb\nCOPY --from=\nHEA\n");
    let mut labels = |line, character| -> Vec<String> {
        let place = client.at(line, character);
        let answer = client.ask("textDocument/completion", place);
        answer["items"].as_array().unwrap().iter().map(|i| i["label"].as_str().unwrap().to_owned()).collect()
    };
    assert!(labels(1, 8).contains(&"debian:bookworm".to_owned()));
    assert!(labels(2, 12).contains(&"tools".to_owned()));
    assert_eq!(labels(2, 9), ["--from="]);
    assert_eq!(labels(3, 3), ["HEALTHCHECK"]);
    assert_eq!(client.end().0, Some(0));
}

#[test]
fn garbage_is_answered_and_changes_nothing() {
    let mut client = Client::start();
    // Before `initialize`, for a method that is none, without parameters, for a document that is not open.
    assert_eq!(client.answer("textDocument/hover", json!({}))["error"]["code"], -32002);
    client.ask("initialize", json!({"capabilities": {}}));
    assert_eq!(client.answer("no/such", json!({}))["error"]["code"], -32601);
    assert_eq!(client.answer("textDocument/hover", json!([1, 2]))["error"]["code"], -32602);
    let place = client.at(u64::MAX, u64::MAX);
    assert_eq!(client.answer("textDocument/completion", place)["error"]["code"], -32602);
    for body in ["{", "[]", "null", "{\"id\": 1}", "\u{feff}{}"] {
        write!(client.input, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        client.input.flush().unwrap();
        assert!(client.next()["error"]["code"].is_number(), "{body}");
    }
    // Notifications that make no sense are said in the log, or passed over.
    client.tell("textDocument/didOpen", json!({"textDocument": {"uri": 3}}));
    assert_eq!(client.next()["method"], "window/logMessage");
    client.tell("$/cancelRequest", json!({"id": 1}));
    let found = client.open("FROM a:1\nRUN \\\u{0}\r\r\n\u{feff}é`\"'$((\nUSER x");
    assert!(found.iter().all(|d| d["range"]["start"]["line"].is_number()));
    for (line, character) in [(0, 0), (1, 5), (2, 3), (9, 9)] {
        let place = client.at(line, character);
        client.ask("textDocument/hover", place.clone());
        client.ask("textDocument/completion", place);
    }
    let range = json!({"start": {"line": 9, "character": 9}, "end": {"line": 0, "character": 0}});
    client.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"range": range, "text": "FROM é:1\n"}]}),
    );
    client.diagnostics();
    assert_eq!(client.end().0, Some(0));
}

#[test]
fn what_is_no_frame_ends_the_server_with_a_reason() {
    for bytes in ["hello\r\n\r\n", "Content-Length: 99999999999999\r\n\r\n", "Content-Length: x\r\n\r\n"] {
        let mut client = Client::start();
        client.input.write_all(bytes.as_bytes()).unwrap();
        client.input.flush().unwrap();
        assert_eq!(client.next()["error"]["code"], -32700);
        let (code, words) = client.left();
        assert!(code == Some(1) && words.contains("error:"), "{code:?} {words}");
    }
    // A client that goes away without a word.
    assert_eq!(Client::start().left().0, Some(1));
}
