//! `stockade container`: docker's long names of the verbs, and `prune`.

use std::io::{BufRead, IsTerminal};

use stockade_engine::Engine;

use crate::Outcome;
use crate::container::{engine, filter};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{human, output};

/// Arguments of `stockade container`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Connect the terminal to a running container
    Attach(super::attach::Args),
    /// Make an image of a container's files
    Commit(super::commit::Args),
    /// Copy files between a container and the host
    Cp(super::cp::Args),
    /// Make a container without starting it
    Create(super::create::Args),
    /// Show which files a container changed
    Diff(super::diff::Args),
    /// Run another process in a running container
    Exec(super::exec::Args),
    /// Write a container's files as a tar
    Export(super::export::Args),
    /// Show everything about containers
    Inspect(super::inspect::Args),
    /// Send a signal to containers
    Kill(super::kill::Args),
    /// Show what a container wrote
    Logs(super::logs::Args),
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(super::ps::Args),
    /// Freeze containers
    Pause(super::pause::Args),
    /// Show where a container's ports are
    Port(super::port::Args),
    /// Remove all containers that do not run
    Prune(Prune),
    /// Give a container another name
    Rename(super::rename::Args),
    /// Stop containers and start them again
    Restart(super::restart::Args),
    /// Remove containers
    #[command(visible_alias = "remove")]
    Rm(super::rm::Args),
    /// Make a container and start it
    Run(super::run::Args),
    /// Start containers
    Start(super::start::Args),
    /// Show what containers use
    Stats(super::stats::Args),
    /// Stop containers
    Stop(super::stop::Args),
    /// Show the processes of a container
    Top(super::top::Args),
    /// Let frozen containers go on
    Unpause(super::unpause::Args),
    /// Change limits and restart policy
    Update(super::update::Args),
    /// Wait for the end of containers
    Wait(super::wait::Args),
}

/// Arguments of `stockade container prune`.
#[derive(Debug, clap::Args)]
struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Those that fit: until=TIME, label=…
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Runs the chosen verb.
pub fn run(args: Args, context: &Context) -> Outcome {
    match args.verb {
        Verb::Attach(a) => super::attach::run(a, context),
        Verb::Commit(a) => super::commit::run(a, context),
        Verb::Cp(a) => super::cp::run(a, context),
        Verb::Create(a) => super::create::run(a, context),
        Verb::Diff(a) => super::diff::run(a, context),
        Verb::Exec(a) => super::exec::run(a, context),
        Verb::Export(a) => super::export::run(a, context),
        Verb::Inspect(a) => super::inspect::run(a, context),
        Verb::Kill(a) => super::kill::run(a, context),
        Verb::Logs(a) => super::logs::run(a, context),
        Verb::Ls(a) => super::ps::run(a, context),
        Verb::Pause(a) => super::pause::run(a, context),
        Verb::Port(a) => super::port::run(a, context),
        Verb::Prune(a) => prune(&a, context),
        Verb::Rename(a) => super::rename::run(a, context),
        Verb::Restart(a) => super::restart::run(a, context),
        Verb::Rm(a) => super::rm::run(a, context),
        Verb::Run(a) => super::run::run(a, context),
        Verb::Start(a) => super::start::run(a, context),
        Verb::Stats(a) => super::stats::run(a, context),
        Verb::Stop(a) => super::stop::run(a, context),
        Verb::Top(a) => super::top::run(a, context),
        Verb::Unpause(a) => super::unpause::run(a, context),
        Verb::Update(a) => super::update::run(a, context),
        Verb::Wait(a) => super::wait::run(a, context),
    }
}

/// Asks before something is removed, unless it was forced. Without a terminal nobody can answer, and nothing is done.
pub(super) fn confirm(force: bool, what: &str) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{what}; use -f to do it without being asked")));
    }
    output::to_stderr(&format!("{what}. Continue? [y/N] "));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if matches!(line.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Failure::new("nothing was removed")) }
}

fn prune(args: &Prune, context: &Context) -> Outcome {
    confirm(args.force, "This removes all containers that do not run")?;
    context.need_root("removing containers")?;
    let (removed, bytes) = prune_stopped(&engine(context)?, &args.filter)?;
    let mut text = String::new();
    if !removed.is_empty() {
        text = format!("Deleted Containers:\n{}\n\n", removed.join("\n"));
    }
    output::to_stdout(&format!("{text}Total reclaimed space: {}\n", human::size(bytes)))?;
    Ok(Exit::DONE)
}

/// Removes containers that do not run and fit the filters; their ids, and the bytes that became free.
pub(super) fn prune_stopped(engine: &Engine, filters: &[String]) -> Result<(Vec<String>, u64), Failure> {
    let filters = filter::parse(filters, &["until", "label"])?;
    let until = filters
        .iter()
        .find(|f| f.key == "until")
        .map(|f| human::parse_time(&f.value))
        .transpose()
        .map_err(Failure::usage)?;
    let mut removed = Vec::new();
    let mut bytes = 0;
    for record in engine.list()?.0 {
        let fits = filters.iter().filter(|f| f.key == "label").all(|f| match f.value.split_once('=') {
            Some((key, value)) => record.spec.labels.get(key).is_some_and(|v| v == value),
            None => record.spec.labels.contains_key(&f.value),
        });
        let old =
            until.is_none_or(|until| stockade_engine::clock::parse(&record.spec.created).is_some_and(|t| t < until));
        if record.state.status.is_live() || !fits || !old {
            continue;
        }
        let size = engine.own_bytes(&record.spec.id);
        // One that was started meanwhile stays: removal without force refuses it.
        if engine.remove(&record.spec.id, false, false).is_ok() {
            bytes += size;
            removed.push(record.spec.id);
        }
    }
    Ok((removed, bytes))
}
