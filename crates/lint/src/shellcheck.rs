//! Debian's `shellcheck` beside our own rules, where it is asked for: what it finds that we have no rule for.
//!
//! One process a script, in its `json1` form (shellcheck(1)): lines and columns count characters, from 1.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::file::{Dialect, File, Script};
use crate::model::{Finding, Severity};
use crate::rules;
use crate::shell::Text;

/// Longest that one script may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Most output of one script that is read, in bytes.
const MAX_OUTPUT: u64 = 4 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ShellcheckError {
    /// It does not start.
    #[error("cannot start `{program}`: {error}")]
    Start {
        /// As it was asked for.
        program: String,
        /// The system's word.
        error: std::io::Error,
    },
    /// It started, and then came nothing that could be read.
    #[error("`{program}` gave no answer for the script in line {line}: {why}")]
    Answer {
        /// As it was asked for.
        program: String,
        /// Where the script begins.
        line: u32,
        /// What went wrong.
        why: String,
    },
}

#[derive(serde::Deserialize)]
struct Answer {
    comments: Vec<Comment>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comment {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    level: String,
    code: u32,
    message: String,
}

/// What `shellcheck` says of all scripts of a file, without what our rules look for themselves.
pub(crate) fn findings(program: &Path, file: &File<'_>) -> Result<Vec<Finding>, ShellcheckError> {
    let mut out = Vec::new();
    for script in file.scripts() {
        let (from, to) = script.place;
        let text = if script.heredoc {
            Text::script(file.dockerfile.text.get(from..to).unwrap_or(""), from)
        } else {
            Text::instruction(&file.dockerfile.text, from, to, file.dockerfile.escape)
        };
        let whole = text.slice(0, text.len());
        let known: Vec<&String> = script.known.iter().filter(|n| is_name(n)).collect();
        let given: String = known.iter().map(|n| format!("export {n}=1\n")).collect();
        let answer =
            ask(program, script, &format!("{given}{whole}")).map_err(|e| e.into_error(program, file.place(from).0))?;
        for comment in answer.comments {
            let number = format!("SC{}", comment.code);
            // What is before line `known` are the variables that we wrote.
            let Some(line) = comment.line.checked_sub(known.len()).filter(|l| *l > 0) else { continue };
            if rules::find(&number).is_some() || SYNTAX.contains(&comment.code) {
                continue;
            }
            let offset = |line: usize, column: usize| text.start_of(character(&whole, line, column));
            let end_line = comment.end_line.saturating_sub(known.len()).max(line);
            let (start, end) = (offset(line, comment.column), offset(end_line, comment.end_column));
            out.push(finding(file, &number, &comment, start, end.max(start)));
        }
    }
    Ok(out)
}

/// Codes of scripts that cannot be read: our rule for syntax has them all.
const SYNTAX: [u32; 7] = [1009, 1045, 1070, 1072, 1073, 1089, 1133];

fn finding(file: &File<'_>, number: &str, comment: &Comment, start: usize, end: usize) -> Finding {
    let (line, column) = file.place(start);
    let (end_line, end_column) = file.place(end);
    let severity = match comment.level.as_str() {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        "info" => Severity::Info,
        _ => Severity::Style,
    };
    Finding {
        id: "shellcheck",
        refs: reference(number),
        severity,
        line,
        column,
        end_line,
        end_column,
        message: comment.message.clone(),
        advice: "ShellCheck's wiki has a page for each number.",
        fix: None,
    }
}

/// A number as a list that lives as long as the program: there are a few hundred of them, each kept once.
fn reference(number: &str) -> &'static [&'static str] {
    static SEEN: Mutex<BTreeMap<String, &'static [&'static str]>> = Mutex::new(BTreeMap::new());
    let mut seen = SEEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    seen.entry(number.to_owned()).or_insert_with(|| {
        let name: &'static str = Box::leak(number.to_owned().into_boxed_str());
        Box::leak(Box::new([name]))
    })
}

/// Which character of a text stands at a line and column.
fn character(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line - 1).map(|l| l.chars().count()).sum();
    before + column.saturating_sub(1)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

enum Failed {
    Start(std::io::Error),
    Answer(String),
}

impl Failed {
    fn into_error(self, program: &Path, line: u32) -> ShellcheckError {
        let program = program.display().to_string();
        match self {
            Failed::Start(error) => ShellcheckError::Start { program, error },
            Failed::Answer(why) => ShellcheckError::Answer { program, line, why },
        }
    }
}

fn ask(program: &Path, script: &Script, text: &str) -> Result<Answer, Failed> {
    let shell = match script.dialect {
        Dialect::Bash => "bash",
        Dialect::Dash | Dialect::Busybox => "dash",
        Dialect::Sh => "sh",
    };
    // --norc: only what is asked for here counts.
    let mut child = Command::new(program)
        .args(["--norc", "--format=json1", "--severity=style", "--shell", shell, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Failed::Start)?;
    let (mut input, output) = (child.stdin.take(), child.stdout.take());
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.as_mut().is_some_and(|i| i.write_all(text.as_bytes()).is_ok()));
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.map(|o| o.take(MAX_OUTPUT).read_to_end(&mut bytes));
        (bytes, read.is_some_and(|r| r.is_ok()))
    });
    let started = Instant::now();
    let ended = loop {
        match child.try_wait() {
            Ok(Some(_)) => break true,
            Ok(None) if started.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(2)),
            _ => break false,
        }
    };
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Failed::Answer(format!("it took longer than {} seconds", LIMIT.as_secs())));
    }
    let _ = writer.join();
    let (bytes, _) = reader.join().unwrap_or_default();
    serde_json::from_slice(&bytes).map_err(|e| Failed::Answer(e.to_string()))
}
