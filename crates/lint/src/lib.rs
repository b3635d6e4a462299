//! Dockerfile rules: what is unwise, where exactly, and the fix.
#![forbid(unsafe_code)]

pub mod shell;
