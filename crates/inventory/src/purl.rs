//! Package URLs, by the purl specification (ECMA-427): written for packages found here, read from foreign SBOMs.

use crate::model::{OsInfo, Package, PackageKind};

/// The purl of a package. `os` names the distribution, for packages of its package manager.
pub fn build(package: &Package, os: Option<&OsInfo>) -> String {
    let kind = package.kind;
    let (namespace, name) = split_name(package, os);
    let mut purl = format!("pkg:{}/", kind.purl_type());
    if let Some(namespace) = namespace.filter(|ns| !ns.is_empty()) {
        for part in namespace.split('/').filter(|part| !part.is_empty()) {
            encode(part, &mut purl);
            purl.push('/');
        }
    }
    encode(&name, &mut purl);
    let (epoch, version) = rpm_epoch(package);
    if !version.is_empty() {
        purl.push('@');
        encode(version, &mut purl);
    }
    let mut qualifiers: Vec<(&str, String)> = Vec::new();
    if kind.is_os() {
        if let Some(arch) = package.arch.as_deref().filter(|arch| !arch.is_empty()) {
            qualifiers.push(("arch", arch.to_owned()));
        }
        if let Some(os) = os.filter(|os| !os.id.is_empty()) {
            qualifiers.push(("distro", distro(os)));
        }
        if let Some(epoch) = epoch {
            qualifiers.push(("epoch", epoch.to_owned()));
        }
        if let Some(upstream) = upstream(package) {
            qualifiers.push(("upstream", upstream));
        }
    }
    for (index, (key, value)) in qualifiers.iter().enumerate() {
        purl.push(if index == 0 { '?' } else { '&' });
        purl.push_str(key);
        purl.push('=');
        encode(value, &mut purl);
    }
    purl
}

fn distro(os: &OsInfo) -> String {
    match (os.version_id.as_str(), os.codename.as_deref()) {
        ("", None) => os.id.clone(),
        ("", Some(codename)) => format!("{}-{codename}", os.id),
        (version, _) => format!("{}-{version}", os.id),
    }
}

/// `name` or `name@version` of the source package, when it tells more than the package itself.
fn upstream(package: &Package) -> Option<String> {
    let source = package.source.as_ref()?;
    match (source.name == package.name, source.version == package.version || source.version.is_empty()) {
        (true, true) => None,
        (false, true) => Some(source.name.clone()),
        (_, false) => Some(format!("{}@{}", source.name, source.version)),
    }
}

/// RPM keeps the epoch out of the version.
fn rpm_epoch(package: &Package) -> (Option<&str>, &str) {
    match package.version.split_once(':') {
        Some((epoch, rest)) if package.kind == PackageKind::Rpm => (Some(epoch).filter(|e| *e != "0"), rest),
        _ => (None, &package.version),
    }
}

fn split_name(package: &Package, os: Option<&OsInfo>) -> (Option<String>, String) {
    let name = package.name.as_str();
    let at_last_slash = || match name.rsplit_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, name.to_owned()),
    };
    match package.kind {
        PackageKind::Deb | PackageKind::Apk | PackageKind::Alpm | PackageKind::Opkg => {
            (Some(os_namespace(package.kind, os)), name.to_lowercase())
        }
        PackageKind::Rpm => (Some(os_namespace(package.kind, os)), name.to_owned()),
        PackageKind::PyPi => (None, name.to_lowercase().replace('_', "-")),
        PackageKind::Golang | PackageKind::Composer | PackageKind::Hex | PackageKind::Github | PackageKind::Bitnami => {
            let (namespace, name) = at_last_slash();
            (namespace.map(|ns| ns.to_lowercase()), name.to_lowercase())
        }
        PackageKind::Pub => (None, name.to_lowercase()),
        PackageKind::Maven => match name.split_once(':') {
            Some((group, artifact)) => (Some(group.to_owned()), artifact.to_owned()),
            None => (None, name.to_owned()),
        },
        PackageKind::Npm | PackageKind::Swift | PackageKind::Conan | PackageKind::Other => at_last_slash(),
        _ => (None, name.to_owned()),
    }
}

fn os_namespace(kind: PackageKind, os: Option<&OsInfo>) -> String {
    let id = os.map_or("", |os| os.id.as_str());
    let default = match kind {
        PackageKind::Deb => "debian",
        PackageKind::Apk => "alpine",
        PackageKind::Alpm => "arch",
        _ => "",
    };
    match id {
        "" => default,
        "rhel" => "redhat",
        "opensuse-leap" | "opensuse-tumbleweed" => "opensuse",
        other => other,
    }
    .to_lowercase()
}

/// Percent-encodes all but the characters that the specification leaves plain: letters, digits, `.-_~` and the colon.
fn encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b':') {
            out.push(byte as char);
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
            }
        }
    }
}

/// The parts of a purl, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purl {
    /// In lower case.
    pub kind: String,
    /// Segments joined by `/`; empty when there is none.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Version; empty when there is none.
    pub version: String,
    /// Keys in lower case, in the purl's order.
    pub qualifiers: Vec<(String, String)>,
    /// Path below the package.
    pub subpath: String,
}

