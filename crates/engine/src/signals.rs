//! Signals by name and number.

use crate::EngineError;

/// SIGKILL.
pub const KILL: i32 = 9;
/// SIGTERM.
pub const TERM: i32 = 15;

/// `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`.
///
/// # Errors
/// [`EngineError::Usage`] with the text.
pub fn parse(text: &str) -> Result<i32, EngineError> {
    stockade_sandbox::process::signal_number(text).ok_or_else(|| {
        EngineError::usage(format!("`{text}` is no signal; use a name such as `TERM` or a number from 1 to 64"))
    })
}
