//! The vulnerability database: build, open, match.
#![forbid(unsafe_code)]
