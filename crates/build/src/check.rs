//! `build --check`: everything that can be said about a Dockerfile without building it.

use std::collections::BTreeMap;

use stockade_dockerfile::Diagnostics;

use crate::error::BuildError;
use crate::plan::{PlanInput, plan};

/// Parses and plans all stages. `Ok` holds the warnings.
///
/// # Errors
/// [`BuildError::Dockerfile`] with every error of the file; [`BuildError::NoTarget`].
pub fn check(
    bytes: &[u8],
    file: &str,
    build_args: &BTreeMap<String, String>,
    target: Option<&str>,
) -> Result<Diagnostics, BuildError> {
    let dockerfile = stockade_dockerfile::parse(bytes, file).map_err(BuildError::Dockerfile)?;
    let diagnostics = Diagnostics {
        file: dockerfile.file.clone(),
        text: std::sync::Arc::clone(&dockerfile.text),
        items: dockerfile.warnings.clone(),
    };
    // Without the arguments of a real build, a base image that comes from one is no mistake.
    let input = PlanInput { build_args, target, contexts: Vec::new(), images: BTreeMap::new(), all_stages: true };
    plan(dockerfile, &input)?;
    Ok(diagnostics)
}
