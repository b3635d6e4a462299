//! Which mirror to use, and who said so.

mod apt;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::BaseError;
use crate::name::{BaseName, Distro};
pub use apt::{AptSettings, Source, read_apt};

/// Environment variable that names a Debian mirror.
pub const DEBIAN_MIRROR: &str = "STOCKADE_DEBIAN_MIRROR";
/// Environment variable that names a mirror of Debian's security archive.
pub const DEBIAN_SECURITY_MIRROR: &str = "STOCKADE_DEBIAN_SECURITY_MIRROR";
/// Environment variable that names an Ubuntu mirror.
pub const UBUNTU_MIRROR: &str = "STOCKADE_UBUNTU_MIRROR";

const DEFAULT_DEBIAN: &str = "http://deb.debian.org/debian";
const DEFAULT_DEBIAN_SECURITY: &str = "http://deb.debian.org/debian-security";
const DEFAULT_UBUNTU: &str = "http://archive.ubuntu.com/ubuntu";
const DEFAULT_UBUNTU_PORTS: &str = "http://ports.ubuntu.com/ubuntu-ports";

/// What the user said about mirrors, apart from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorChoice {
    /// From a command line flag: the main archive of the distribution that is built.
    pub flag: Option<String>,
    /// From the configuration: Debian's main archive.
    pub config_debian: Option<String>,
    /// From the configuration: Debian's security archive.
    pub config_debian_security: Option<String>,
    /// From the configuration: Ubuntu's archive.
    pub config_ubuntu: Option<String>,
}

/// Who chose a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorOrigin {
    /// A command line flag.
    Flag,
    /// The configuration file.
    Config,
    /// The environment variable of this name.
    Environment(&'static str),
    /// An apt sources file of the host.
    HostApt(PathBuf),
    /// The distribution's snapshot service, because the name asks for a day.
    Snapshot,
    /// Nobody: the distribution's own address.
    Default,
}

impl fmt::Display for MirrorOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MirrorOrigin::Flag => f.write_str("from the command line"),
            MirrorOrigin::Config => f.write_str("from the configuration file"),
            MirrorOrigin::Environment(name) => write!(f, "from ${name}"),
            MirrorOrigin::HostApt(path) => write!(f, "from the host's {}", path.display()),
            MirrorOrigin::Snapshot => f.write_str("the distribution's snapshot service"),
            MirrorOrigin::Default => f.write_str("the distribution's default"),
        }
    }
}

/// The addresses to use for one bootstrap. No trailing slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The main archive: the directory that holds `dists` and `pool`.
    pub archive: String,
    /// The security archive.
    pub security: String,
    /// Who chose `archive`.
    pub origin: MirrorOrigin,
    /// Who chose `security`.
    pub security_origin: MirrorOrigin,
    /// Proxy to reach `archive`, from the host's apt configuration or the environment.
    pub proxy: Option<String>,
    /// Whether an expired `Valid-Until` is an error. Off for snapshots, and where the host's own apt has been told so
    /// for this very mirror.
    pub check_valid_until: bool,
}

impl Mirror {
    /// How a user sets another one, for messages.
    pub(crate) fn advice(&self, distro: Distro) -> String {
        let variable = match distro {
            Distro::Debian => DEBIAN_MIRROR,
            Distro::Ubuntu => UBUNTU_MIRROR,
        };
        format!("this one is {}; set ${variable} or [mirror] {} in stockade.toml for another", self.origin, distro.id())
    }
}

/// Chooses the mirror: flag, configuration, environment, the host's apt sources, default; first found wins.
/// `environment` looks a variable up; `host_root` is where the host's `etc/apt` is (`/`, but for tests).
///
/// # Errors
/// [`BaseError::BadMirror`] for an address that is not http or https.
pub fn resolve_mirror(
    name: &BaseName,
    architecture: &str,
    choice: &MirrorChoice,
    environment: &dyn Fn(&str) -> Option<String>,
    host_root: &Path,
) -> Result<Mirror, BaseError> {
    let apt = read_apt(host_root);
    let set = |name: &str| environment(name).filter(|v| !v.trim().is_empty());
    let mut mirror = match name.distro {
        Distro::Debian => {
            let (archive, origin) = first([
                (choice.flag.clone(), MirrorOrigin::Flag),
                (choice.config_debian.clone(), MirrorOrigin::Config),
                (set(DEBIAN_MIRROR), MirrorOrigin::Environment(DEBIAN_MIRROR)),
            ])
            .or_else(|| from_apt(&apt, Distro::Debian, &name.suite, false))
            .unwrap_or((DEFAULT_DEBIAN.into(), MirrorOrigin::Default));
            let (security, security_origin) = first([
                (choice.config_debian_security.clone(), MirrorOrigin::Config),
                (set(DEBIAN_SECURITY_MIRROR), MirrorOrigin::Environment(DEBIAN_SECURITY_MIRROR)),
            ])
            .or_else(|| from_apt(&apt, Distro::Debian, &name.suite, true))
            .or_else(|| security_beside(&archive, &origin))
            .unwrap_or((DEFAULT_DEBIAN_SECURITY.into(), MirrorOrigin::Default));
            Mirror { archive, security, origin, security_origin, proxy: None, check_valid_until: true }
        }
        Distro::Ubuntu => {
            let default = if matches!(architecture, "amd64" | "i386") { DEFAULT_UBUNTU } else { DEFAULT_UBUNTU_PORTS };
            let (archive, origin) = first([
                (choice.flag.clone(), MirrorOrigin::Flag),
                (choice.config_ubuntu.clone(), MirrorOrigin::Config),
                (set(UBUNTU_MIRROR), MirrorOrigin::Environment(UBUNTU_MIRROR)),
            ])
            .or_else(|| from_apt(&apt, Distro::Ubuntu, &name.suite, false))
            .unwrap_or((default.into(), MirrorOrigin::Default));
            // Ubuntu's archive and all of its mirrors carry the security pocket too.
            let (security, security_origin) = (archive.clone(), origin.clone());
            Mirror { archive, security, origin, security_origin, proxy: None, check_valid_until: true }
        }
    };
    apply_snapshot(name, &mut mirror);
    if matches!(mirror.origin, MirrorOrigin::HostApt(_)) && !apt.check_valid_until {
        mirror.check_valid_until = false;
    }
    clean(&mut mirror.archive, &mirror.origin)?;
    clean(&mut mirror.security, &mirror.security_origin)?;
    mirror.proxy = proxy_for(&mirror.archive, &apt, environment);
    Ok(mirror)
}

