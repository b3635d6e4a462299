//! `stockade events`

use stockade_engine::Event;

use crate::Outcome;
use crate::container::engine;
use crate::container::filter;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::human::parse_time;
use crate::{go_template, output};

/// Arguments of `stockade events`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Begin with those that happened since this time or duration
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// End with this time; without it wait for more for ever
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Those that fit: event=die, container=web, type=volume, image=…, label=…
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `json` or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Shows what happened and happens.
pub fn run(args: Args, context: &Context) -> Outcome {
    let time = |text: &Option<String>| text.as_deref().map(parse_time).transpose().map_err(Failure::usage);
    let (since, until) = (time(&args.since)?, time(&args.until)?);
    let filters = filter::parse(&args.filter, &["event", "container", "image", "type", "label", "volume"])?;
    let template = match args.format.as_deref() {
        None | Some("json") => None,
        Some(text) => Some(go_template::Template::parse(text)?),
    };
    let mut failed = None;
    engine(context)?.events(since, until, &mut |event| {
        if !filter::matches(&filters, |f| fits(f, event)) {
            return true;
        }
        let line = match (&template, args.format.is_some()) {
            (Some(template), _) => serde_json::to_value(event).map_err(Failure::from).and_then(|mut value| {
                // Docker's templates name these fields with capitals.
                if let Some(object) = value.as_object_mut() {
                    for (new, old) in [
                        ("Status", "status"),
                        ("ID", "id"),
                        ("From", "from"),
                        ("Time", "time"),
                        ("TimeNano", "timeNano"),
                        ("Scope", "scope"),
                    ] {
                        if let Some(v) = object.get(old).cloned() {
                            object.insert(new.into(), v);
                        }
                    }
                }
                Ok(template.render(&value)?)
            }),
            (None, true) => serde_json::to_string(event).map_err(Failure::from),
            (None, false) => Ok(words(event)),
        };
        failed = line.and_then(|line| output::to_stdout(&format!("{line}\n"))).err();
        failed.is_none()
    })?;
    match failed {
        Some(failure) => Err(failure),
        None => Ok(Exit::DONE),
    }
}

fn fits(filter: &filter::Filter, event: &Event) -> bool {
    let value = filter.value.as_str();
    let attribute = |name: &str| event.actor.attributes.get(name).map(String::as_str);
    match filter.key.as_str() {
        // `exec_start: cmd` is the event `exec_start`.
        "event" => event.action == value || event.action.split(':').next() == Some(value),
        "type" => event.kind == value,
        "container" => {
            event.kind == "container" && (event.actor.id.starts_with(value) || attribute("name") == Some(value))
        }
        "volume" => event.kind == "volume" && event.actor.id == value,
        "image" => attribute("image") == Some(value) || (event.kind == "image" && event.actor.id.starts_with(value)),
        "label" => match value.split_once('=') {
            Some((key, wanted)) => attribute(key) == Some(wanted),
            None => attribute(value).is_some(),
        },
        _ => false,
    }
}

/// `2026-01-02T03:04:05.000000000Z container start ID (image=…, name=…)`
fn words(event: &Event) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(event.time_nano)).map(stockade_engine::clock::format);
    let attributes: Vec<String> = event.actor.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    output::printable(&format!(
        "{} {} {} {} ({})",
        time.unwrap_or_default(),
        event.kind,
        event.action,
        event.actor.id,
        attributes.join(", ")
    ))
}
