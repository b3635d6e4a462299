//! Which operating system release a root holds, from all the files that may say so.

use crate::eol::end_of_life;
use crate::facts::{FileFacts, Note};
use crate::model::{OsBase, OsInfo, PackageKind};

/// Code names of releases, for systems that give only the one or the other.
const CODENAMES: &[(&str, &str, &str)] = &[
    ("debian", "7", "wheezy"),
    ("debian", "8", "jessie"),
    ("debian", "9", "stretch"),
    ("debian", "10", "buster"),
    ("debian", "11", "bullseye"),
    ("debian", "12", "bookworm"),
    ("debian", "13", "trixie"),
    ("debian", "14", "forky"),
    ("ubuntu", "14.04", "trusty"),
    ("ubuntu", "16.04", "xenial"),
    ("ubuntu", "18.04", "bionic"),
    ("ubuntu", "20.04", "focal"),
    ("ubuntu", "22.04", "jammy"),
    ("ubuntu", "22.10", "kinetic"),
    ("ubuntu", "23.04", "lunar"),
    ("ubuntu", "23.10", "mantic"),
    ("ubuntu", "24.04", "noble"),
    ("ubuntu", "24.10", "oracular"),
    ("ubuntu", "25.04", "plucky"),
    ("ubuntu", "25.10", "questing"),
];

/// Devuan's releases and the Debian ones they are made from.
const DEVUAN: &[(&str, &str)] = &[("2", "9"), ("3", "10"), ("4", "11"), ("5", "12"), ("6", "13")];

/// Finds the release among the visible files' facts.
pub fn detect(facts: &[(Option<usize>, FileFacts)]) -> Option<OsInfo> {
    fn at<'a>(facts: &'a [(Option<usize>, FileFacts)], path: &'a str) -> impl Iterator<Item = &'a FileFacts> {
        facts.iter().map(|(_, f)| f).filter(move |f| f.path == path)
    }
    for path in ["etc/os-release", "usr/lib/os-release"] {
        let mut place = path.to_owned();
        // A link to a link is as far as any distribution goes.
        for _ in 0..3 {
            for file in at(facts, &place) {
                for note in &file.notes {
                    if let Note::OsRelease(fields) = note
                        && let Some(os) = from_os_release(fields, &file.path, facts)
                    {
                        return Some(os);
                    }
                }
            }
            let Some(target) = at(facts, &place).flat_map(|f| &f.notes).find_map(|note| match note {
                Note::Link(target) => Some(target.clone()),
                _ => None,
            }) else {
                break;
            };
            place = resolve(&place, &target);
        }
    }
    from_release_lines(facts)
}

