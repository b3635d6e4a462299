//! Dockerfile to image: plan, cache, solve.
//!
//! [`Builder::build`] parses, plans a graph of stages, runs those that the target needs (independent ones at the same
//! time), and commits the result to the store. This room runs no step itself: it asks an [`Executor`], which in
//! real life is the engine.
//!
//! What a step's result depends on becomes its key: the layers below it, the instruction after expansion, the
//! environment that it sees, and the *content* of the files that it copies (never their times). A key that the store's
//! cache knows is a step that need not run.
#![forbid(unsafe_code)]

mod add;
mod archive;
mod attest;
mod attributes;
pub mod base;
mod builder;
mod cache;
mod cacheio;
mod check;
mod context;
mod copy;
mod error;
mod events;
mod executor;
mod extras;
mod fetch;
#[doc(hidden)]
pub mod fuzzing;
mod git;
mod history;
mod merged;
mod metadata;
mod mounts;
mod output;
mod owner;
mod place;
mod plan;
mod registry;
mod reproduce;
mod request;
mod run;
mod scope;
mod secrets;
mod solve;
mod ssh;
mod stage;
mod statcache;
mod state;
mod stubs;
mod walk;

pub use attest::{CYCLONEDX, SPDX, STATEMENT};
pub use builder::{Builder, Reduce};
pub use check::check;
pub use error::{BuildError, StepFailure};
pub use events::{BuildEvents, Finish, Quiet, StepId};
pub use executor::Executor;
pub use extras::{Extra, extras, remove_extras};
pub use fetch::{download_to as download, is_git};
pub use output::Output;
pub use reproduce::{Difference, Reproduction};
pub use request::{
    Attest, BuildContext, BuildOutcome, BuildRequest, CacheFrom, CacheMode, CacheTo, CancelToken, DockerfileSource,
    NamedContext, Provenance, Pull, Secret, SecretSource,
};
