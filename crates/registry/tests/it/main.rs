//! The registry client against servers: one in the test that does what it is told, and Debian's `docker-registry`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod auth;
mod crash;
mod fake;
mod hostile;
mod images;
mod pulling;
mod real;
mod server;
