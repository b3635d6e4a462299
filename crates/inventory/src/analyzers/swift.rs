//! Swift and CocoaPods: `Package.resolved` (versions 1 to 3) and `Podfile.lock`.

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json::{self, Text};
use crate::model::{Evidence, Package, PackageKind};
use crate::yaml::{self, Yaml};

/// Reads locks of Apple's ecosystems.
pub struct Swift;

#[derive(Deserialize)]
struct Resolved {
    #[serde(default)]
    pins: Vec<Pin>,
    #[serde(default)]
    object: Option<Pins>,
}

#[derive(Deserialize)]
struct Pins {
    #[serde(default)]
    pins: Vec<Pin>,
}

#[derive(Deserialize)]
struct Pin {
    #[serde(default, alias = "repositoryURL")]
    location: Text,
    #[serde(default, alias = "package")]
    identity: Text,
    #[serde(default)]
    state: State,
}

#[derive(Deserialize, Default)]
struct State {
    #[serde(default)]
    version: Text,
    #[serde(default)]
    branch: Text,
}

impl Analyzer for Swift {
    fn name(&self) -> &'static str {
        "swift-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("Package.resolved"), Hook::Name("Podfile.lock")]
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        if file.name() == "Podfile.lock" {
            let lock = yaml::parse(&file.text()?)?;
            pods(&lock, out);
            return Ok(());
        }
        let resolved: Resolved = json::parse(file.all()?)?;
        for pin in resolved.pins.into_iter().chain(resolved.object.into_iter().flat_map(|o| o.pins)) {
            let name = repository(&pin.location.0).unwrap_or(pin.identity.0);
            if pin.state.version.0.is_empty() {
                out.unknown(
                    "package",
                    format!("`{name}` is locked to the branch `{}`, no release", pin.state.branch.0),
                );
                continue;
            }
            out.package(found(PackageKind::Swift, &name, &pin.state.version.0));
        }
        Ok(())
    }
}

/// `https://github.com/apple/swift-nio.git` → `github.com/apple/swift-nio`, as advisories name packages.
fn repository(url: &str) -> Option<String> {
    let rest = url.split_once("://").map(|(_, rest)| rest.to_owned()).or_else(|| {
        // git@github.com:owner/name
        url.split_once('@').map(|(_, rest)| rest.replacen(':', "/", 1))
    })?;
    let rest = rest.rsplit_once('@').map_or(rest.as_str(), |(_, rest)| rest);
    Some(rest.trim_end_matches('/').trim_end_matches(".git").to_owned())
}

fn pods(lock: &Yaml, out: &mut Sink<'_>) {
    for item in lock.get("PODS").map(Yaml::items).unwrap_or_default() {
        // `Name (1.2.3)`, or a mapping of that to what it needs.
        let text = item.text().or_else(|| item.entries().first().map(|(key, _)| key.as_str())).unwrap_or_default();
        if let Some((name, version)) = text.split_once(" (") {
            out.package(found(PackageKind::Cocoapods, name, version.trim_end_matches(')')));
        }
    }
}

fn found(kind: PackageKind, name: &str, version: &str) -> Package {
    let mut package = Package::new(kind, name, version);
    package.evidence = Evidence::Lock;
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn resolved_and_pods() {
        let two = br#"{"pins":[{"identity":"swift-nio","kind":"remoteSourceControl","location":"https://github.com/apple/swift-nio.git","state":{"revision":"x","version":"2.41.0"}},{"identity":"b","location":"git@github.com:o/b.git","state":{"branch":"main"}}],"version":2}"#;
        let facts = read(&Swift, "Package.resolved", two);
        assert_eq!(packages(&facts), ["github.com/apple/swift-nio 2.41.0"]);
        assert!(facts.unknown[0].why.contains("github.com/o/b"));
        let one = br#"{"object":{"pins":[{"package":"A","repositoryURL":"https://github.com/o/A","state":{"version":"1.0.0"}}]},"version":1}"#;
        assert_eq!(packages(&read(&Swift, "Package.resolved", one)), ["github.com/o/A 1.0.0"]);
        let pods = b"PODS:\n  - Alamofire (5.6.4)\n  - AppAuth (1.6.0):\n    - AppAuth/Core (= 1.6.0)\n\nDEPENDENCIES:\n  - Alamofire\n";
        assert_eq!(packages(&read(&Swift, "Podfile.lock", pods)), ["Alamofire 5.6.4", "AppAuth 1.6.0"]);
    }
}
