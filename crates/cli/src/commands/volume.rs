//! `stockade volume`

use serde_json::{Value, json};
use stockade_engine::{Engine, Volume};

use crate::Outcome;
use crate::container::{engine, env, filter, for_each};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Table;
use crate::{go_template, human, output};

/// Arguments of `stockade volume`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a volume
    Create {
        /// Label, NAME=VALUE
        #[arg(long, value_name = "LABEL")]
        label: Vec<String>,
        /// Only `local`
        #[arg(short, long, value_name = "DRIVER", default_value = "local")]
        driver: String,
        /// Not supported
        #[arg(short, long, value_name = "OPTION", hide = true)]
        opt: Vec<String>,
        /// Its name [default: made up]
        name: Option<String>,
    },
    /// List volumes
    #[command(visible_alias = "list")]
    Ls {
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
        /// Those that fit: name=…, label=…, dangling=true
        #[arg(short, long, value_name = "FILTER")]
        filter: Vec<String>,
        /// `json`, `table TEMPLATE` or a Go template
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Show everything about volumes
    Inspect {
        /// Go template
        #[arg(short, long, value_name = "FORMAT")]
        format: Option<String>,
        /// Volumes
        #[arg(required = true)]
        volumes: Vec<String>,
    },
    /// Remove volumes
    #[command(visible_alias = "remove")]
    Rm {
        /// Missing ones are no error
        #[arg(short, long)]
        force: bool,
        /// Volumes
        #[arg(required = true)]
        volumes: Vec<String>,
    },
    /// Remove anonymous volumes that no container uses
    Prune {
        /// Named ones too
        #[arg(short, long)]
        all: bool,
        /// Do not ask
        #[arg(short, long)]
        force: bool,
    },
}

/// Makes, shows and removes volumes.
pub fn run(args: Args, context: &Context) -> Outcome {
    let engine = engine(context)?;
    match args.verb {
        Verb::Create { label, driver, opt, name } => {
            if driver != "local" || !opt.is_empty() {
                return Err(Failure::usage(
                    "only local volumes without options exist; mount the file system on the host and use -v",
                ));
            }
            let volume = engine.volume_create(name.as_deref(), env::labels(&[], &label)?)?;
            output::to_stdout(&format!("{}\n", volume.name))?;
        }
        Verb::Ls { quiet, filter, format } => list(&engine, quiet, &filter, format.as_deref())?,
        Verb::Inspect { format, volumes } => {
            let mut all = Vec::new();
            for name in &volumes {
                all.push(describe(&engine.volume(name)?));
            }
            match format.as_deref() {
                None => output::json(&all)?,
                Some(format) => output::to_stdout(&go_template::render_rows(format, &all)?)?,
            }
        }
        Verb::Rm { force, volumes } => {
            return for_each(&volumes, |name| {
                engine.volume_remove(name, force)?;
                Ok(name.to_owned())
            });
        }
        Verb::Prune { all, force } => {
            super::container::confirm(force, "This removes all volumes that no container uses")?;
            let (names, bytes) = engine.volume_prune(all)?;
            let mut text = String::new();
            if !names.is_empty() {
                text = format!("Deleted Volumes:\n{}\n\n", names.join("\n"));
            }
            output::to_stdout(&format!("{text}Total reclaimed space: {}\n", human::size(bytes)))?;
        }
    }
    Ok(Exit::DONE)
}

fn list(engine: &Engine, quiet: bool, filters: &[String], format: Option<&str>) -> Result<(), Failure> {
    let filters = filter::parse(filters, &["name", "label", "dangling", "driver"])?;
    let mut volumes = engine.volumes()?;
    volumes.retain(|v| {
        filter::matches(&filters, |f| match f.key.as_str() {
            "name" => v.name.contains(&f.value),
            "driver" => f.value == "local",
            "label" => match f.value.split_once('=') {
                Some((key, value)) => v.labels.get(key).is_some_and(|l| l == value),
                None => v.labels.contains_key(&f.value),
            },
            // One whose users cannot be told counts as used: nothing is offered for removal by mistake.
            _ => {
                let dangling = engine.volume_users(&v.name).is_ok_and(|users| users.is_empty());
                dangling == matches!(f.value.as_str(), "true" | "1")
            }
        })
    });
    if quiet {
        let names: String = volumes.iter().map(|v| format!("{}\n", v.name)).collect();
        return output::to_stdout(&names);
    }
    if let Some(format) = format.filter(|f| *f != "table") {
        let rows: Vec<Value> = volumes.iter().map(describe).collect();
        return output::to_stdout(&go_template::render_rows(format, &rows)?);
    }
    let mut table = Table::new(["DRIVER", "VOLUME NAME"]);
    for volume in volumes {
        table.row(["local".to_owned(), volume.name]);
    }
    table.print()
}

/// A volume as `docker volume inspect` shows it.
pub(super) fn describe(volume: &Volume) -> Value {
    json!({
        "CreatedAt": volume.created,
        "Driver": "local",
        "Labels": volume.labels,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": null,
        "Scope": "local",
        "Anonymous": volume.anonymous,
    })
}
