//! How safe a host, its daemons, images, containers and files are: checks that answer with evidence.
//!
//! Every check is a row of a table in [`checks`]: facts about the check ([`model::Meta`]) beside a function from facts about
//! the system to a [`model::Verdict`]. A check that cannot know says [`model::Answer::Unknown`] and why; silence is no answer.
#![forbid(unsafe_code)]

pub mod checks;
pub mod compose;
pub mod content;
pub mod docker;
pub mod docs;
pub mod fix;
pub mod gate;
pub mod history;
pub mod host;
pub mod kernel_audit;
pub mod kubernetes;
pub mod model;
pub mod select;
pub mod views;
pub mod yaml;

pub use checks::{Subjects, all, run};
pub use model::{Answer, CheckResult, Meta, Report, Section, Verdict};
