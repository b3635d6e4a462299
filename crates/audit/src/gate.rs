//! Audit checks for the run gate: chosen checks on a container that is about to run.
//!
//! Input: names of checks as people write them in `[gate] checks` (ids, references, whole sections) and the container in
//! `docker inspect`'s form; what it is not known before the container runs is answered `unknown`.

use serde_json::Value;

use crate::checks;
use crate::docker::facts::{DockerFacts, Kind};
use crate::model::{CheckResult, Meta};
use crate::select::{NoSuchCheck, Selection};

/// The checks that can be named: those of containers.
pub fn checks() -> impl Iterator<Item = &'static Meta> {
    checks::container_checks().map(|c| &c.meta)
}

/// Answers of the chosen checks about one container, in the order of the table. No name chooses no check.
///
/// Errors: a name that no check of containers has.
pub fn evaluate(names: &[String], container: &Value) -> Result<Vec<CheckResult>, NoSuchCheck> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let selection = Selection { only: names.to_vec(), ..Selection::default() };
    selection.verify(checks().collect::<Vec<_>>().into_iter())?;
    let facts = DockerFacts { kind: Kind::Stockade, ..DockerFacts::default() };
    let subject = format!("container {}", checks::name(container));
    Ok(checks::container_checks()
        .filter(|c| selection.keeps(&c.meta))
        .map(|c| CheckResult::new(&c.meta, subject.clone(), (c.test)(container, &facts)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;
    use serde_json::json;

    #[test]
    fn chosen_checks_are_answered_in_order() {
        let container = json!({"Name": "/web", "HostConfig": {"Privileged": true, "PidMode": ""}});
        let names = ["CIS-5.16", "privileged-container"].map(str::to_owned);
        let answers: Vec<_> = evaluate(&names, &container).unwrap().iter().map(|r| (r.meta.id, r.result)).collect();
        assert_eq!(answers, [("privileged-container", Answer::Fail), ("host-pid", Answer::Pass)]);
        assert!(evaluate(&[], &container).unwrap().is_empty());
    }

    #[test]
    fn a_name_without_a_check_is_refused() {
        // A check there is, but not one of containers.
        for name in ["nonsense", "CIS-2.2"] {
            assert_eq!(evaluate(&[name.to_owned()], &json!({})).unwrap_err().name, name);
        }
    }
}
