//! `stockade image tree`

use serde_json::json;
use stockade_image::TreeNode;

use super::super::images::open;
use crate::Outcome;
use crate::context::Context;
use crate::failure::Exit;
use crate::{human, output};

/// Longest instruction that is shown, in characters.
const SHOWN: usize = 60;

/// Arguments of `stockade image tree`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Shows images as trees of layers: what stands on what.
pub fn run(args: &Args, context: &Context) -> Outcome {
    let tree = open(context)?.tree()?;
    if args.format == Format::Json {
        output::json(&json!({ "schema": "stockade.image-tree/v1", "layers": tree }))?;
        return Ok(Exit::DONE);
    }
    let mut text = String::new();
    for node in &tree {
        show(node, "", "", &mut text);
    }
    output::to_stdout(&text)?;
    Ok(Exit::DONE)
}

/// One layer a line. A line that goes on without a branch keeps its indent: an image of twenty layers is no staircase.
fn show(node: &TreeNode, lead: &str, below: &str, text: &mut String) {
    let names =
        if node.images.is_empty() { String::new() } else { format!(" [{}]", output::printable(&node.images.join(", "))) };
    let instruction: String = node.created_by.split_whitespace().collect::<Vec<_>>().join(" ");
    let instruction = output::printable(&instruction.chars().take(SHOWN).collect::<String>());
    text.push_str(&format!("{lead}{} {}{names} {instruction}\n", node.diff_id.short(), human::size(node.bytes)));
    let last = node.children.len().saturating_sub(1);
    for (at, child) in node.children.iter().enumerate() {
        match (node.children.len(), at == last) {
            (1, _) => show(child, &format!("{below}│ "), below, text),
            (_, false) => show(child, &format!("{below}├─"), &format!("{below}│ "), text),
            (_, true) => show(child, &format!("{below}└─"), &format!("{below}  "), text),
        }
    }
}
