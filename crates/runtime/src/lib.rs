//! The OCI runtime command line, as runc has it (<https://github.com/opencontainers/runc/blob/main/man>), for dockerd,
//! containerd, CRI-O and Podman: arguments in, output and exit codes out.
//!
//! It is a program by itself, `stockade-oci`, and a verb of the whole one, `stockade oci`.
#![forbid(unsafe_code)]

mod args;
mod attend;
mod log;
pub mod terminal;
mod unprivileged;
mod update;
mod verbs;
pub mod words;

use std::ffi::OsString;

use clap::Parser;

pub use log::Log;

/// Exit code of a command that did not do what it was asked.
const FAILED: u8 = 1;

/// The arguments of the runtime, if this is a call of it: by the name `oci`, by a link whose name ends with `-oci`, or by
/// global flags that only runtimes have (dockerd and containerd take a path and nothing more).
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

/// The name by which `stockade` calls the small program beside it: one of another version refuses to act for it.
pub const NAME_OF_THIS_BUILD: &str = concat!("stockade-oci@", env!("CARGO_PKG_VERSION"));

/// What is wrong with the name that this program was called by: it has a version, and that is not ours.
pub fn wrong_build(name: &std::ffi::OsStr) -> Option<String> {
    let asked = name.to_str()?.strip_prefix("stockade-oci@")?;
    let ours = env!("CARGO_PKG_VERSION");
    (asked != ours).then(|| {
        format!("stockade is of version {asked} and the stockade-oci beside it of version {ours}: install both from one release")
    })
}

/// Runs the runtime with the arguments after its name; its exit code.
///
/// Verbs that make processes run in a program that no container can write to: where it is executed from a writable file it
/// executes itself again from a read-only mount of that (CVE-2019-5736), before it reads anything that others wrote.
pub fn execute(args: Vec<OsString>) -> u8 {
    let log_early = |text: &str| words::to_stderr(&format!("error: {}\n", words::printable(text)));
    // An ordinary user does the same on the way into a user namespace.
    if rustix::process::geteuid().is_root()
        && makes_processes(&args)
        && let Err(e) = stockade_sandbox::process::run_from_readonly_mount()
    {
        // The log's place is known when the arguments have been read.
        let refusal = stockade_oci::OciError::from(e).chain();
        match args::Cli::try_parse_from(with_name(args)) {
            Ok(cli) => Log::new(&cli.global).error(&refusal),
            Err(_) => log_early(&refusal),
        }
        return FAILED;
    }
    let cli = match args::Cli::try_parse_from(with_name(args)) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { FAILED } else { 0 };
        }
    };
    let log = Log::new(&cli.global);
    match verbs::run(cli, &log) {
        Ok(code) => code,
        Err(text) => {
            log.error(&text);
            FAILED
        }
    }
}

fn with_name(args: Vec<OsString>) -> impl Iterator<Item = OsString> + Clone {
    std::iter::once(OsString::from("stockade oci")).chain(args)
}

/// Whether the verb is one that makes a process in a container.
fn makes_processes(args: &[OsString]) -> bool {
    let mut words = args.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match word.as_ref() {
            "--root" | "--log" | "--log-format" | "--rootless" => drop(words.next()),
            flag if flag.starts_with('-') => {}
            verb => return matches!(verb, "create" | "run" | "exec"),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &str) -> Vec<OsString> {
        words.split(' ').map(OsString::from).collect()
    }

    fn call(words: &str) -> Option<String> {
        let rest = invocation(list(words).into_iter())?;
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
    fn verbs_that_make_processes_are_known_behind_any_flags() {
        for yes in
            ["run x", "--root /run create x", "--log=/l --log-format json --debug exec x ls", "--rootless true run x"]
        {
            assert!(makes_processes(&list(yes)), "{yes}");
        }
        for no in ["state run", "--root run kill x", "--version", "delete create"] {
            assert!(!makes_processes(&list(no)), "{no}");
        }
    }

    #[test]
    fn the_arguments_are_well_formed() {
        use clap::CommandFactory;
        args::Cli::command().debug_assert();
    }
}
