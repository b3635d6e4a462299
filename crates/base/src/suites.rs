//! Facts about the distributions: suites, their versions, how their archives are laid out, who signs them.
//!
//! Sources: the distributions' release pages and the `debian-archive-keyring` package, 2025.1.

use crate::name::Distro;

/// One suite of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// The distribution.
    pub distro: Distro,
    /// Code name: what the archive's `dists/` directory and the signed `Codename` say.
    pub codename: &'static str,
    /// Release version ("12", "24.04"); empty for those that have none.
    pub version: &'static str,
    /// Other names that people and registries use ("stable").
    pub aliases: &'static [&'static str],
    /// Name of the security suite, `None` where there is none.
    pub security: Option<&'static str>,
    /// Whether `<codename>-updates` exists.
    pub updates: bool,
    /// Last day of security support by the distribution itself (long-term support included), `YYYY-MM-DD`.
    pub end_of_life: Option<&'static str>,
    /// Whether the suite's systems also have `/lib32` and `/libx32` as links into `/usr`, besides `/bin`, `/sbin`,
    /// `/lib` and `/lib64`. Later suites have no packages for them.
    pub extra_usr_links: bool,
}

/// Every suite that can be built, newest first within a distribution.
pub const SUITES: &[Suite] = &[
    Suite {
        distro: Distro::Debian,
        codename: "sid",
        version: "",
        aliases: &["unstable"],
        security: None,
        updates: false,
        end_of_life: None,
        extra_usr_links: false,
    },
    Suite {
        distro: Distro::Debian,
        codename: "forky",
        version: "14",
        aliases: &["testing"],
        security: Some("forky-security"),
        updates: true,
        end_of_life: None,
        extra_usr_links: false,
    },
    Suite {
        distro: Distro::Debian,
        codename: "trixie",
        version: "13",
        aliases: &["stable", "latest", ""],
        security: Some("trixie-security"),
        updates: true,
        end_of_life: Some("2030-06-30"),
        extra_usr_links: false,
    },
    Suite {
        distro: Distro::Debian,
        codename: "bookworm",
        version: "12",
        aliases: &["oldstable"],
        security: Some("bookworm-security"),
        updates: true,
        end_of_life: Some("2028-06-30"),
        extra_usr_links: false,
    },
    Suite {
        distro: Distro::Debian,
        codename: "bullseye",
        version: "11",
        aliases: &["oldoldstable"],
        security: Some("bullseye-security"),
        updates: true,
        end_of_life: Some("2026-08-31"),
        extra_usr_links: true,
    },
    Suite {
        distro: Distro::Ubuntu,
        codename: "resolute",
        version: "26.04",
        aliases: &["latest", ""],
        security: Some("resolute-security"),
        updates: true,
        end_of_life: Some("2031-05-31"),
        extra_usr_links: false,
    },
    Suite {
        distro: Distro::Ubuntu,
        codename: "noble",
        version: "24.04",
        aliases: &[],
        security: Some("noble-security"),
        updates: true,
        end_of_life: Some("2029-05-31"),
        extra_usr_links: false,
    },
    Suite {
        distro: Distro::Ubuntu,
        codename: "jammy",
        version: "22.04",
        aliases: &[],
        security: Some("jammy-security"),
        updates: true,
        end_of_life: Some("2027-06-01"),
        extra_usr_links: true,
    },
];

/// The suite called `name` (code name, version or alias) in `distro`.
pub fn find(distro: Distro, name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|s| {
        s.distro == distro
            && (s.codename == name || (!s.version.is_empty() && s.version == name) || s.aliases.contains(&name))
    })
}

/// Fingerprints (of primary keys, upper-case hex) that sign the archives. A key from a keyring that holds others too
/// (such as apt's `trusted.gpg.d`) is believed only if it is one of these.
pub fn known_fingerprints(distro: Distro) -> &'static [&'static str] {
    match distro {
        Distro::Debian => &[
            "1F89983E0081FDE018F3CC9673A4F27B8DD47936", // archive, 11/bullseye
            "AC530D520F2F3269F5E98313A48449044AAD5C5D", // security archive, 11/bullseye
            "A4285295FC7B1A81600062A9605C66F00D6C9793", // stable release, 11/bullseye
            "4D64FEC119C2029067D6E791F8D2585B8783D481", // stable release, 12/bookworm
            "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8", // archive, 12/bookworm
            "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0", // security archive, 12/bookworm
            "04B54C3CDCA79751B16BC6B5225629DF75B188BD", // archive, 13/trixie
            "5E04A1E3223A19A20706E20F9904613D4CCE68C6", // security archive, 13/trixie
            "41587F7DB8C774BCCF131416762F67A0B2C39DE4", // stable release, 13/trixie
        ],
        Distro::Ubuntu => &[
            "790BC7277767219C42C86F933B4FE6ACC0B21F32", // archive, 2012
            "F6ECB3762474EDA9D21B7022871920D1991BC93C", // archive, 2018
        ],
    }
}

/// The architectures that both distributions build.
pub const ARCHITECTURES: &[&str] = &["amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x"];

/// The architecture's name in both distributions for Rust's (and the kernel's) name of it.
pub fn debian_architecture(machine: &str) -> Option<&'static str> {
    Some(match machine {
        "x86_64" | "amd64" => "amd64",
        "aarch64" | "arm64" => "arm64",
        "arm" | "armhf" => "armhf",
        "x86" | "i386" => "i386",
        "powerpc64le" | "ppc64el" => "ppc64el",
        "riscv64" => "riscv64",
        "s390x" => "s390x",
        _ => return None,
    })
}