fn first<const N: usize>(candidates: [(Option<String>, MirrorOrigin); N]) -> Option<(String, MirrorOrigin)> {
    candidates.into_iter().find_map(|(address, origin)| Some((address?, origin)))
}

/// The host's own source for this distribution: one for the same suite if there is, else any.
fn from_apt(apt: &AptSettings, distro: Distro, suite: &str, security: bool) -> Option<(String, MirrorOrigin)> {
    let fits = |s: &&Source| s.distro() == Some(distro) && s.is_security() == security;
    let same_suite = |s: &&Source| s.suite.split(['-', '/']).next() == Some(suite);
    let chosen = apt.sources.iter().filter(fits).find(same_suite).or_else(|| apt.sources.iter().find(fits))?;
    Some((chosen.uri.clone(), MirrorOrigin::HostApt(chosen.file.clone())))
}

/// Many mirrors keep `debian-security` beside `debian`. Only believed when a person named the mirror: then the default
/// address may well be out of reach.
fn security_beside(archive: &str, origin: &MirrorOrigin) -> Option<(String, MirrorOrigin)> {
    if *origin == MirrorOrigin::Default {
        return None;
    }
    let base = archive.trim_end_matches('/').strip_suffix("/debian")?;
    Some((format!("{base}/debian-security"), origin.clone()))
}

/// A dated name means the snapshot service, unless a person named a mirror (which may be a snapshot of their own).
fn apply_snapshot(name: &BaseName, mirror: &mut Mirror) {
    let Some(day) = &name.snapshot else { return };
    mirror.check_valid_until = false;
    if !matches!(mirror.origin, MirrorOrigin::Default | MirrorOrigin::HostApt(_)) {
        return;
    }
    (mirror.archive, mirror.security) = match name.distro {
        Distro::Debian => (
            format!("http://snapshot.debian.org/archive/debian/{day}T000000Z"),
            format!("http://snapshot.debian.org/archive/debian-security/{day}T000000Z"),
        ),
        Distro::Ubuntu => {
            let one = format!("http://snapshot.ubuntu.com/ubuntu/{day}T000000Z");
            (one.clone(), one)
        }
    };
    mirror.origin = MirrorOrigin::Snapshot;
    mirror.security_origin = MirrorOrigin::Snapshot;
}

fn clean(address: &mut String, origin: &MirrorOrigin) -> Result<(), BaseError> {
    let trimmed = address.trim().trim_end_matches('/');
    let rest = trimmed.strip_prefix("http://").or_else(|| trimmed.strip_prefix("https://"));
    let good = rest.is_some_and(|r| !r.is_empty() && !r.starts_with('/'))
        && trimmed.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'[' | b']'));
    if !good {
        return Err(BaseError::BadMirror { address: address.clone(), origin: origin.to_string() });
    }
    *address = trimmed.to_owned();
    Ok(())
}

/// As apt does: its own setting first (which may be "DIRECT"), then the environment, unless `no_proxy` names the host.
fn proxy_for(address: &str, apt: &AptSettings, environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let https = address.starts_with("https://");
    let configured = if https { apt.https_proxy.as_ref().or(apt.proxy.as_ref()) } else { apt.proxy.as_ref() };
    if let Some(proxy) = configured {
        return (!proxy.eq_ignore_ascii_case("direct")).then(|| proxy.clone());
    }
    let set = |name: &str| environment(name).filter(|v| !v.trim().is_empty());
    // Upper-case HTTP_PROXY is not read: a web server's CGI variables could set it (httpoxy).
    let proxy = if https { set("https_proxy").or_else(|| set("HTTPS_PROXY")) } else { set("http_proxy") };
    let exempt = set("no_proxy").or_else(|| set("NO_PROXY")).unwrap_or_default();
    let host = host_of(address);
    let is_exempt = exempt
        .split(',')
        .map(|e| e.trim().trim_start_matches('.'))
        .any(|e| e == "*" || (!e.is_empty() && (host == e || host.ends_with(&format!(".{e}")))));
    proxy.filter(|_| !is_exempt)
}

/// Host name of an address, without user, port and path.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or("");
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests;
