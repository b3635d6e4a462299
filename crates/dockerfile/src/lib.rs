//! Dockerfile syntax: parse, expand, ignore files.
#![forbid(unsafe_code)]
