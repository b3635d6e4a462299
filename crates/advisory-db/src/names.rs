//! Names: packages as their ecosystem compares them, ids and what follows from them.

use std::borrow::Cow;

/// The ecosystem without its release: `Debian:12` is `Debian`.
pub fn family(ecosystem: &str) -> &str {
    ecosystem.split(':').next().unwrap_or(ecosystem)
}

/// A package name in the form in which names of this ecosystem are equal.
///
/// PyPI: PEP 503 (runs of `-`, `_`, `.` are one `-`, lower case). NuGet, Packagist and GitHub Actions ignore case.
/// Everything else is compared byte by byte.
pub fn normalise<'n>(ecosystem: &str, name: &'n str) -> Cow<'n, str> {
    match family(ecosystem) {
        "PyPI" => pep503(name),
        "NuGet" | "Packagist" | "GitHub Actions" if name.bytes().any(|b| b.is_ascii_uppercase()) => {
            Cow::Owned(name.to_ascii_lowercase())
        }
        _ => Cow::Borrowed(name),
    }
}

fn pep503(name: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let normal = name.bytes().all(|b| plain(b) || b == b'-') && !name.contains("--");
    if normal {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !out.ends_with('-') {
                out.push('-');
            }
        } else {
            out.extend(c.to_lowercase());
        }
    }
    Cow::Owned(out)
}

/// The address that follows from an id, so that it need not be stored with every record.
pub fn canonical_url(id: &str) -> Option<String> {
    Some(match id.split('-').next()? {
        "CVE" => format!("https://nvd.nist.gov/vuln/detail/{id}"),
        "GHSA" => format!("https://github.com/advisories/{id}"),
        "DSA" | "DLA" => format!("https://security-tracker.debian.org/tracker/{id}"),
        "DEBIAN" => format!("https://security-tracker.debian.org/tracker/{}", id.strip_prefix("DEBIAN-")?),
        "RUSTSEC" => format!("https://rustsec.org/advisories/{id}.html"),
        "GO" => format!("https://pkg.go.dev/vuln/{id}"),
        "USN" => format!("https://ubuntu.com/security/notices/{id}"),
        "PYSEC" | "OSV" | "MAL" => format!("https://osv.dev/vulnerability/{id}"),
        "RHSA" | "RHBA" | "RHEA" => format!("https://access.redhat.com/errata/{}", id),
        "ALSA" | "RLSA" | "ALPINE" | "UBUNTU" => format!("https://osv.dev/vulnerability/{id}"),
        _ => return None,
    })
}

/// `(2024, 3094)` of `CVE-2024-3094`; `None` for anything else.
pub fn cve_number(id: &str) -> Option<(u32, u32)> {
    let (year, number) = id.strip_prefix("CVE-")?.split_once('-')?;
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if year.len() != 4 || !digits(year) || !digits(number) {
        return None;
    }
    Some((year.parse().ok()?, number.parse().ok()?))
}

/// The CVE id inside a distribution's id for it: `DEBIAN-CVE-2024-1`, `UBUNTU-CVE-…`, `ALPINE-CVE-…`.
pub fn embedded_cve(id: &str) -> Option<&str> {
    let at = id.find("CVE-")?;
    let cve = id.get(at..)?;
    (at > 0 && cve_number(cve).is_some()).then_some(cve)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_their_ecosystem_does() {
        for (ecosystem, name, expected) in [
            ("PyPI", "Django", "django"),
            ("PyPI", "zope.interface", "zope-interface"),
            ("PyPI", "a-_.b", "a-b"),
            ("PyPI", "requests", "requests"),
            ("NuGet", "Newtonsoft.Json", "newtonsoft.json"),
            ("Packagist", "Symfony/Http", "symfony/http"),
            ("Go", "github.com/BurntSushi/toml", "github.com/BurntSushi/toml"),
            ("Debian:12", "Xyz", "Xyz"),
        ] {
            assert_eq!(normalise(ecosystem, name), expected, "{ecosystem} {name}");
        }
    }

    #[test]
    fn cve_numbers_are_read_strictly() {
        assert_eq!(cve_number("CVE-2024-3094"), Some((2024, 3094)));
        for bad in ["CVE-24-1", "CVE-2024-", "CVE-2024-+1", "cve-2024-1", "GHSA-1"] {
            assert_eq!(cve_number(bad), None, "{bad}");
        }
        assert_eq!(embedded_cve("DEBIAN-CVE-2024-3094"), Some("CVE-2024-3094"));
        assert_eq!(embedded_cve("CVE-2024-3094"), None);
    }
}
