//! The vulnerability database: open it, match an inventory against it, report.
//!
//! The flow: [`Database`] (facts) + inventory (what is there) -> [`matching`] -> [`report::ScanReport`] -> views.
//! Answers have three values: affected, not affected, and unknown with its reason. What could not be decided is part of
//! the report, never silence.
#![forbid(unsafe_code)]

pub mod database;
pub mod ecosystem;
pub mod ignore;
pub mod matching;
pub mod report;
pub mod severity;
pub mod signing;
pub mod version;
pub mod vex;

pub use database::{Database, DatabaseStatus, Origin};
pub use matching::{Hit, MatchOptions, Matches, Status, Vulnerability};
pub use report::ScanReport;
pub use severity::{Cvss, Severity};
pub use stockade_advisory_db::DbError as AdvisoryError;
pub use stockade_advisory_db::Record as AdvisoryRecord;
pub use stockade_advisory_db::{Event, EventKind};
