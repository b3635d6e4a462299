//! The binary on files in a directory of its own: state and home are below it.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The command, with output kept.
pub fn stockade(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockade"));
    command
        .args(arguments)
        .current_dir(dir)
        .env("STOCKADE_ROOT", dir.join("state"))
        .env("STOCKADE_RUN", dir.join("run"))
        .env("HOME", dir)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("STOCKADE_CONFIG")
        .env_remove("DOCKER_HOST")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What it says and how it ends.
pub fn run(dir: &Path, arguments: &[&str]) -> Output {
    stockade(dir, arguments).output().unwrap()
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
