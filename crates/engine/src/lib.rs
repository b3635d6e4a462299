//! A container's life: create, start, exec, logs, stop, restart, remove.
#![forbid(unsafe_code)]
