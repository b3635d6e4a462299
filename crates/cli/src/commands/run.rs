//! `stockade run`

use std::fs::OpenOptions;
use std::io::Write;

use stockade_engine::{Engine, EngineError, StartOptions, Streams};

use crate::Outcome;
use crate::container::attach::{self, End};
use crate::container::detach_keys::DetachKeys;
use crate::container::flags::{ContainerFlags, ImageAndCommand};
use crate::container::{ask_gate, verify_of, engine, request, start_failure, terminal};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

/// Arguments of `stockade run`.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Run in the background and print the container's id
    #[arg(short, long)]
    detach: bool,
    /// Pass signals on to the container
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    flags: ContainerFlags,
    #[command(flatten)]
    rest: ImageAndCommand,
}

/// Makes a container, starts it, and serves it in the foreground unless it is detached.
pub fn run(args: Args, context: &Context) -> Outcome {
    let mut asked = request::request(&args.flags, &args.rest.image_and_command)?;
    asked.verify = verify_of(context, args.flags.confine.verify_image.as_deref());
    let streams = streams(&args)?;
    let detach_keys = DetachKeys::parse(&args.flags.detach_keys).map_err(Failure::usage)?;
    context.need_root("running a container")?;
    crate::container::keep_our_program(asked.privileged || asked.userns_host || asked.level == stockade_engine::Level::Compat)?;
    if args.flags.tty && args.flags.interactive && !args.detach && !terminal::stdin_is_terminal() {
        return Err(Failure::new("standard input is not a terminal").hint("leave out -t").with_exit(Exit::FAILED));
    }
    super::pull::ensure(context, &asked.image, &args.flags.pull, args.flags.quiet)?;
    ask_gate(context, &asked.image, args.flags.confine.policy.as_deref())?;
    let cid_file = CidFile::reserve(args.flags.cidfile.as_deref())?;
    let engine = engine(context)?;
    let created = engine.create(&asked).map_err(start_failure)?;
    for line in &created.weakened {
        output::warn(line);
    }
    cid_file.write(&created.id)?;
    let signals = if args.detach { None } else { attach::block_signals(args.flags.tty, args.sig_proxy) };
    let options = StartOptions { attach: streams, terminal: terminal::size() };
    let started = engine.start(&created.id, &options).map_err(|e| undo(&engine, &created.id, e))?;
    for line in &started.warnings {
        output::warn(line);
    }
    let Some(client) = started.client else {
        output::to_stdout(&format!("{}\n", created.id))?;
        return Ok(Exit::DONE);
    };
    let stdin = streams.is_some_and(|s| s.stdin);
    let options = attach::Options { tty: args.flags.tty, stdin, detach_keys, signals };
    match attach::run(client, options)? {
        End::Exit(code) => Ok(exit(code)),
        End::Detached => Ok(Exit::DONE),
        End::Lost => {
            Err(Failure::new("the container's monitor was killed, and the container with it").with_exit(Exit(137)))
        }
    }
}

/// A container that the engine could not start (a port in use, say) goes again: nothing is left half-done. One whose
/// program is missing or not executable stays, as docker's does.
fn undo(engine: &Engine, id: &str, error: EngineError) -> Failure {
    let failure = start_failure(error);
    if failure.exit() == Exit::ENGINE {
        // What could not be removed is shown by `ps -a`; the first error is the one to tell.
        let _ = engine.remove(id, true, true);
    }
    failure
}

/// A container's exit code as ours.
pub(super) fn exit(code: i32) -> Exit {
    Exit(u8::try_from(code & 0xff).unwrap_or(255))
}

/// Docker's rule: without -a standard output and error, and input with -i; with -a what it names.
fn streams(args: &Args) -> Result<Option<Streams>, Failure> {
    let named = &args.flags.attach;
    if args.detach {
        return if named.is_empty() {
            Ok(None)
        } else {
            Err(Failure::usage("-d and -a contradict each other; leave out one"))
        };
    }
    if named.is_empty() {
        return Ok(Some(Streams { stdin: args.flags.interactive, stdout: true, stderr: true }));
    }
    let has = |name: &str| named.iter().any(|n| n.eq_ignore_ascii_case(name));
    Ok(Some(Streams { stdin: has("stdin") && args.flags.interactive, stdout: has("stdout"), stderr: has("stderr") }))
}

/// `--cidfile`: must not exist before, and holds the id afterwards.
pub(super) struct CidFile(Option<(std::fs::File, String)>);

impl CidFile {
    pub(super) fn reserve(path: Option<&str>) -> Result<CidFile, Failure> {
        let Some(path) = path else { return Ok(CidFile(None)) };
        let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| {
            let failure = Failure::new(format!("cannot create the id file `{path}`: {e}")).with_exit(Exit::ENGINE);
            if e.kind() == std::io::ErrorKind::AlreadyExists {
                failure.hint("remove it, or give another name: it may belong to a container that still exists")
            } else {
                failure
            }
        })?;
        Ok(CidFile(Some((file, path.to_owned()))))
    }

    pub(super) fn write(mut self, id: &str) -> Result<(), Failure> {
        if let Some((mut file, _)) = self.0.take() {
            file.write_all(id.as_bytes())?;
        }
        Ok(())
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        // Nothing was created: the empty file would only block the next try.
        if let Some((_, path)) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
