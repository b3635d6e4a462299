//! `explain CONTAINER|IMAGE`: what the process may do, each with its reason and origin.

use std::fmt::Write as _;

use serde_json::json;
use stockade_engine::{Engine, EngineError, Explanation, Level};

use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{Outcome, output};

/// The container or image of this name, if there is one.
pub fn find(name: &str, level: Option<Level>, context: &Context) -> Result<Option<Explanation>, Failure> {
    let engine: Engine = engine(context)?;
    if level.is_none() {
        match engine.explain_container(name) {
            Ok(found) => return Ok(Some(found)),
            Err(EngineError::NoSuchContainer { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    match engine.explain_image(name, level.unwrap_or_default()) {
        Ok(found) => Ok(Some(found)),
        // Not the name of an image either, or not even the form of one.
        Err(EngineError::NoSuchImage { .. } | EngineError::Image(_)) if level.is_none() => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Prints it.
pub fn print(found: &Explanation, json: bool) -> Outcome {
    if json {
        let report = json!({
            "schema": "stockade.explain/v1",
            "subject": found.subject,
            "kind": found.kind,
            "level": found.level,
            "facts": found.facts,
        });
        output::json(&report)?;
        return Ok(Exit::DONE);
    }
    let of = if found.kind == "image" { "a container of the image" } else { "the container" };
    let mut text = format!("What {of} {} may do (level {}):\n", found.subject, found.level);
    let mut topic = "";
    for fact in &found.facts {
        if fact.topic != topic {
            topic = fact.topic;
            let _ = writeln!(text, "\n{topic}");
        }
        let _ = writeln!(text, "  {}\n      {} ({})", fact.what, fact.reason, fact.origin);
    }
    text.push_str("\n--format json names every call and path.\n");
    output::to_stdout(&output::printable_lines(&text))?;
    Ok(Exit::DONE)
}
