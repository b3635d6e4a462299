//! The `stockade` binary: arguments in, output and exit codes out. No logic lives here.
//!
//! The flow of every command: arguments → settings → a call of a room → a report → an exit code.
#![forbid(unsafe_code)]
// Comments on arguments are their help texts, shown as they stand: `[HOST:]CONTAINER` is no link.
#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]

mod commands;
mod container;
mod context;
mod failure;
mod gate;
mod go_template;
mod human;
mod output;
mod recipe;
mod scanner;
mod transfer;
mod words;

use std::process::ExitCode;

use clap::Parser;

use crate::context::{Context, GlobalArgs};
use crate::failure::{Exit, Failure};

/// Build, scan, run, audit and watch containers: confined by default, without a daemon.
#[derive(Debug, Parser)]
#[command(name = "stockade", version, max_term_width = 110, arg_required_else_help = true, propagate_version = false)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    if let Some(args) = commands::oci_invocation(std::env::args_os()) {
        return commands::oci_main(args);
    }
    let (arguments, engine_config) = commands::before_lint(std::env::args_os().collect());
    let mut cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(e) => {
            // clap writes help to stdout and errors to stderr; a closed pipe is no reason to fail again.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { Exit::USAGE.0 } else { Exit::DONE.0 });
        }
    };
    match &mut cli.command {
        // After the verb `--config` is hadolint's configuration; ours stands before it, or in STOCKADE_CONFIG.
        commands::Command::Lint(_) => cli.global.config = engine_config,
        commands::Command::Audit(args) => args.adopt_root(&mut cli.global),
        commands::Command::Scan(args) if args.config_means_checks() => cli.global.config = None,
        _ => {}
    }
    let result = Context::new(&cli.global).and_then(|mut context| {
        if cli.command.touches_containers() {
            context.become_root_of_a_namespace();
        }
        cli.command.run(&context)
    });
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.is_broken_pipe() {
                failure.print();
            }
            failure.exit().into()
        }
    }
}

/// What a command hands back.
type Outcome = Result<Exit, Failure>;
