//! The `stockade` binary: arguments in, output and exit codes out. No logic lives here.
#![forbid(unsafe_code)]

fn main() {}
