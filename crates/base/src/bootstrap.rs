//! The whole road from a name to a configured root.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::archive::{self, Archive};
use crate::configure::{Member, configure};
use crate::dpkg;
use crate::error::BaseError;
use crate::fetch::{Client, redact};
use crate::install::install;
use crate::keyring::Keyring;
use crate::minimal;
use crate::mirror::{Mirror, MirrorChoice, resolve_mirror};
use crate::name::{BaseName, Flavour};
use crate::progress::{Phase, Progress};
use crate::release::format_date;
use crate::root::Root;
use crate::runner::ConfigureRunner;
use crate::select::{select, select_minimal};
use crate::suites::{self, Suite};
use crate::tidy;

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
    /// The time that signatures and dates are checked against, in seconds since 1970.
    pub now: i64,
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
            now: std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX)),
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
    /// User for the image's configuration; empty for root.
    pub user: String,
    /// Working directory for the image's configuration; empty for `/`.
    pub working_dir: String,
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
    let name = &request.name;
    let facts = facts(request)?;
    let environment = |variable: &str| request.environment.get(variable).cloned();
    let mirror = resolve_mirror(name, &request.arch, &request.mirror, &environment, &request.host_root)?;
    let keyring = Keyring::collect(name.distro, request.keyring.as_deref(), &request.host_root)?;
    let client = Client::new(&mirror, name.distro, &request.cache_dir)?;

    progress.phase(Phase::Index, None);
    progress.note(&format!("making {name} from {} ({})", redact(&mirror.archive), mirror.origin));
    let archive = archive::read(name, facts, &request.arch, &mirror, &client, &keyring, request.now)?;
    let selection = match name.flavour {
        Some(flavour) => select_minimal(&archive.offer, flavour)?,
        None => select(&archive.offer, name.distro)?,
    };
    let warnings = warnings(request, facts, &archive);

    if !rustix::process::geteuid().is_root() {
        return Err(BaseError::NeedsRoot { name: name.canonical() });
    }
    let root = Root::open(&request.staging).map_err(BaseError::io("open", &request.staging))?;
    tidy::prepare(&root, facts, &request.arch)?;
    let unpacked = install(&selection.packages, &client, &root, name.slim, progress)?;
    let release_date = archive.date();
    let (labels, packages) = (labels(request, facts, &mirror, &archive), selection.packages.len());
    if let Some(flavour) = name.flavour {
        progress.phase(Phase::Tidy, None);
        minimal::finish(&root, flavour, &unpacked)?;
        tidy::finish(&root, release_date)?;
        let bundle = "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt".to_owned();
        let cmd = if flavour == Flavour::Debug { vec!["/bin/sh".to_owned()] } else { Vec::new() };
        return Ok(BaseResult {
            labels,
            env: vec![crate::configure::PATH.to_owned(), bundle],
            cmd,
            user: minimal::NONROOT.to_string(),
            working_dir: minimal::HOME.to_owned(),
            packages,
            release_date,
            warnings,
        });
    }
    dpkg::write_database(&root, &unpacked)?;
    tidy::before_configure(&root, name.slim)?;
    let expired = archive.indexes.iter().any(|i| i.expired);
    let (sources, text) = tidy::sources(facts, &mirror, expired);
    root.write(&sources, text.as_bytes(), 0o644).map_err(BaseError::io("write", &root.path.join(&sources)))?;

    progress.phase(Phase::Configure, None);
    let members: Vec<Member<'_>> =
        selection.packages.iter().zip(&unpacked).map(|(candidate, unpacked)| Member { candidate, unpacked }).collect();
    configure(&root, &members, release_date, runner)?;
    progress.phase(Phase::Tidy, None);
    tidy::finish(&root, release_date)?;
    Ok(BaseResult {
        labels,
        env: vec![crate::configure::PATH.to_owned()],
        cmd: vec!["/bin/bash".to_owned()],
        user: String::new(),
        working_dir: String::new(),
        packages,
        release_date,
        warnings,
    })
}

pub(crate) fn facts(request: &BaseRequest) -> Result<&'static Suite, BaseError> {
    let name = &request.name;
    if suites::debian_architecture(&request.arch) != Some(request.arch.as_str()) {
        return Err(BaseError::UnknownArchitecture {
            distro: name.distro.title(),
            arch: request.arch.clone(),
            known: suites::ARCHITECTURES.join(", "),
        });
    }
    name.facts().ok_or_else(|| BaseError::UnknownSuite {
        name: name.canonical(),
        distro: name.distro.title(),
        known: String::new(),
    })
}

fn warnings(request: &BaseRequest, facts: &Suite, archive: &Archive) -> Vec<String> {
    let mut out = Vec::new();
    for index in archive.indexes.iter().filter(|i| i.expired) {
        let until = format_date(index.release.valid_until.unwrap_or(0));
        out.push(format!(
            "the index of {} expired on {until}; it is used because the host's apt is told not to check this (or the \
             name asks for a past day), and updates may be missing",
            index.suite
        ));
    }
    if let Some(end) = facts.end_of_life
        && format_date(request.now).as_str() > end
    {
        let distro = facts.distro.title();
        out.push(format!("{distro} {} has had no security updates since {end}", facts.codename));
    }
    out
}

pub(crate) fn labels(
    request: &BaseRequest,
    facts: &Suite,
    mirror: &Mirror,
    archive: &Archive,
) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            out.insert(format!("org.stockade.base.{key}"), value);
        }
    };
    put("name", request.name.canonical());
    put("distribution", facts.distro.id().to_owned());
    put("codename", facts.codename.to_owned());
    put("suite", archive.indexes.iter().map(|i| i.suite.as_str()).collect::<Vec<_>>().join(" "));
    put("version", archive.indexes.first().and_then(|i| i.release.version.clone()).unwrap_or_default());
    put("architecture", request.arch.clone());
    put("variant", if request.name.slim && request.name.flavour.is_none() { "slim".to_owned() } else { String::new() });
    put("mirror", redact(&mirror.archive));
    put("mirror-origin", mirror.origin.to_string());
    put("release-date", format_date(archive.date()));
    for index in &archive.indexes {
        // `bookworm-security` → `security`; the main suite has no suffix.
        let pocket = index.suite.strip_prefix(facts.codename).unwrap_or("");
        put(&format!("inrelease-sha256{pocket}"), index.inrelease_sha256.clone());
        put(&format!("packages-sha256{pocket}"), index.packages_sha256.clone());
        put(&format!("signed-by{pocket}"), index.signers.join(" "));
    }
    out
}
