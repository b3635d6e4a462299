//! A language server for Dockerfiles: diagnostics, hover, quick fixes and completion (LSP 3.17).
//!
//! [`Server`] turns one message into its answers and touches nothing outside; [`serve`] runs one on a pair of streams. The
//! protocol is read by hand, and not with a crate, because a frame's length comes from outside and must be bounded before
//! memory is taken for it.

mod actions;
mod complete;
mod frame;
mod help;
mod hover;
mod place;
mod server;

use std::io::{BufRead, Write};

use serde_json::{Value, json};

pub use frame::{FrameError, MAX_FRAME, read, write};
pub use server::Server;

/// Serves until the client says `exit` or goes away. Returns the process's exit code: 0 after a `shutdown`, else 1.
///
/// # Errors
/// A frame that is no frame, or is too long (the client is told first); the streams' own errors.
pub fn serve(server: &mut Server<'_>, mut input: impl BufRead, mut output: impl Write) -> Result<u8, FrameError> {
    loop {
        let bytes = match read(&mut input) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(1),
            Err(error) => {
                // Where the next frame begins is not known any more.
                write(&mut output, &failure(Value::Null, PARSE_ERROR, &error.to_string()))?;
                return Err(error);
            }
        };
        let answers = match serde_json::from_slice::<Value>(&bytes) {
            Ok(message) => server.handle(&message),
            Err(error) => vec![failure(Value::Null, PARSE_ERROR, &format!("not JSON: {error}"))],
        };
        for answer in &answers {
            write(&mut output, answer)?;
        }
        if let Some(code) = server.exit_code() {
            return Ok(code);
        }
    }
}

// Codes of JSON-RPC 2.0 and of LSP.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const NOT_INITIALIZED: i32 = -32002;

fn failure(id: Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}
