//! The checks once more, after a fix.

use super::{Context, Plan, daemon};
use crate::checks::{self, kernel};
use crate::docker::facts::{Config, DockerFacts, Kind};
use crate::model::{Answer, Verdict};
use crate::{compose, kubernetes};

/// What a check says now.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The check.
    pub id: &'static str,
    /// Its subject.
    pub subject: String,
    /// The answer and what it rests on.
    pub verdict: Verdict,
    /// What must still happen for it to take effect.
    pub then: Option<&'static str>,
}

/// Whether a check of a Compose or Kubernetes file fails for a subject. What cannot be read does.
pub(crate) fn file_fails(is_compose: bool, file: &str, bytes: &[u8], id: &str, subject: &str) -> bool {
    let results = if is_compose { compose::check(file, bytes) } else { kubernetes::check(file, bytes) };
    let Ok(results) = results else { return true };
    results.iter().any(|r| r.meta.id == id && r.subject == subject && r.result == Answer::Fail)
}

impl Plan {
    /// Runs the check of every failure that the plan cured. Settings of the daemon are judged by its files: the running
    /// one knows of them only when it was started again.
    pub fn verify(&self, context: &Context<'_>) -> Vec<Verified> {
        self.cured
            .iter()
            .map(|c| {
                let verdict =
                    again(c.id, &c.subject, context).unwrap_or_else(|| Verdict::unknown("the check was not found"));
                Verified { id: c.id, subject: c.subject.clone(), verdict, then: c.then }
            })
            .collect()
    }
}

fn again(id: &str, subject: &str, context: &Context<'_>) -> Option<Verdict> {
    if let Some(check) = kernel::SYSCTLS.iter().find(|c| c.meta.id == id) {
        return Some(check.test(context.host));
    }
    if let Some(check) = checks::host_tables().find(|c| c.meta.id == id) {
        let verdict = (check.test)(context.host, context.docker);
        // Written, and loaded with the next `augenrules --load`.
        let written = verdict.answer == Answer::Fail && verdict.evidence.contains("written, but not loaded");
        return Some(if written { Verdict::pass(verdict.evidence) } else { verdict });
    }
    if let Some(check) = checks::daemon::CHECKS.iter().find(|c| c.meta.id == id) {
        let facts = DockerFacts {
            kind: Kind::Docker,
            config: Config::read(context.host, daemon::config_path(context.docker)),
            ..DockerFacts::default()
        };
        let verdict = (check.test)(&facts);
        let only_live = verdict.answer == Answer::Unknown && facts.config_error().is_none();
        return Some(if only_live { Verdict::pass("the setting is out of daemon.json") } else { verdict });
    }
    let (file, _) = subject.rsplit_once(": ")?;
    let path = context.directory.join(file);
    let bytes = match context.host.read_large(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Some(Verdict::unknown(format!("{file} does not exist"))),
        Err(why) => return Some(Verdict::unknown(why)),
    };
    let is_compose = compose::all().any(|m| m.id == id);
    let fails = file_fails(is_compose, file, &bytes, id, subject);
    Some(Verdict::of(!fails, format!("{file} was read again")))
}
