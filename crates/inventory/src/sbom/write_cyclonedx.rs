//! Writes CycloneDX 1.6 as JSON.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};

use serde::Serialize;

use super::licenses::is_identifier;
use super::write::{SbomInfo, uuid};
use crate::model::{Inventory, OsInfo, Package, PackageKind};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: &'a str,
    tools: Tools,
    component: Component<'a>,
}

#[derive(Serialize)]
struct Tools {
    components: [Tool; 1],
}

#[derive(Serialize)]
struct Tool {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize, Default)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    reference: String,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    purl: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property<'a>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    license: License<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum License<'a> {
    Id(&'a str),
    Name(&'a str),
}

#[derive(Serialize)]
struct Evidence<'a> {
    occurrences: [Occurrence<'a>; 1],
}

#[derive(Serialize)]
struct Occurrence<'a> {
    location: &'a str,
}

#[derive(Serialize)]
struct Property<'a> {
    name: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(rename = "dependsOn", skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

/// Writes the inventory. The same contents give the same bytes.
/// # Errors
/// The writer's.
pub fn write_cyclonedx(inventory: &Inventory, info: &SbomInfo, out: &mut dyn Write) -> io::Result<()> {
    let references = references(&inventory.packages);
    let mut components = Vec::with_capacity(inventory.packages.len() + 1);
    components.extend(inventory.os.as_ref().map(system));
    components.extend(inventory.packages.iter().zip(&references).map(|(p, r)| component(p, r, inventory)));
    let bom = Bom {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: format!("urn:uuid:{}", uuid(inventory, info, "cyclonedx")),
        version: 1,
        metadata: Metadata {
            timestamp: info.time(),
            tools: Tools {
                components: [Tool { kind: "application", name: "stockade", version: env!("CARGO_PKG_VERSION") }],
            },
            component: subject(inventory, info),
        },
        components,
        dependencies: dependencies(inventory, &references),
    };
    serde_json::to_writer_pretty(&mut *out, &bom)?;
    out.write_all(b"\n")
}

fn subject<'a>(inventory: &'a Inventory, info: &'a SbomInfo) -> Component<'a> {
    let layers = inventory.layers.iter().map(|l| Property { name: "stockade:layer-diff-id", value: &l.diff_id });
    Component {
        kind: if inventory.layers.is_empty() { "application" } else { "container" },
        reference: "subject".to_owned(),
        name: if info.name.is_empty() { "unnamed" } else { &info.name },
        version: &info.version,
        properties: layers.collect(),
        ..Component::default()
    }
}

fn system(os: &OsInfo) -> Component<'_> {
    let mut properties = vec![
        Property { name: "stockade:os:id", value: &os.id },
        Property { name: "stockade:os:version-id", value: &os.version_id },
        Property { name: "stockade:os:pretty", value: &os.pretty },
    ];
    properties.extend(os.codename.as_deref().map(|value| Property { name: "stockade:os:codename", value }));
    Component {
        kind: "operating-system",
        reference: "os".to_owned(),
        name: &os.id,
        version: &os.version_id,
        properties,
        ..Component::default()
    }
}

fn component<'a>(package: &'a Package, reference: &str, inventory: &'a Inventory) -> Component<'a> {
    let mut properties = vec![Property { name: "stockade:found-by", value: &package.found_by }];
    let layer = package.layer.and_then(|index| inventory.layers.get(index));
    properties.extend(layer.map(|l| Property { name: "stockade:layer-diff-id", value: &l.diff_id }));
    if let Some(source) = &package.source {
        properties.push(Property { name: "stockade:source:name", value: &source.name });
        properties.push(Property { name: "stockade:source:version", value: &source.version });
    }
    let choice = |name: &'a String| Choice {
        license: if is_identifier(name) { License::Id(name) } else { License::Name(name) },
    };
    Component {
        kind: if package.kind == PackageKind::Generic { "application" } else { "library" },
        reference: reference.to_owned(),
        name: &package.name,
        version: &package.version,
        scope: package.dev.then_some("excluded"),
        licenses: package.licenses.iter().map(choice).collect(),
        purl: &package.purl,
        evidence: (!package.path.is_empty())
            .then(|| Evidence { occurrences: [Occurrence { location: &package.path }] }),
        properties,
    }
}

/// A unique name for each package: its purl, with the path where that is not enough.
pub(super) fn references(packages: &[Package]) -> Vec<String> {
    let mut seen: HashSet<String> = HashSet::with_capacity(packages.len());
    packages
        .iter()
        .enumerate()
        .map(|(index, package)| {
            let with_path = || format!("{}#{}", package.purl, package.path);
            let candidates = [package.purl.clone(), with_path()];
            let free = candidates.into_iter().find(|r| !r.is_empty() && !seen.contains(r));
            let reference = free.unwrap_or_else(|| format!("{}#{index}", with_path()));
            seen.insert(reference.clone());
            reference
        })
        .collect()
}

/// What needs what, by name within a kind. Where several packages have the name, the one in the same place is meant;
/// language ecosystems allow several versions, so only unique names are linked there.
fn dependencies(inventory: &Inventory, references: &[String]) -> Vec<Dependency> {
    let mut by_name: HashMap<(PackageKind, &str), Vec<usize>> = HashMap::new();
    for (index, package) in inventory.packages.iter().enumerate() {
        by_name.entry((package.kind, &package.name)).or_default().push(index);
    }
    let mut links: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (package, reference) in inventory.packages.iter().zip(references) {
        let mut targets: Vec<String> = package
            .depends
            .iter()
            .filter_map(|name| by_name.get(&(package.kind, name.as_str())))
            .filter_map(|candidates| match candidates.as_slice() {
                [one] => references.get(*one),
                many => {
                    let here =
                        many.iter().find(|i| inventory.packages.get(**i).is_some_and(|p| p.path == package.path));
                    here.and_then(|index| references.get(*index))
                }
            })
            .filter(|target| *target != reference)
            .cloned()
            .collect();
        targets.sort();
        targets.dedup();
        links.insert(reference, targets);
    }
    links
        .into_iter()
        .map(|(reference, depends_on)| Dependency { reference: reference.to_owned(), depends_on })
        .collect()
}
