//! Importers: one format a file. Each turns bytes into [`Record`]s, or facts about vulnerabilities, and judges nothing.

pub mod epss;
pub mod kev;
pub mod osv;
