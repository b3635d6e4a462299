//! Views: the report in the formats that people and programs read. None of them adds or hides a fact.

pub mod table;
mod text;

pub use table::{TableOptions, table};
