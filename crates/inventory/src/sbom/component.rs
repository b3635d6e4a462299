//! What all SBOM formats have in common, and how it becomes packages.
//!
//! Tools put facts that advisories need in different places: qualifiers of the purl (`upstream`, `distro`, `epoch`),
//! or properties of their own. All are understood, so that a foreign SBOM matches as well as our own scan.

use crate::eol::end_of_life;
use crate::model::{Evidence, Inventory, LayerInfo, OsInfo, Package, PackageKind, SourcePackage, Unknown};
use crate::purl::Purl;

/// Reports about entries without identity, kept for one SBOM.
const MAX_UNKNOWN: usize = 100;

/// One entry of an SBOM, as written.
#[derive(Debug, Default, Clone)]
pub struct Component {
    /// Name.
    pub name: String,
    /// Group or namespace beside the name, for formats that have one.
    pub group: String,
    /// Version.
    pub version: String,
    /// Package URL.
    pub purl: String,
    /// CycloneDX's type or SPDX's purpose, in lower case: `library`, `operating-system`, `file` …
    pub kind: String,
    /// Licences.
    pub licenses: Vec<String>,
    /// Properties of the tool.
    pub properties: Vec<(String, String)>,
    /// SPDX's free text about the origin.
    pub source_info: String,
    /// Only needed for development.
    pub dev: bool,
}

/// A whole SBOM.
#[derive(Debug, Default)]
pub struct Document {
    /// What the SBOM is about.
    pub subject: Option<Component>,
    /// The entries.
    pub components: Vec<Component>,
}

