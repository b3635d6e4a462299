//! `stockade info`: docker's short name of `system info`.

pub use super::system::info::{Args, run};
