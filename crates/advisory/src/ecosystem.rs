//! From what is installed to where its advisories are: ecosystems, releases, derivatives.

use crate::version::Order;
use stockade_advisory_db::import::oval::BINARY;
use stockade_inventory::{OsInfo, PackageKind};

/// OSV's name of a language ecosystem; `None` for operating system packages and kinds without advisories.
pub fn of_language(kind: PackageKind) -> Option<&'static str> {
    Some(match kind {
        PackageKind::PyPi => "PyPI",
        PackageKind::Npm => "npm",
        PackageKind::Golang => "Go",
        PackageKind::Cargo => "crates.io",
        PackageKind::Maven => "Maven",
        PackageKind::Gem => "RubyGems",
        PackageKind::Composer => "Packagist",
        PackageKind::Nuget => "NuGet",
        PackageKind::Pub => "Pub",
        PackageKind::Hex => "Hex",
        PackageKind::Swift => "SwiftURL",
        PackageKind::Cran => "CRAN",
        PackageKind::Julia => "Julia",
        PackageKind::Hackage => "Hackage",
        PackageKind::Bitnami => "Bitnami",
        PackageKind::Github => "GitHub Actions",
        _ => return None,
    })
}

/// The version order of an operating system's packages.
pub fn order_of(kind: PackageKind) -> Option<Order> {
    Some(match kind {
        PackageKind::Deb => Order::Debian,
        PackageKind::Apk => Order::Apk,
        PackageKind::Rpm => Order::Rpm,
        PackageKind::Alpm => Order::Pacman,
        _ => return None,
    })
}

/// The release of a distribution as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The ecosystems to look in; never empty.
    pub ecosystems: Vec<String>,
    /// What people call it, for messages.
    pub shown: String,
    /// Why the answer is less sure than it looks: the advisories are those of the release it derives from.
    pub caution: Option<String>,
}

/// Finds the release among the ecosystems of a database.
/// # Errors
/// The reason, in words for people, when the database has no facts for it.
pub fn release(os: &OsInfo, known: &[&str]) -> Result<Release, String> {
    let shown = if os.pretty.is_empty() { format!("{} {}", os.id, os.version_id) } else { os.pretty.clone() };
    let own = candidates(&os.id, &os.version_id, os.codename.as_deref());
    let found = present(&own, known);
    if !found.is_empty() {
        return Ok(Release { ecosystems: found, shown, caution: None });
    }
    if let Some(base) = derived_from(os) {
        let found = present(&candidates(&base.0, &base.1, base.2.as_deref()), known);
        if let Some(first) = found.first() {
            let caution = format!(
                "{shown} has no advisories of its own in the database: those of {first} were used, which it derives from"
            );
            return Ok(Release { ecosystems: found, shown, caution: Some(caution) });
        }
    }
    Err(absence(os, &shown, &own, known))
}

fn absence(os: &OsInfo, shown: &str, own: &[Pattern], known: &[&str]) -> String {
    let Some(first) = own.first() else {
        return format!("no source of advisories is known for the distribution `{}`", os.id);
    };
    let family = first.family();
    let covered: Vec<&str> = known
        .iter()
        .filter(|k| stockade_advisory_db::names::family(k) == family)
        .map(|k| k.split_once(':').map_or(*k, |p| p.1))
        .collect();
    if covered.is_empty() {
        format!("the database has no facts for {family}: add a source with `stockade db update --from`")
    } else {
        format!("the database has no facts for {shown} (of {family} it has {})", covered.join(", "))
    }
}

type Base = (String, String, Option<String>);

fn derived_from(os: &OsInfo) -> Option<Base> {
    if let Some(base) = &os.base {
        return Some((base.id.clone(), base.version_id.clone(), base.codename.clone()));
    }
    // Rebuilds that keep the numbers of what they rebuild.
    let parent = match os.id.as_str() {
        "raspbian" | "devuan" => "debian",
        "centos" | "rocky" | "almalinux" | "ol" | "scientific" | "eurolinux" | "virtuozzo" => "rhel",
        _ => return None,
    };
    Some((parent.to_owned(), os.version_id.clone(), os.codename.clone()))
}

/// How an ecosystem's name is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// Exactly this.
    Exact(String),
    /// This, or this and a colon and more: Red Hat's `enterprise_linux:9::baseos`.
    Under(String),
    /// Begins and ends so: SUSE's `Linux Enterprise Module for … 15 SP5`.
    Between(String, String),
}

