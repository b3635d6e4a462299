//! Base images made from a distribution's signed archive.
#![forbid(unsafe_code)]
