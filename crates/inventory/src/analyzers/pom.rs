//! Maven's `pom.xml` in source trees: dependencies whose version the file itself settles.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::analyzer::{Analyzer, Hook};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads `pom.xml`.
pub struct Pom;

/// Elements within elements.
const MAX_DEPTH: usize = 64;
/// Properties that refer to properties.
const MAX_REFERENCES: usize = 16;

#[derive(Default, Clone)]
struct Dependency {
    group: String,
    artifact: String,
    version: String,
    scope: String,
}

#[derive(Default)]
struct Project {
    properties: HashMap<String, String>,
    managed: Vec<Dependency>,
    used: Vec<Dependency>,
}

impl Analyzer for Pom {
    fn name(&self) -> &'static str {
        "pom"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("pom.xml")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        // Unpacked archives carry their own.
        memchr::memmem::find(path, b"META-INF/").is_none()
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let project = parse(&file.text()?)?;
        let mut without = 0usize;
        for dependency in &project.used {
            let resolve = |text: &str| project.resolve(text);
            let (group, artifact) = (resolve(&dependency.group), resolve(&dependency.artifact));
            let own = Some(dependency.version.as_str()).filter(|v| !v.is_empty());
            let managed = || {
                let same = |d: &&Dependency| resolve(&d.group) == group && resolve(&d.artifact) == artifact;
                project.managed.iter().find(same).map(|d| d.version.as_str())
            };
            let version = own.or_else(managed).map(resolve).unwrap_or_default();
            // A range or a reference that leads elsewhere is no version.
            if version.is_empty() || version.contains(['$', '[', '(', ',']) {
                without += 1;
                continue;
            }
            let mut package = Package::new(PackageKind::Maven, format!("{group}:{artifact}"), version);
            package.evidence = Evidence::Manifest;
            package.dev = matches!(dependency.scope.as_str(), "test" | "provided");
            out.package(package);
        }
        if without > 0 {
            out.unknown("package", format!("{without} dependencies have a version that only Maven can resolve (a parent or a range); scan the built archive"));
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Project, Trouble> {
    let mut reader = Reader::from_str(text);
    let mut project = Project::default();
    let mut path: Vec<String> = Vec::new();
    let mut current = Dependency::default();
    let mut value = String::new();
    loop {
        match reader.read_event().map_err(|e| Trouble(format!("no valid XML: {e}")))? {
            Event::Eof => return Ok(project),
            Event::Start(element) => {
                if path.len() >= MAX_DEPTH {
                    return Err("elements are nested too deeply".into());
                }
                path.push(element.local_name().as_ref().to_owned());
                value.clear();
            }
            Event::Text(text) => value.push_str(&text),
            Event::End(_) => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                project.close(&names, value.trim(), &mut current);
                path.pop();
                value.clear();
            }
            _ => {}
        }
    }
}

impl Project {
    fn close(&mut self, path: &[&str], value: &str, current: &mut Dependency) {
        match path {
            ["project", "properties", key] => {
                self.properties.insert((*key).to_owned(), value.to_owned());
            }
            ["project", "parent", key @ ("version" | "groupId")] => {
                self.properties.insert(format!("project.parent.{key}"), value.to_owned());
                self.properties.entry(format!("project.{key}")).or_insert_with(|| value.to_owned());
            }
            ["project", key @ ("version" | "groupId" | "artifactId")] => {
                self.properties.insert(format!("project.{key}"), value.to_owned());
            }
            ["project", "dependencies", "dependency"] => self.used.push(std::mem::take(current)),
            ["project", "dependencyManagement", "dependencies", "dependency"] => {
                self.managed.push(std::mem::take(current))
            }
            [.., "dependencies", "dependency", field] => match *field {
                "groupId" => value.clone_into(&mut current.group),
                "artifactId" => value.clone_into(&mut current.artifact),
                "version" => value.clone_into(&mut current.version),
                "scope" => value.clone_into(&mut current.scope),
                _ => {}
            },
            [.., "dependencies", "dependency"] => *current = Dependency::default(),
            _ => {}
        }
    }

    /// Replaces `${name}`.
    fn resolve(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..MAX_REFERENCES {
            let Some((start, rest)) = text.split_once("${") else { break };
            let Some((name, end)) = rest.split_once('}') else { break };
            let Some(value) = self.properties.get(name.strip_prefix("pom.").unwrap_or(name)) else { break };
            if text.len() + value.len() > 1024 {
                break;
            }
            text = format!("{start}{value}{end}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn properties_and_management() {
        let text = br#"<?xml version="1.0"?><project><parent><groupId>g</groupId><version>3</version></parent><artifactId>app</artifactId>
          <properties><a.version>1.2</a.version><b>${a.version}.3</b><loop>${loop}</loop></properties>
          <dependencyManagement><dependencies><dependency><groupId>m</groupId><artifactId>managed</artifactId><version>9</version></dependency></dependencies></dependencyManagement>
          <dependencies>
            <dependency><groupId>x</groupId><artifactId>y</artifactId><version>${b}</version><exclusions><exclusion><groupId>no</groupId></exclusion></exclusions></dependency>
            <dependency><groupId>m</groupId><artifactId>managed</artifactId></dependency>
            <dependency><groupId>${project.groupId}</groupId><artifactId>sib</artifactId><version>${project.version}</version><scope>test</scope></dependency>
            <dependency><groupId>u</groupId><artifactId>u</artifactId></dependency>
            <dependency><groupId>u</groupId><artifactId>l</artifactId><version>${loop}</version></dependency>
          </dependencies></project>"#;
        let facts = read(&Pom, "pom.xml", text);
        assert_eq!(packages(&facts), ["x:y 1.2.3", "m:managed 9", "g:sib 3"]);
        assert!(facts.packages[2].dev);
        assert!(facts.unknown[0].why.starts_with("2 dependencies"));
        assert!(!Pom.wants(b"x/META-INF/maven/a/b/pom.xml"));
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = read(&Pom, "pom.xml", format!("<project>{text}").as_bytes()); }
    }
}
