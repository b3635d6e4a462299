//! Any bytes as an editor's stream, and any text as a document with every request at any place of it.
#![no_main]
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use stockade_lint::Options;
use stockade_lint::lsp::{Server, serve};

fuzz_target!(|data: &[u8]| {
    let images = || vec!["debian:bookworm".to_owned()];
    let _ = serve(&mut Server::new(Options::default(), &images), data, std::io::sink());
    let Some((place, text)) = data.split_first_chunk::<2>() else { return };
    let text = String::from_utf8_lossy(text);
    let mut server = Server::new(Options::default(), &images);
    let position = json!({"line": place[0], "character": place[1]});
    let document = json!({"uri": "file:///f", "version": 1, "text": text});
    let range = json!({"start": {"line": 0, "character": 0}, "end": position});
    server.handle(&json!({"id": 1, "method": "initialize", "params": {}}));
    server.handle(&json!({"method": "textDocument/didOpen", "params": {"textDocument": document}}));
    for method in ["hover", "completion"] {
        let params = json!({"textDocument": {"uri": "file:///f"}, "position": position});
        server.handle(&json!({"id": 2, "method": format!("textDocument/{method}"), "params": params}));
    }
    let params = json!({"textDocument": {"uri": "file:///f"}, "range": range});
    server.handle(&json!({"id": 3, "method": "textDocument/codeAction", "params": params}));
    let changes = json!([{"range": range, "text": "RUN é"}]);
    let params = json!({"textDocument": {"uri": "file:///f", "version": 2}, "contentChanges": changes});
    server.handle(&json!({"method": "textDocument/didChange", "params": params}));
});
