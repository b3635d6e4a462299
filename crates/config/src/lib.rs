//! stockade.toml, environment and directories, resolved once.
#![forbid(unsafe_code)]