/// Where a link leads, within the root.
fn resolve(link: &str, target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    if !target.starts_with('/') {
        parts.extend(link.split('/'));
        parts.pop();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn from_os_release(fields: &[(String, String)], path: &str, facts: &[(Option<usize>, FileFacts)]) -> Option<OsInfo> {
    // The last assignment wins, as in a shell.
    let get = |key: &str| {
        fields.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let id = get("ID")?.to_lowercase();
    let mut version_id = get("VERSION_ID").unwrap_or_default().to_owned();
    let mut codename = get("VERSION_CODENAME").map(str::to_owned);
    if codename.is_none() && id == "debian" && version_id.is_empty() {
        // Testing and unstable: `forky/sid` in debian_version.
        codename = line(facts, "etc/debian_version").and_then(|l| l.split('/').next()).map(str::to_owned);
    }
    complete(&id, &mut version_id, &mut codename);
    let pretty = get("PRETTY_NAME").or(get("NAME")).unwrap_or(&id).to_owned();
    let like: Vec<String> = get("ID_LIKE").unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    let base = base_of(&id, &version_id, &like, &get);
    let stream = id == "centos" && get("NAME").is_some_and(|name| name.contains("Stream"));
    let eol_id = if stream { "centos-stream" } else { &id };
    let eol = end_of_life(eol_id, &version_id)
        .or_else(|| base.as_ref().filter(|_| is_rebuild(&id)).and_then(|b| end_of_life(&b.id, &b.version_id)));
    Some(OsInfo { eol, id, version_id, codename, pretty, like, base, path: path.to_owned() })
}

/// Fills in the release number from the code name or the other way round, where the table knows them.
fn complete(id: &str, version_id: &mut String, codename: &mut Option<String>) {
    if version_id.is_empty()
        && let Some(row) = CODENAMES.iter().find(|row| row.0 == id && Some(row.2) == codename.as_deref())
    {
        row.1.clone_into(version_id);
    }
    if codename.is_none()
        && let Some(row) = CODENAMES.iter().find(|row| row.0 == id && row.1 == version_id.as_str())
    {
        *codename = Some(row.2.to_owned());
    }
}

/// Distributions that rebuild another one's packages version by version.
fn is_rebuild(id: &str) -> bool {
    matches!(id, "raspbian" | "devuan" | "scientific" | "eurolinux" | "circle" | "virtuozzo")
}

fn base_of<'a>(id: &str, version_id: &str, like: &[String], get: &dyn Fn(&str) -> Option<&'a str>) -> Option<OsBase> {
    let named = |base: &str, codename: &str| {
        let mut version = String::new();
        let mut name = Some(codename.to_lowercase());
        complete(base, &mut version, &mut name);
        OsBase { id: base.to_owned(), version_id: version, codename: name }
    };
    let numbered = |base: &str, version: &str| {
        let (mut version, mut name) = (version.to_owned(), None);
        complete(base, &mut version, &mut name);
        OsBase { id: base.to_owned(), version_id: version, codename: name }
    };
    if id != "ubuntu"
        && let Some(codename) = get("UBUNTU_CODENAME")
    {
        return Some(named("ubuntu", codename));
    }
    if id != "debian"
        && let Some(codename) = get("DEBIAN_CODENAME")
    {
        return Some(named("debian", codename));
    }
    let major = version_id.split('.').next().unwrap_or_default();
    match id {
        "raspbian" => Some(numbered("debian", major)),
        "devuan" => DEVUAN.iter().find(|row| row.0 == major).map(|row| numbered("debian", row.1)),
        "kali" | "parrot" | "pureos" | "deepin" => {
            Some(OsBase { id: "debian".to_owned(), version_id: String::new(), codename: None })
        }
        "postmarketos" => Some(OsBase { id: "alpine".to_owned(), version_id: String::new(), codename: None }),
        "rhel" | "fedora" | "amzn" => None,
        _ if like.iter().any(|l| l == "rhel") && !major.is_empty() => Some(numbered("rhel", major)),
        _ => None,
    }
}

fn line<'a>(facts: &'a [(Option<usize>, FileFacts)], path: &str) -> Option<&'a str> {
    facts.iter().filter(|(_, f)| f.path == path).flat_map(|(_, f)| &f.notes).find_map(|note| match note {
        Note::ReleaseLine(text) => Some(text.trim()),
        _ => None,
    })
}

/// Release files with one line, for systems without os-release: file, id.
const LINES: &[(&str, &str)] = &[
    ("etc/alpine-release", "alpine"),
    ("etc/debian_version", "debian"),
    ("etc/rocky-release", "rocky"),
    ("etc/almalinux-release", "almalinux"),
    ("etc/oracle-release", "ol"),
    ("etc/fedora-release", "fedora"),
    ("etc/centos-release", "centos"),
    ("etc/redhat-release", "rhel"),
    ("etc/system-release", "amzn"),
    ("etc/photon-release", "photon"),
    ("etc/mariner-release", "mariner"),
    ("etc/SuSE-release", "sles"),
    ("etc/arch-release", "arch"),
];

fn from_release_lines(facts: &[(Option<usize>, FileFacts)]) -> Option<OsInfo> {
    for (path, id) in LINES {
        let Some(text) = line(facts, path) else { continue };
        let first = text.lines().next().unwrap_or_default().trim();
        let id = refine(id, first);
        let mut version_id = first_number(first).to_owned();
        let mut codename = None;
        if id == "debian" {
            codename =
                first.split('/').next().filter(|c| c.starts_with(|c: char| c.is_ascii_lowercase())).map(str::to_owned);
            version_id = version_id.split('.').next().unwrap_or_default().to_owned();
        }
        complete(id, &mut version_id, &mut codename);
        let pretty = if *path == "etc/debian_version" || *path == "etc/alpine-release" || first.is_empty() {
            format!("{id} {first}").trim().to_owned()
        } else {
            first.to_owned()
        };
        return Some(OsInfo {
            eol: end_of_life(id, &version_id),
            id: id.to_owned(),
            version_id,
            codename,
            pretty,
            like: Vec::new(),
            base: None,
            path: (*path).to_owned(),
        });
    }
    None
}

/// `redhat-release` and `system-release` are used by several distributions: the words decide.
fn refine<'a>(id: &'a str, text: &str) -> &'a str {
    let words = text.to_lowercase();
    if !matches!(id, "rhel" | "amzn" | "sles") {
        return id;
    }
    for (word, id) in [
        ("centos", "centos"),
        ("fedora", "fedora"),
        ("rocky", "rocky"),
        ("almalinux", "almalinux"),
        ("oracle", "ol"),
        ("scientific", "scientific"),
        ("amazon", "amzn"),
        ("red hat", "rhel"),
        ("opensuse", "opensuse-leap"),
    ] {
        if words.contains(word) {
            return id;
        }
    }
    id
}

