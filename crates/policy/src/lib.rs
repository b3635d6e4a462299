//! Gate rules and confinement levels.
#![forbid(unsafe_code)]
