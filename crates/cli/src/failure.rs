//! The one place that turns errors of the rooms into words, hints and exit codes.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::output;

/// An exit code (DESIGN, "Command contract").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

#[allow(dead_code)] // the table is whole, whichever commands use it
impl Exit {
    /// Done.
    pub const DONE: Exit = Exit(0);
    /// Failed.
    pub const FAILED: Exit = Exit(1);
    /// Wrong usage.
    pub const USAGE: Exit = Exit(2);
    /// Policy said no.
    pub const POLICY: Exit = Exit(3);
    /// Could not decide.
    pub const UNDECIDED: Exit = Exit(4);
    /// The engine failed before the container ran.
    pub const ENGINE: Exit = Exit(125);
    /// The command in the container is not executable.
    pub const NOT_EXECUTABLE: Exit = Exit(126);
    /// The command in the container was not found.
    pub const NOT_FOUND: Exit = Exit(127);
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.0)
    }
}

/// A command's failure: one line for people, at most one hint, an exit code.
///
/// It does not implement `Error`, so that `?` turns every error into it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    exit: Exit,
    broken_pipe: bool,
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: one_line(&message.into()), hint: None, exit: Exit::FAILED, broken_pipe: false }
    }

    /// Wrong usage: exit code 2.
    #[allow(dead_code)]
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(message).with_exit(Exit::USAGE)
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Changes the exit code.
    #[must_use]
    pub fn with_exit(mut self, exit: Exit) -> Failure {
        self.exit = exit;
        self
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether the reader of our output went away, which is no error to speak of.
    pub fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }

    /// Prints it on stderr.
    pub fn print(&self) {
        let style = output::Style::stderr();
        let mut text = format!("{} {}\n", style.red("error:"), self.message);
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  {} {hint}", style.bold("hint:"));
        }
        output::to_stderr(&text);
    }
}

/// The message alone, for a message around it.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        let mut message = String::new();
        let mut hint = None;
        let mut exit = Exit::FAILED;
        let mut broken_pipe = false;
        let mut denied = false;
        let mut next: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(e) = next {
            let words = e.to_string();
            // Some libraries repeat their cause in their own message.
            if !message.contains(&words) {
                if !message.is_empty() {
                    message.push_str(": ");
                }
                message.push_str(&words);
            }
            if let Some(io) = e.downcast_ref::<std::io::Error>() {
                broken_pipe |= io.kind() == std::io::ErrorKind::BrokenPipe;
                denied |= io.kind() == std::io::ErrorKind::PermissionDenied;
            }
            if let Some((code, words)) = classify(e) {
                exit = code.unwrap_or(exit);
                hint = hint.or(words);
            }
            next = e.source();
        }
        if denied && hint.is_none() && !rustix::process::geteuid().is_root() {
            hint = Some("images and containers belong to root: run it as root, for example with sudo, or name a directory of your own with --root".to_owned());
        }
        Failure { message: one_line(&message), hint, exit, broken_pipe }
    }
}

/// Exit code and hint for the errors that have one of their own. Each room's errors in one arm.
fn classify(e: &(dyn Error + 'static)) -> Option<(Option<Exit>, Option<String>)> {
    if e.is::<stockade_config::ConfigError>() {
        return Some((Some(Exit::USAGE), None));
    }
    if let Some(e) = e.downcast_ref::<stockade_engine::EngineError>()
        && e.is_usage()
    {
        return Some((Some(Exit::USAGE), None));
    }
    None
}

/// Messages may hold text from images and archives: line breaks and control characters are shown, not obeyed.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' || c == '\t' { ' ' } else { c })
        .flat_map(|c| {
            let escaped = c.is_control();
            let plain = (!escaped).then_some(c);
            plain.into_iter().chain(escaped.then(|| c.escape_default()).into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read layer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_joined_in_one_line_and_control_characters_shown() {
        let failure = Failure::from(Outer(std::io::Error::other("bad\n\u{1b}[31mname")));
        assert_eq!(failure.message, "cannot read layer: bad \\u{1b}[31mname");
        assert_eq!(failure.exit(), Exit::FAILED);
    }

    #[test]
    fn a_closed_pipe_is_recognised_below_other_errors() {
        assert!(Failure::from(Outer(std::io::ErrorKind::BrokenPipe.into())).is_broken_pipe());
    }
}
