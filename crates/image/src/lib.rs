//! Images: names, the store on disk, layers, tar in and out.
#![forbid(unsafe_code)]

pub mod config;
pub mod digest;
pub mod reference;