impl Pattern {
    fn family(&self) -> &str {
        match self {
            Pattern::Exact(t) | Pattern::Under(t) | Pattern::Between(t, _) => stockade_advisory_db::names::family(t),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Exact(t) => name == t,
            Pattern::Under(t) => {
                name.strip_prefix(t.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            }
            Pattern::Between(start, end) => name.starts_with(start.as_str()) && name.ends_with(end.as_str()),
        }
    }
}

fn present(patterns: &[Pattern], known: &[&str]) -> Vec<String> {
    known.iter().filter(|k| patterns.iter().any(|p| p.matches(k))).map(|k| (*k).to_owned()).collect()
}

const DEBIAN_RELEASES: [(&str, &str); 10] = [
    ("wheezy", "7"),
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
    ("sid", "sid"),
];

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

/// The first two numbers: `3.20` of `3.20.1`.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn candidates(id: &str, version: &str, codename: Option<&str>) -> Vec<Pattern> {
    let exact = |text: String| vec![Pattern::Exact(text)];
    match id {
        "debian" => {
            let by_name = || codename.and_then(|c| DEBIAN_RELEASES.iter().find(|(n, _)| *n == c)).map(|(_, v)| *v);
            let number = if version.is_empty() { by_name().unwrap_or("") } else { major(version) };
            if number.is_empty() { exact("Debian:testing".into()) } else { exact(format!("Debian:{number}")) }
        }
        "ubuntu" => {
            ["", ":LTS", BINARY, ":LTS#binary"].map(|end| Pattern::Exact(format!("Ubuntu:{version}{end}"))).to_vec()
        }
        "alpine" if version.contains('_') || version.is_empty() => exact("Alpine:edge".into()),
        "alpine" => exact(format!("Alpine:v{}", minor(version))),
        "wolfi" => exact("Wolfi".into()),
        "chainguard" => vec![Pattern::Exact("Chainguard".into()), Pattern::Exact("Wolfi".into())],
        "rhel" => vec![
            Pattern::Under(format!("Red Hat:enterprise_linux:{}", major(version))),
            Pattern::Under(format!("Red Hat:enterprise_linux:{version}")),
        ],
        "rocky" => exact(format!("Rocky Linux:{}", major(version))),
        "almalinux" => exact(format!("AlmaLinux:{}", major(version))),
        "centos" => exact(format!("CentOS:{}", major(version))),
        "ol" => exact(format!("Oracle Linux:{}", major(version))),
        "amzn" => exact(format!("Amazon Linux:{version}")),
        "fedora" => exact(format!("Fedora:{version}")),
        "opensuse-leap" => exact(format!("openSUSE:Leap {version}")),
        "opensuse-tumbleweed" => exact("openSUSE:Tumbleweed".into()),
        "sles" | "sled" | "sles_sap" => {
            let shown = match version.split_once('.') {
                Some((major, pack)) => format!("{major} SP{pack}"),
                None => version.to_owned(),
            };
            vec![Pattern::Between("SUSE:Linux Enterprise".into(), format!(" {shown}"))]
        }
        "mageia" => exact(format!("Mageia:{version}")),
        "openeuler" => vec![Pattern::Under(format!("openEuler:{version}"))],
        "photon" => exact(format!("Photon OS:{version}")),
        "azurelinux" | "mariner" => exact(format!("Azure Linux:{}", major(version))),
        "arch" | "archarm" => exact("Arch Linux".into()),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &[
        "AlmaLinux:9",
        "Alpine:v3.19",
        "Debian:11",
        "Debian:12",
        "Go",
        "Red Hat:enterprise_linux:9::baseos",
        "Red Hat:enterprise_linux:9::appstream",
        "Red Hat:enterprise_linux:10::baseos",
        "SUSE:Linux Enterprise Server 15 SP5",
        "SUSE:Linux Enterprise Module for Basesystem 15 SP5",
        "Ubuntu:22.04:LTS",
        "Ubuntu:Pro:22.04:LTS",
    ];

    fn os(id: &str, version: &str) -> OsInfo {
        OsInfo { id: id.into(), version_id: version.into(), ..OsInfo::default() }
    }

    #[test]
    fn releases_are_found_under_their_names() {
        for (id, version, expected) in [
            ("debian", "12", &["Debian:12"][..]),
            ("debian", "12.9", &["Debian:12"]),
            ("ubuntu", "22.04", &["Ubuntu:22.04:LTS"]),
            ("alpine", "3.19.7", &["Alpine:v3.19"]),
            ("almalinux", "9.4", &["AlmaLinux:9"]),
            ("rhel", "9.4", &["Red Hat:enterprise_linux:9::baseos", "Red Hat:enterprise_linux:9::appstream"]),
            (
                "sles",
                "15.5",
                &["SUSE:Linux Enterprise Server 15 SP5", "SUSE:Linux Enterprise Module for Basesystem 15 SP5"],
            ),
        ] {
            let release = release(&os(id, version), KNOWN).unwrap();
            assert_eq!(release.ecosystems, expected, "{id} {version}");
            assert_eq!(release.caution, None);
        }
    }

    #[test]
    fn a_release_without_number_is_found_by_its_name() {
        let named = OsInfo { codename: Some("bookworm".into()), ..os("debian", "") };
        assert_eq!(release(&named, KNOWN).unwrap().ecosystems, ["Debian:12"]);
    }

    #[test]
    fn a_derivative_is_matched_as_its_base_and_says_so() {
        let raspbian = release(&os("raspbian", "12"), KNOWN).unwrap();
        assert_eq!(raspbian.ecosystems, ["Debian:12"]);
        assert!(raspbian.caution.unwrap().contains("derives from"));
        let base = stockade_inventory::OsBase { id: "ubuntu".into(), version_id: "22.04".into(), codename: None };
        let mint = OsInfo { base: Some(base), ..os("linuxmint", "21.3") };
        assert_eq!(release(&mint, KNOWN).unwrap().ecosystems, ["Ubuntu:22.04:LTS"]);
    }

    #[test]
    fn what_is_missing_is_said_with_what_is_there() {
        let why = release(&os("debian", "14"), KNOWN).unwrap_err();
        assert!(why.contains("debian 14") && why.contains("11, 12"), "{why}");
        let why = release(&os("fedora", "40"), KNOWN).unwrap_err();
        assert!(why.contains("Fedora"), "{why}");
        let why = release(&os("templeos", "5"), KNOWN).unwrap_err();
        assert!(why.contains("templeos"), "{why}");
    }
}
