//! `stockade system check --kernel`: known holes and missing defences of the running kernel.

use serde_json::{Value, json};
use stockade_sandbox::kernel::{Answer, Finding, findings};

use crate::Outcome;
use crate::failure::Exit;
use crate::output::{self, Table};

/// Prints every fact, the bad ones first. Exit code 1 where something is bad that no control of the level closes.
pub fn run(json: bool) -> Outcome {
    let mut list = findings();
    list.sort_by_key(|f| match f.answer {
        Answer::Bad => 0,
        Answer::Unknown => 1,
        Answer::Good => 2,
    });
    if json {
        let facts: Vec<Value> = list.iter().map(fact).collect();
        output::json(&json!({ "schema": "stockade.kernel-check/v1", "facts": facts }))?;
    } else {
        let mut table = Table::new(["ID", "ANSWER", "WHAT", "CLOSED AT STANDARD BY", "EVIDENCE"]);
        for f in &list {
            table.row([f.id, f.answer.name(), f.what, if f.closed_by.is_empty() { "-" } else { f.closed_by }, &f.evidence]);
        }
        table.print()?;
    }
    let open = list.iter().any(|f| f.answer == Answer::Bad && f.closed_by.is_empty());
    Ok(if open { Exit::FAILED } else { Exit::DONE })
}

fn fact(f: &Finding) -> Value {
    json!({
        "id": f.id,
        "what": f.what,
        "answer": f.answer.name(),
        "evidence": f.evidence,
        "fix": if f.fix.is_empty() { Value::Null } else { Value::from(f.fix) },
        "closed_by": if f.closed_by.is_empty() { Value::Null } else { Value::from(f.closed_by) },
    })
}
