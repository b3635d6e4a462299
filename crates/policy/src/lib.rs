//! Gate rules: whether what a scan found may be run.
//!
//! The room judges; it reads no image, no kernel and no clock. Input: settings, a report, today's date. Output: a
//! [`Decision`] that names every finding it rests on, and every exception that did not hold or was not needed.
#![forbid(unsafe_code)]

mod gate;
mod rules;

pub use gate::{Decision, ExceptionNote, Offence, Verdict, gate};
