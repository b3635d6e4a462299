//! `stockade oci`: the OCI runtime command line, as runc has it (<https://github.com/opencontainers/runc/blob/main/man>), for
//! dockerd, containerd, CRI-O and Podman.
//!
//! It has a parser of its own, with runc's global flags: see [`invocation`] for how it is told from other commands.

mod args;
mod attend;
mod log;
mod update;
mod verbs;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::Outcome;
use crate::context::Context;
use crate::failure::Exit;

pub use log::Log;

/// Arguments of `stockade oci`, as the list of all commands knows them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// A verb of the OCI runtime command line, and its arguments; `stockade oci --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    rest: Vec<OsString>,
}

/// Runs it, where it was not recognised before.
pub fn run(args: Args, _context: &Context) -> Outcome {
    Ok(Exit(execute(args.rest)))
}

/// The arguments after `oci`, if this is a call of the runtime: by the name `oci`, by a link to this program whose name
/// ends with `-oci`, or by global flags that only runtimes have (dockerd and containerd take a path and nothing more).
pub fn invocation(mut args: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let name = args.next()?;
    let name = std::path::Path::new(&name).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let rest: Vec<OsString> = args.collect();
    if name.ends_with("-oci") {
        return Some(rest);
    }
    if rest.first().is_some_and(|word| word == "oci") {
        return Some(rest.into_iter().skip(1).collect());
    }
    let mut words = rest.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match word.split_once('=').map_or(word.as_ref(), |(flag, _)| flag) {
            "--log" | "--log-format" | "--systemd-cgroup" => return Some(rest),
            "--root" => {
                if !word.contains('=') {
                    words.next();
                }
            }
            _ => break,
        }
    }
    None
}

/// Runs the runtime; its exit code.
pub fn execute(args: Vec<OsString>) -> u8 {
    let name = OsString::from("stockade oci");
    let cli = match args::Cli::try_parse_from(std::iter::once(name).chain(args)) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { Exit::FAILED.0 } else { Exit::DONE.0 };
        }
    };
    let log = Log::new(&cli.global);
    match verbs::run(cli, &log) {
        Ok(code) => code,
        Err(text) => {
            log.error(&text);
            Exit::FAILED.0
        }
    }
}

/// As [`execute`], for `main`.
pub fn main(args: Vec<OsString>) -> ExitCode {
    ExitCode::from(execute(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(words: &str) -> Option<String> {
        let rest = invocation(words.split(' ').map(OsString::from))?;
        Some(rest.iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn calls_of_the_runtime_are_told_from_others() {
        assert_eq!(call("stockade oci state x").as_deref(), Some("state x"));
        assert_eq!(call("/usr/bin/stockade-oci --version").as_deref(), Some("--version"));
        let shim = "stockade --root /run/x --log /l.json --log-format json create --bundle . id";
        assert_eq!(call(shim).as_deref(), shim.strip_prefix("stockade "));
        assert_eq!(call("stockade --systemd-cgroup state x").as_deref(), Some("--systemd-cgroup state x"));
        for other in ["stockade ps", "stockade --root /x ps", "stockade run oci", "stockade", "stockade logs --log x"] {
            assert_eq!(call(other), None, "{other}");
        }
    }

    #[test]
    fn the_arguments_are_well_formed() {
        use clap::CommandFactory;
        args::Cli::command().debug_assert();
    }
}
