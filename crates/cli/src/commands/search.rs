//! `stockade search`

use serde_json::{Value, json};
use stockade_registry::{Found, Silent};

use crate::Outcome;
use crate::container::filter;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::go_template;
use crate::output::{self, Table};
use crate::transfer::RegistryArgs;

/// Columns of a description that is cut, as docker has it.
const DESCRIPTION_WIDTH: usize = 45;

/// Arguments of `stockade search`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Those that fit: is-official=true, stars=NUMBER
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `json`, `table TEMPLATE` or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Do not cut descriptions
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    registry: RegistryArgs,
    /// A part of a name, at docker.io or at another registry whose catalog may be read
    #[arg(value_name = "[HOST/]TERM")]
    term: String,
}

/// Searches.
pub fn run(args: Args, context: &Context) -> Outcome {
    let filters = filter::parse(&args.filter, &["is-official", "stars"])?;
    for filter in &filters {
        let good = match filter.key.as_str() {
            "stars" => filter.value.parse::<u64>().is_ok(),
            _ => filter.value.parse::<bool>().is_ok(),
        };
        if !good {
            return Err(Failure::usage(format!("--filter {}={}: the value cannot be used", filter.key, filter.value)));
        }
    }
    let (host, term) = split_host(&args.term);
    let found = args.registry.client(context).search(host, term, args.limit.into(), &Silent)?;
    let fits = |one: &Found| {
        filter::matches(&filters, |f| match f.key.as_str() {
            "stars" => f.value.parse::<u64>().is_ok_and(|least| one.stars >= least),
            _ => f.value.parse::<bool>().is_ok_and(|wanted| one.official == wanted),
        })
    };
    let rows: Vec<Value> = found.iter().filter(|one| fits(one)).map(|one| row(one, args.no_trunc)).collect();
    if let Some(format) = args.format.as_deref().filter(|f| *f != "table") {
        output::to_stdout(&go_template::render_rows(format, &rows)?)?;
        return Ok(Exit::DONE);
    }
    let fields = ["Name", "Description", "StarCount", "IsOfficial"];
    let mut table = Table::new(["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]);
    for row in &rows {
        table.row(fields.map(|f| row.get(f).and_then(Value::as_str).unwrap_or_default()));
    }
    table.print()?;
    Ok(Exit::DONE)
}

/// `localhost:5000/app` is searched there, everything else at docker.io.
fn split_host(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => ("docker.io", term),
    }
}

fn row(one: &Found, whole: bool) -> Value {
    let mut description = one.description.clone();
    if !whole && description.chars().count() > DESCRIPTION_WIDTH {
        description = description.chars().take(DESCRIPTION_WIDTH - 1).chain(['…']).collect();
    }
    json!({
        "Name": one.name,
        "Description": description,
        "StarCount": one.stars.to_string(),
        "IsOfficial": if one.official { "[OK]" } else { "" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_before_the_slash_is_searched() {
        assert_eq!(split_host("localhost:5000/app"), ("localhost:5000", "app"));
        assert_eq!(split_host("r.example/team/app"), ("r.example", "team/app"));
        assert_eq!(split_host("library/debian"), ("docker.io", "library/debian"));
        assert_eq!(split_host("debian"), ("docker.io", "debian"));
    }
}
