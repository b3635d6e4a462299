//! What the container verbs share: the long list of flags of `run` and `create`, and the attached terminal.

pub mod attach;
pub mod detach_keys;
pub mod env;
pub mod filter;
pub mod flags;
pub mod mounts;
pub mod refused;
pub mod request;
pub mod values;

pub use stockade_runtime::terminal;

use stockade_config::{GateMode, VerifyMode};
use stockade_engine::{Engine, EngineError};
use stockade_image::Verify;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::gate;

/// Opens the engine.
pub fn engine(context: &Context) -> Result<Engine, Failure> {
    Ok(Engine::open(&context.settings)?)
}

/// Executes this program again from a read-only mount before it runs something in a container whose root is the host's
/// root (`shares_ids`), which could overwrite it through /proc/self/exe otherwise (CVE-2019-5736). To be called before
/// anything is changed.
pub fn keep_our_program(shares_ids: bool) -> Result<(), Failure> {
    if shares_ids { Ok(stockade_sandbox::process::run_from_readonly_mount()?) } else { Ok(()) }
}

/// As [`keep_our_program`], for containers that exist.
pub fn keep_our_program_from(engine: &Engine, names: &[String]) -> Result<(), Failure> {
    // What cannot be read is said by the verb itself.
    keep_our_program(names.iter().any(|name| engine.find(name).is_ok_and(|r| r.spec.confine.id_range.is_none())))
}

/// Asks the gate about an image before a container of it is made. `mode` is `--policy`.
pub fn ask_gate(context: &Context, image: &str, mode: Option<&str>) -> Result<(), Failure> {
    let Some(mode) = mode.and_then(|m| m.parse::<GateMode>().ok()) else {
        return gate::check_before_run(context, image);
    };
    let mut settings = context.settings.clone();
    settings.gate.mode = mode;
    gate::check_before_run(&Context { settings, unprivileged: None }, image)
}

/// How layers are verified: `flag` is `--verify-image`, which wins over the configuration.
pub fn verify_of(context: &Context, flag: Option<&str>) -> Verify {
    flag.and_then(|how| how.parse().ok()).unwrap_or(match context.settings.verify {
        VerifyMode::Off => Verify::Off,
        VerifyMode::Seal => Verify::Seal,
        VerifyMode::Content => Verify::Content,
    })
}

/// A failure of `run`, `create` and `exec`: docker's exit codes 125, 126, 127; 2 for wrong usage.
pub fn start_failure(error: EngineError) -> Failure {
    let exit = if error.is_usage() { Exit::USAGE } else { Exit(error.exit_code()) };
    Failure::from(error).with_exit(exit)
}

/// Runs `each` for every name, prints the name where it worked and the error where not; fails if one failed.
pub fn for_each(names: &[String], mut each: impl FnMut(&str) -> Result<String, Failure>) -> Result<Exit, Failure> {
    let mut failed = Exit::DONE;
    for name in names {
        match each(name) {
            Ok(line) => {
                if !line.is_empty() {
                    crate::output::to_stdout(&format!("{line}\n"))?;
                }
            }
            Err(failure) => {
                failure.print();
                failed = if failure.exit() == Exit::DONE { Exit::FAILED } else { failure.exit() };
            }
        }
    }
    Ok(failed)
}