impl Purl {
    /// Reads a purl. `None` when it has no type or no name. Lenient elsewhere, because tools are.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
        let (rest, subpath) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, rest) = rest.split_once('/')?;
        // A version's `@` comes after the last slash; scopes are written `%40`, by some tools `@`.
        let (path, version) = match rest.rfind('@') {
            Some(at) if at > 0 && rest.get(at..)?.find('/').is_none() && !rest.get(..at)?.ends_with('/') => {
                (rest.get(..at)?, rest.get(at + 1..)?)
            }
            _ => (rest, ""),
        };
        let path = path.trim_matches('/');
        let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = decode(name);
        if kind.is_empty() || name.is_empty() {
            return None;
        }
        let qualifiers = qualifiers
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_ascii_lowercase(), decode(value)))
            .collect();
        Some(Self {
            kind: kind.to_ascii_lowercase(),
            namespace: decode(namespace),
            name,
            version: decode(version),
            qualifiers,
            subpath: decode(subpath.trim_matches('/')),
        })
    }

    /// The value of a qualifier.
    pub fn qualifier(&self, key: &str) -> Option<&str> {
        self.qualifiers.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The package's kind.
    pub fn package_kind(&self) -> PackageKind {
        PackageKind::from_purl_type(&self.kind)
    }

    /// The name as the ecosystem writes it.
    pub fn full_name(&self) -> String {
        let kind = self.package_kind();
        if self.namespace.is_empty() || (kind.is_os()) {
            return self.name.clone();
        }
        match kind {
            PackageKind::Maven => format!("{}:{}", self.namespace, self.name),
            PackageKind::PyPi | PackageKind::Gem | PackageKind::Cargo | PackageKind::Nuget | PackageKind::Conda => {
                self.name.clone()
            }
            _ => format!("{}/{}", self.namespace, self.name),
        }
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(value) if byte == b'%' => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SourcePackage;

    fn os(id: &str, version: &str) -> OsInfo {
        OsInfo { id: id.into(), version_id: version.into(), ..OsInfo::default() }
    }

    #[test]
    fn debian_packages_name_distribution_and_source() {
        let mut package = Package::new(PackageKind::Deb, "libssl3", "3.0.11-1~deb12u2+b1");
        package.arch = Some("amd64".into());
        package.source = Some(SourcePackage { name: "openssl".into(), version: "3.0.11-1~deb12u2".into() });
        assert_eq!(
            build(&package, Some(&os("debian", "12"))),
            "pkg:deb/debian/libssl3@3.0.11-1~deb12u2%2Bb1?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1~deb12u2"
        );
    }

    #[test]
    fn rpm_epoch_is_a_qualifier() {
        let mut package = Package::new(PackageKind::Rpm, "bind-libs", "32:9.16.23-1.el9");
        package.arch = Some("x86_64".into());
        assert_eq!(
            build(&package, Some(&os("rhel", "9.4"))),
            "pkg:rpm/redhat/bind-libs@9.16.23-1.el9?arch=x86_64&distro=rhel-9.4&epoch=32"
        );
    }

    #[test]
    fn names_split_by_ecosystem_and_come_back() {
        for (kind, name, version, purl) in [
            (PackageKind::Npm, "@angular/core", "17.0.1", "pkg:npm/%40angular/core@17.0.1"),
            (PackageKind::Maven, "org.slf4j:slf4j-api", "2.0", "pkg:maven/org.slf4j/slf4j-api@2.0"),
            (PackageKind::Golang, "golang.org/x/net", "v0.1.0", "pkg:golang/golang.org/x/net@v0.1.0"),
            (PackageKind::PyPi, "Jinja2", "3.1", "pkg:pypi/jinja2@3.1"),
            (PackageKind::Composer, "symfony/yaml", "v7", "pkg:composer/symfony/yaml@v7"),
            (PackageKind::Cargo, "serde", "1.0.0+x", "pkg:cargo/serde@1.0.0%2Bx"),
        ] {
            assert_eq!(build(&Package::new(kind, name, version), None), purl);
            let parsed = Purl::parse(purl).unwrap();
            assert_eq!(parsed.package_kind(), kind);
            assert!(parsed.full_name().eq_ignore_ascii_case(name));
            assert_eq!(parsed.version, version);
        }
    }

    #[test]
    fn lenient_reading() {
        let purl = Purl::parse("pkg:npm/@scope/name").unwrap();
        assert_eq!((purl.full_name().as_str(), purl.version.as_str()), ("@scope/name", ""));
        let purl = Purl::parse("pkg:deb/debian/attr@1:2.4.47-2?arch=source&upstream=x%2By").unwrap();
        assert_eq!(purl.version, "1:2.4.47-2");
        assert_eq!(purl.qualifier("upstream"), Some("x+y"));
        assert!(Purl::parse("pkg:npm/").is_none());
        assert!(Purl::parse("nonsense").is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_not(text: String) { let _ = Purl::parse(&text); let _ = Purl::parse(&format!("pkg:{text}")); }
    }
}
