//! What a build tells while it runs.

use stockade_engine::StepStream;

/// Number of a step in this build, from 1.
pub type StepId = usize;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// It ran.
    Done,
    /// The cache had its result.
    Cached,
    /// It failed; the words of the error.
    Failed(String),
    /// It was stopped because something else failed.
    Cancelled,
}

/// Receives events, from several threads at once.
pub trait BuildEvents: Sync {
    /// A step begins; `name` is such as `[2/4] RUN apt-get update`.
    fn started(&self, step: StepId, name: &str);
    /// Something the step wrote.
    fn output(&self, step: StepId, stream: StepStream, bytes: &[u8]);
    /// How far a step has come: one line that replaces the one before.
    fn status(&self, step: StepId, text: &str);
    /// A step ended.
    fn finished(&self, step: StepId, finish: &Finish);
    /// Something a person should see once, possibly of several lines.
    fn warning(&self, text: &str);
}

/// Tells nobody.
#[derive(Debug, Default, Clone, Copy)]
pub struct Quiet;

impl BuildEvents for Quiet {
    fn started(&self, _: StepId, _: &str) {}
    fn output(&self, _: StepId, _: StepStream, _: &[u8]) {}
    fn status(&self, _: StepId, _: &str) {}
    fn finished(&self, _: StepId, _: &Finish) {}
    fn warning(&self, _: &str) {}
}
