//! `stockade history`

use jiff::Timestamp;
use serde_json::{Value, json};
use stockade_image::HistoryEntry;

use super::images::{find, open};
use crate::Outcome;
use crate::context::Context;
use crate::failure::Exit;
use crate::output::Table;
use crate::{go_template, human, output};

/// Characters of an instruction, and of a comment, that are shown.
const SHOWN: usize = 45;

/// Arguments of `stockade history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `json`, `table TEMPLATE` or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Sizes and times for people
    #[arg(short = 'H', long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    human: bool,
    /// Do not cut ids and instructions
    #[arg(long)]
    no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Name or id
    image: String,
}

/// Shows what made each layer of an image, newest first.
pub fn run(args: Args, context: &Context) -> Outcome {
    let store = open(context)?;
    let image = find(&store, &args.image)?;
    let rows: Vec<Value> = store.history(&image)?.iter().map(|entry| row(entry, &args)).collect();
    let field = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if args.quiet {
        output::to_stdout(&rows.iter().map(|r| format!("{}\n", field(r, "ID"))).collect::<String>())?;
        return Ok(Exit::DONE);
    }
    if let Some(format) = args.format.as_deref().filter(|f| *f != "table") {
        output::to_stdout(&go_template::render_rows(format, &rows)?)?;
        return Ok(Exit::DONE);
    }
    let created = if args.human { ("CREATED", "CreatedSince") } else { ("CREATED AT", "CreatedAt") };
    let mut table = Table::new(["IMAGE", created.0, "CREATED BY", "SIZE", "COMMENT"]);
    for row in &rows {
        table.row(["ID", created.1, "CreatedBy", "Size", "Comment"].map(|name| field(row, name)));
    }
    table.print()?;
    Ok(Exit::DONE)
}

/// Docker's names of the columns.
fn row(entry: &HistoryEntry, args: &Args) -> Value {
    let created = entry.created.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let id = entry.id.map(|id| if args.no_trunc { id.to_string() } else { id.short() });
    json!({
        "ID": id.unwrap_or_else(|| "<missing>".to_owned()),
        "CreatedSince": created.map_or_else(|| "N/A".to_owned(), human::ago),
        "CreatedAt": created.map_or_else(String::new, |t| t.to_string()),
        "CreatedBy": shown(&entry.created_by, args.no_trunc),
        "Size": if args.human { human::size(entry.size) } else { entry.size.to_string() },
        "Comment": shown(&entry.comment, args.no_trunc),
    })
}

/// One line, cut unless the whole is wanted.
fn shown(text: &str, whole: bool) -> String {
    let line = text.replace(['\n', '\t'], " ");
    if whole || line.chars().count() <= SHOWN {
        return line;
    }
    line.chars().take(SHOWN - 1).chain(['…']).collect()
}
