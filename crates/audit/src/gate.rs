//! Audit checks for the run gate: chosen checks on an image or a container that is about to run.
//!
//! Input: names of checks as people write them in `[gate] checks` (ids, references, whole sections) and the image or the
//! container in `docker inspect`'s form; what is not known before the container runs is answered `unknown`.

use serde_json::Value;

use crate::checks;
use crate::content::Content;
use crate::docker::facts::{DockerFacts, Kind};
use crate::model::{CheckResult, Meta, Section};
use crate::select::{NoSuchCheck, Selection};

/// The checks that can be named: those of containers.
pub fn checks() -> impl Iterator<Item = &'static Meta> {
    checks::container_checks().map(|c| &c.meta)
}

/// The checks of images that can be named.
pub fn image_checks() -> impl Iterator<Item = &'static Meta> {
    checks::image_checks().map(|c| &c.meta)
}

/// Whether a name is that of a check of images.
pub fn names_image_check(name: &str) -> bool {
    image_checks().any(|meta| crate::select::named(meta, name))
}

/// Answers of the chosen checks about one image, in the order of the table. No name chooses no check. `content` is asked
/// for the image's files only where a check looks at them; `now` is in seconds since 1970.
///
/// # Errors
/// A name that no check of images has.
pub fn evaluate_image(
    names: &[String],
    image: &Value,
    now: i64,
    content: impl FnOnce() -> Result<Content, String>,
) -> Result<Vec<CheckResult>, NoSuchCheck> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let selection = Selection { only: names.to_vec(), ..Selection::default() };
    selection.verify(image_checks().collect::<Vec<_>>().into_iter())?;
    let mut facts = DockerFacts { kind: Kind::Stockade, now: Some(now), ..DockerFacts::default() };
    if image_checks().any(|m| m.section == Section::ImageContent && selection.keeps(m)) {
        let id = image.get("Id").and_then(Value::as_str).unwrap_or_default().to_owned();
        facts.contents.insert(id, content());
    }
    let subject = format!("image {}", checks::name(image));
    Ok(checks::image_checks()
        .filter(|c| selection.keeps(&c.meta))
        .map(|c| CheckResult::new(&c.meta, subject.clone(), (c.test)(image, &facts)))
        .collect())
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
    fn an_image_is_answered_and_its_files_only_when_asked_for() {
        let image = json!({"Id": "sha256:1", "RepoTags": ["web:1"], "Config": {"User": ""}});
        let none = || -> Result<Content, String> { unreachable!("nobody asked for files") };
        let answers = evaluate_image(&["CIS-4.1".to_owned()], &image, 0, none).unwrap();
        assert_eq!((answers[0].meta.id, answers[0].result), ("root-user", Answer::Fail));
        let files = || Ok(Content { setuid: vec![("/x".to_owned(), 0o4755)], ..Content::default() });
        let answers = evaluate_image(&["setuid-in-image".to_owned()], &image, 0, files).unwrap();
        assert_eq!(answers[0].result, Answer::Fail);
        assert!(evaluate_image(&["host-pid".to_owned()], &image, 0, || Ok(Content::default())).is_err());
        assert!(names_image_check("CIS-4.1") && !names_image_check("CVE-2026-1"));
    }

    #[test]
    fn a_name_without_a_check_is_refused() {
        // A check there is, but not one of containers.
        for name in ["nonsense", "CIS-2.2"] {
            assert_eq!(evaluate(&[name.to_owned()], &json!({})).unwrap_err().name, name);
        }
    }
}