fn first_number(text: &str) -> &str {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .find(|part| part.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or_default()
        .trim_end_matches('.')
}

/// The package manager that a distribution uses, and where its database is.
pub fn package_manager(os: &OsInfo) -> Option<(PackageKind, &'static str)> {
    std::iter::once(os.id.as_str()).chain(os.like.iter().map(String::as_str)).find_map(|id| {
        Some(match id {
            "debian" | "ubuntu" | "raspbian" | "devuan" | "linuxmint" | "kali" | "pop" | "parrot" | "elementary" => {
                (PackageKind::Deb, "var/lib/dpkg/status")
            }
            "alpine" | "wolfi" | "chainguard" | "postmarketos" => (PackageKind::Apk, "lib/apk/db/installed"),
            "rhel"
            | "fedora"
            | "centos"
            | "rocky"
            | "almalinux"
            | "ol"
            | "amzn"
            | "sles"
            | "suse"
            | "opensuse"
            | "opensuse-leap"
            | "opensuse-tumbleweed"
            | "photon"
            | "mariner"
            | "azurelinux"
            | "scientific"
            | "openeuler"
            | "mageia" => (PackageKind::Rpm, "var/lib/rpm"),
            "arch" | "archarm" | "manjaro" => (PackageKind::Alpm, "var/lib/pacman/local"),
            "openwrt" => (PackageKind::Opkg, "usr/lib/opkg/status"),
            _ => return None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(path: &str, text: &str) -> (Option<usize>, FileFacts) {
        let fields = crate::analyzers::os_release::parse(text);
        (None, FileFacts { path: path.into(), notes: vec![Note::OsRelease(fields)], ..FileFacts::default() })
    }

    fn one_line(path: &str, text: &str) -> (Option<usize>, FileFacts) {
        (None, FileFacts { path: path.into(), notes: vec![Note::ReleaseLine(text.into())], ..FileFacts::default() })
    }

    #[test]
    fn follows_the_link_that_distributions_use() {
        let link = FileFacts {
            path: "etc/os-release".into(),
            notes: vec![Note::Link("../usr/lib/os-release".into())],
            ..FileFacts::default()
        };
        let os = detect(&[
            (None, link),
            release("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME='Debian GNU/Linux 12 (bookworm)'\n"),
        ])
        .unwrap();
        assert_eq!(
            (os.id.as_str(), os.version_id.as_str(), os.codename.as_deref()),
            ("debian", "12", Some("bookworm"))
        );
        assert_eq!(os.eol.unwrap().to_string(), "2028-06-30");
        assert_eq!(os.path, "usr/lib/os-release");
    }

    #[test]
    fn derivatives_name_their_base() {
        let mint = detect(&[release(
            "etc/os-release",
            "ID=linuxmint\nVERSION_ID=21\nID_LIKE=\"ubuntu debian\"\nUBUNTU_CODENAME=jammy",
        )])
        .unwrap();
        assert_eq!(
            mint.base.unwrap(),
            OsBase { id: "ubuntu".into(), version_id: "22.04".into(), codename: Some("jammy".into()) }
        );
        let rocky =
            detect(&[release("etc/os-release", "ID=rocky\nVERSION_ID=9.4\nID_LIKE=\"rhel centos fedora\"")]).unwrap();
        assert_eq!(rocky.base.unwrap().version_id, "9");
        assert_eq!(rocky.eol.unwrap().to_string(), "2032-05-31");
        let raspbian = detect(&[release("etc/os-release", "ID=raspbian\nVERSION_ID=12\nID_LIKE=debian")]).unwrap();
        assert_eq!(raspbian.base.unwrap().codename.as_deref(), Some("bookworm"));
        assert!(raspbian.eol.is_some());
    }

    #[test]
    fn lone_release_files_are_enough() {
        let os = detect(&[one_line("etc/debian_version", "11.9\n")]).unwrap();
        assert_eq!((os.id.as_str(), os.version_id.as_str()), ("debian", "11"));
        let os = detect(&[one_line("etc/debian_version", "forky/sid\n")]).unwrap();
        assert_eq!((os.version_id.as_str(), os.codename.as_deref()), ("14", Some("forky")));
        let os = detect(&[one_line("etc/redhat-release", "CentOS Linux release 7.9.2009 (Core)\n")]).unwrap();
        assert_eq!((os.id.as_str(), os.version_id.as_str()), ("centos", "7.9.2009"));
        let os = detect(&[one_line("etc/alpine-release", "3.20.1\n")]).unwrap();
        assert_eq!(os.version_id, "3.20.1");
        assert!(detect(&[]).is_none());
    }
}