impl Component {
    fn property(&self, names: &[&str]) -> Option<&str> {
        let found = self.properties.iter().find(|(key, value)| names.contains(&key.as_str()) && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    fn is_system(&self) -> bool {
        matches!(self.kind.as_str(), "operating-system" | "operating_system" | "operatingsystem")
    }
}

impl Document {
    /// Packages, operating system and what had no identity.
    pub fn into_inventory(self, name: &str) -> Inventory {
        let mut inventory = Inventory::default();
        let layers = self.subject.as_ref().map(layer_ids).unwrap_or_default();
        let systems = self.components.iter().chain(self.subject.as_ref()).filter(|c| c.is_system());
        let mut os = systems.filter_map(system).next();
        let mut without = 0usize;
        for component in &self.components {
            if component.is_system() || is_no_package(component) {
                continue;
            }
            match package(component, name, &layers) {
                Some((package, purl)) => {
                    if os.is_none() {
                        os = purl.as_ref().and_then(system_from_purl);
                    }
                    inventory.packages.push(package);
                }
                None => {
                    without += 1;
                    if without <= MAX_UNKNOWN {
                        let why = format!(
                            "`{}` {} has no package URL or known type, so it cannot be matched",
                            component.name, component.version
                        );
                        inventory.unknown.push(Unknown::new("package", name, why));
                    }
                }
            }
        }
        if without > MAX_UNKNOWN {
            let why = format!("{} more entries have no package URL", without - MAX_UNKNOWN);
            inventory.unknown.push(Unknown::new("package", name, why));
        }
        if os.is_none() && inventory.packages.iter().any(|p| p.kind.is_os()) {
            let why = "the SBOM lists packages of an operating system, but does not say of which";
            inventory.unknown.push(Unknown::new("os", name, why));
        }
        inventory.layers = layers.into_iter().map(|diff_id| LayerInfo { diff_id, ..LayerInfo::default() }).collect();
        inventory.os = os;
        inventory
    }
}

fn layer_ids(subject: &Component) -> Vec<String> {
    let key = |key: &str| matches!(key, "aquasecurity:trivy:DiffID" | "stockade:layer-diff-id");
    subject.properties.iter().filter(|(k, _)| key(k)).map(|(_, value)| value.clone()).collect()
}

/// Files, containers and data are listed beside packages by some tools.
fn is_no_package(component: &Component) -> bool {
    let other =
        matches!(component.kind.as_str(), "file" | "container" | "data" | "firmware" | "device" | "source" | "archive");
    // Trivy lists lock files and directories as applications.
    other || (component.kind == "application" && component.purl.is_empty())
}

fn system(component: &Component) -> Option<OsInfo> {
    let get = |names: &[&str]| component.property(names).map(str::to_owned);
    let id = get(&["syft:distro:id", "stockade:os:id"]).unwrap_or_else(|| component.name.clone()).to_lowercase();
    let version_id =
        get(&["syft:distro:versionID", "stockade:os:version-id"]).unwrap_or_else(|| component.version.clone());
    if id.is_empty() || id == "none" {
        return None;
    }
    let like = component.properties.iter().filter(|(key, _)| key.starts_with("syft:distro:idLike"));
    let id = canonical_id(&id);
    Some(OsInfo {
        eol: end_of_life(&id, &version_id),
        codename: get(&["syft:distro:versionCodename", "stockade:os:codename"]),
        pretty: get(&["syft:distro:prettyName", "stockade:os:pretty"])
            .unwrap_or_else(|| format!("{} {version_id}", component.name).trim().to_owned()),
        like: like.map(|(_, value)| value.clone()).collect(),
        id,
        version_id,
        base: None,
        path: String::new(),
    })
}

/// Names that tools use for a distribution, to the `ID` of its os-release.
fn canonical_id(id: &str) -> String {
    match id {
        "redhat" | "redhat enterprise linux" => "rhel",
        "amazon" | "amazon linux" | "amazonlinux" => "amzn",
        "oracle" | "oraclelinux" | "oracle linux" => "ol",
        "alma" => "almalinux",
        "opensuse.leap" | "opensuse leap" => "opensuse-leap",
        "suse linux enterprise server" | "sles_sap" => "sles",
        "cbl-mariner" => "mariner",
        other => other,
    }
    .to_owned()
}

/// `distro=debian-12`, `distro=opensuse-leap-15.5`, `distro=bookworm` with the namespace `debian`.
fn system_from_purl(purl: &Purl) -> Option<OsInfo> {
    if !purl.package_kind().is_os() {
        return None;
    }
    let distro = purl.qualifier("distro")?;
    let (id, version_id) = match distro.rsplit_once('-') {
        Some((id, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => (id, version),
        _ => (distro, ""),
    };
    let is_number = distro.starts_with(|c: char| c.is_ascii_digit());
    let (id, version_id) = if is_number { (purl.namespace.as_str(), distro) } else { (id, version_id) };
    let id = canonical_id(&id.to_lowercase());
    Some(OsInfo {
        eol: end_of_life(&id, version_id),
        pretty: format!("{id} {version_id}").trim().to_owned(),
        version_id: version_id.to_owned(),
        id,
        ..OsInfo::default()
    })
}

fn package(component: &Component, name: &str, layers: &[String]) -> Option<(Package, Option<Purl>)> {
    let purl = Purl::parse(&component.purl);
    let mut package = match &purl {
        Some(purl) => {
            let version = if purl.version.is_empty() { component.version.clone() } else { purl.version.clone() };
            Package::new(purl.package_kind(), purl_name(purl, component), version)
        }
        None => Package::new(kind_without_purl(component)?, component.name.clone(), component.version.clone()),
    };
    if package.kind.is_os() {
        add_epoch(&mut package, component, purl.as_ref());
        package.source = source(&package, component, purl.as_ref());
        package.arch = purl.as_ref().and_then(|p| p.qualifier("arch")).map(str::to_owned);
        package.vendor = component
            .property(&["aquasecurity:trivy:Modularitylabel", "syft:metadata:modularityLabel"])
            .map(str::to_owned);
    }
    package.purl.clone_from(&component.purl);
    package.licenses.clone_from(&component.licenses);
    package.dev = component.dev;
    package.evidence = Evidence::Sbom;
    package.found_by = "sbom".to_owned();
    let path = component.property(&["stockade:path", "aquasecurity:trivy:FilePath", "syft:location:0:path"]);
    package.path = path.unwrap_or(name).trim_start_matches('/').to_owned();
    let layer =
        component.property(&["stockade:layer-diff-id", "aquasecurity:trivy:LayerDiffID", "syft:location:0:layerID"]);
    package.layer = layer.and_then(|id| layers.iter().position(|l| l == id));
    Some((package, purl))
}

/// The specification makes some names lower-case in purls; the entry's own name may keep what the ecosystem writes.
fn purl_name(purl: &Purl, component: &Component) -> String {
    let from_purl = purl.full_name();
    let own = [component.name.clone(), format!("{}/{}", component.group, component.name)];
    own.into_iter().find(|name| name.eq_ignore_ascii_case(&from_purl)).unwrap_or(from_purl)
}

/// Syft and Trivy say the kind of entries, also where a purl is missing.
fn kind_without_purl(component: &Component) -> Option<PackageKind> {
    let kind = component.property(&["syft:package:type", "aquasecurity:trivy:PkgType"])?;
    Some(match kind {
        "deb" | "debian" | "ubuntu" => PackageKind::Deb,
        "apk" | "alpine" | "wolfi" | "chainguard" => PackageKind::Apk,
        "rpm" | "redhat" | "centos" | "rocky" | "alma" | "fedora" | "amazon" | "oracle" | "photon" => PackageKind::Rpm,
        "python" | "python-pkg" | "pip" | "poetry" | "pipenv" => PackageKind::PyPi,
        "npm" | "node-pkg" | "yarn" | "pnpm" => PackageKind::Npm,
        "go-module" | "gobinary" | "gomod" => PackageKind::Golang,
        "rust-crate" | "cargo" | "rustbinary" => PackageKind::Cargo,
        "java-archive" | "jar" | "pom" | "gradle" => PackageKind::Maven,
        "gem" | "gemspec" | "bundler" => PackageKind::Gem,
        "php-composer" | "composer" => PackageKind::Composer,
        "dotnet" | "nuget" | "dotnet-core" => PackageKind::Nuget,
        _ => return None,
    })
}

fn add_epoch(package: &mut Package, component: &Component, purl: Option<&Purl>) {
    if package.version.contains(':') {
        return;
    }
    let epoch = purl
        .and_then(|p| p.qualifier("epoch"))
        .or_else(|| component.property(&["syft:metadata:epoch", "aquasecurity:trivy:PkgEpoch"]));
    if let Some(epoch) = epoch.filter(|e| *e != "0" && e.bytes().all(|b| b.is_ascii_digit())) {
        package.version = format!("{epoch}:{}", package.version);
    }
}

fn source(package: &Package, component: &Component, purl: Option<&Purl>) -> Option<SourcePackage> {
    let make = |name: &str, version: Option<String>| SourcePackage {
        name: name.to_owned(),
        version: version.filter(|v| !v.is_empty()).unwrap_or_else(|| package.version.clone()),
    };
    if let Some(upstream) = purl.and_then(|p| p.qualifier("upstream")) {
        return Some(source_text(upstream, package).unwrap_or_else(|| match upstream.split_once('@') {
            Some((name, version)) => make(name, Some(version.to_owned())),
            None => make(upstream, None),
        }));
    }
    if let Some(name) = component.property(&[
        "aquasecurity:trivy:SrcName",
        "syft:metadata:source",
        "syft:metadata:originPackage",
        "stockade:source:name",
    ]) {
        let version =
            component.property(&["syft:metadata:sourceVersion", "stockade:source:version"]).map(str::to_owned);
        return Some(make(name, version.or_else(|| trivy_source_version(component))));
    }
    if let Some(source) = component.property(&["syft:metadata:sourceRpm"]).and_then(|text| source_text(text, package)) {
        return Some(source);
    }
    // Trivy in SPDX: `built package from: openssl 3.0.11-1~deb12u2`.
    if let Some((name, version)) =
        component.source_info.strip_prefix("built package from: ").and_then(|s| s.split_once(' '))
    {
        return Some(make(name, Some(version.to_owned())));
    }
    Some(make(&package.name, None))
}

/// `openssl-3.0.7-27.el9.src.rpm`
fn source_text(text: &str, package: &Package) -> Option<SourcePackage> {
    let stem = text.strip_suffix(".src.rpm").or_else(|| text.strip_suffix(".nosrc.rpm"))?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let epoch = package.version.split_once(':').map_or(String::new(), |(epoch, _)| format!("{epoch}:"));
    Some(SourcePackage { name: name.to_owned(), version: format!("{epoch}{version}-{release}") })
}

fn trivy_source_version(component: &Component) -> Option<String> {
    let version = component.property(&["aquasecurity:trivy:SrcVersion"])?;
    let epoch = component
        .property(&["aquasecurity:trivy:SrcEpoch"])
        .filter(|e| *e != "0")
        .map_or(String::new(), |e| format!("{e}:"));
    let release = component.property(&["aquasecurity:trivy:SrcRelease"]).map_or(String::new(), |r| format!("-{r}"));
    Some(format!("{epoch}{version}{release}"))
}
