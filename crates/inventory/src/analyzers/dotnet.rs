//! .NET: `*.deps.json` of published programs and runtimes, `packages.lock.json`, `packages.config`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json::{self, Text};
use crate::model::{Evidence, Package, PackageKind};

/// Reads .NET's files.
pub struct Dotnet;

#[derive(Deserialize)]
struct Deps {
    /// `"Name/1.2.3": { "type": "package" | "project" | "runtimepack" … }`
    #[serde(default)]
    libraries: BTreeMap<String, Library>,
}

#[derive(Deserialize)]
struct Library {
    #[serde(default, rename = "type")]
    kind: Text,
}

#[derive(Deserialize)]
struct Lock {
    /// By framework, then by name.
    #[serde(default)]
    dependencies: BTreeMap<String, BTreeMap<String, Locked>>,
}

#[derive(Deserialize)]
struct Locked {
    #[serde(default, rename = "type")]
    kind: Text,
    #[serde(default)]
    resolved: Text,
}

impl Analyzer for Dotnet {
    fn name(&self) -> &'static str {
        "dotnet"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Ext("json"), Hook::Name("packages.config")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.ends_with(b".deps.json") || path.ends_with(b"packages.lock.json") || path.ends_with(b"packages.config")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        match file.name() {
            "packages.lock.json" => {
                let lock: Lock = json::parse(file.all()?)?;
                for (name, locked) in lock.dependencies.into_values().flatten() {
                    if !locked.kind.0.eq_ignore_ascii_case("project") {
                        out.package(found(&name, &locked.resolved.0, Evidence::Lock));
                    }
                }
            }
            "packages.config" => {
                for element in file.text()?.split("<package ").skip(1) {
                    let attribute =
                        |key: &str| element.split('>').next()?.split(&format!("{key}=\"")).nth(1)?.split('"').next();
                    if let (Some(id), Some(version)) = (attribute("id"), attribute("version")) {
                        out.package(found(id, version, Evidence::Lock));
                    }
                }
            }
            _ => {
                let deps: Deps = json::parse(file.all()?)?;
                for (key, library) in deps.libraries {
                    let Some((name, version)) = key.split_once('/') else { continue };
                    match library.kind.0.as_str() {
                        // The program itself.
                        "project" => {}
                        "runtimepack" => {
                            out.package(found(name.trim_start_matches("runtimepack."), version, Evidence::Metadata))
                        }
                        _ => out.package(found(name, version, Evidence::Metadata)),
                    }
                }
            }
        }
        Ok(())
    }
}

fn found(name: &str, version: &str, evidence: Evidence) -> Package {
    let mut package = Package::new(PackageKind::Nuget, name, version);
    package.evidence = evidence;
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn three_files() {
        let deps = br#"{"targets":{},"libraries":{"App/1.0.0":{"type":"project"},"Newtonsoft.Json/13.0.1":{"type":"package","sha512":"x"},"runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.0":{"type":"runtimepack"}}}"#;
        assert_eq!(
            packages(&read(&Dotnet, "app/App.deps.json", deps)),
            ["Newtonsoft.Json 13.0.1", "Microsoft.NETCore.App.Runtime.linux-x64 8.0.0"]
        );
        let lock = br#"{"version":1,"dependencies":{"net8.0":{"A":{"type":"Direct","resolved":"1.0.0"},"P":{"type":"Project"}}}}"#;
        assert_eq!(packages(&read(&Dotnet, "packages.lock.json", lock)), ["A 1.0.0"]);
        let config = b"<?xml version=\"1.0\"?>\n<packages>\n  <package id=\"jQuery\" version=\"3.1.1\" targetFramework=\"net46\" />\n</packages>";
        assert_eq!(packages(&read(&Dotnet, "packages.config", config)), ["jQuery 3.1.1"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = read(&Dotnet, "packages.config", format!("<package {text}").as_bytes()); }
    }
}
