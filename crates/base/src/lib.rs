//! Base images made from a distribution's signed archive.
//!
//! [`bootstrap()`] fills an empty directory with a minimal Debian or Ubuntu: it verifies the signature of the archive's
//! `InRelease`, every index and every package by hash, unpacks the packages in this process, and has their maintainer
//! scripts run by a [`ConfigureRunner`] that the caller confines. Nothing of the host but its keyrings and its apt
//! sources (for the mirror's address) is read; neither dpkg nor apt is needed on it.
//!
//! The road: [`BaseName`] → [`mirror::resolve_mirror`] → InRelease → Packages → selection → download → unpack →
//! configure → tidy.
#![forbid(unsafe_code)]

mod archive;
mod bootstrap;
mod configure;
mod control;
mod deb;
mod dpkg;
mod error;
mod excludes;
mod fetch;
#[doc(hidden)]
pub mod fuzzing;
mod install;
mod keyring;
mod minimal;
pub mod mirror;
mod name;
mod packages;
mod present;
mod progress;
mod release;
mod root;
mod runner;
mod select;
mod signature;
pub mod suites;
mod tidy;
mod unpack;
pub mod version;

pub use bootstrap::{BaseRequest, BaseResult, bootstrap};
pub use error::BaseError;
pub use fetch::clean_cache;
pub use mirror::{Mirror, MirrorChoice, MirrorOrigin, resolve_mirror};
pub use name::{BaseName, Distro, Flavour};
pub use present::{Present, present};
pub use progress::{Phase, Progress, Silent};
pub use runner::{ConfigureRunner, RunnerError};
