//! Gradle's lock files: `gradle.lockfile`, `buildscript-gradle.lockfile` and sbt's `build.sbt.lock`.

use serde::Deserialize;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::json;
use crate::model::{Evidence, Package, PackageKind};

/// Reads locks of JVM builds.
pub struct JavaLocks;

#[derive(Deserialize)]
struct SbtLock {
    #[serde(default)]
    dependencies: Vec<SbtModule>,
}

#[derive(Deserialize)]
struct SbtModule {
    org: String,
    name: String,
    version: String,
    #[serde(default)]
    configurations: Vec<String>,
}

impl Analyzer for JavaLocks {
    fn name(&self) -> &'static str {
        "java-lock"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[
            Hook::Name("gradle.lockfile"),
            Hook::Name("buildscript-gradle.lockfile"),
            Hook::Name("build.sbt.lock"),
            Hook::Ext("lockfile"),
        ]
    }

    fn wants(&self, path: &[u8]) -> bool {
        // Before Gradle 6 there was one file for each configuration.
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        path.windows(24).any(|w| w == b"gradle/dependency-locks/")
            || matches!(name, b"gradle.lockfile" | b"buildscript-gradle.lockfile" | b"build.sbt.lock")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        if file.name() == "build.sbt.lock" {
            let lock: SbtLock = json::parse(file.all()?)?;
            for module in lock.dependencies {
                let dev =
                    !module.configurations.is_empty() && module.configurations.iter().all(|c| c.starts_with("test"));
                out.package(locked(format!("{}:{}", module.org, module.name), &module.version, dev));
            }
            return Ok(());
        }
        let build_script = file.name().starts_with("buildscript");
        for line in file.text()?.lines().filter(|line| !line.starts_with('#')) {
            let (coordinates, configurations) = line.split_once('=').unwrap_or((line, ""));
            let mut parts = coordinates.trim().split(':');
            if let (Some(group), Some(artifact), Some(version)) = (parts.next(), parts.next(), parts.next()) {
                let tests_only = !configurations.is_empty() && configurations.split(',').all(|c| c.starts_with("test"));
                out.package(locked(format!("{group}:{artifact}"), version, build_script || tests_only));
            }
        }
        Ok(())
    }
}

fn locked(name: String, version: &str, dev: bool) -> Package {
    let mut package = Package::new(PackageKind::Maven, name, version);
    package.evidence = Evidence::Lock;
    package.dev = dev;
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn gradle_and_sbt() {
        let text = b"# comment\ncom.google.guava:guava:31.1-jre=compileClasspath,runtimeClasspath\njunit:junit:4.13=testCompileClasspath,testRuntimeClasspath\nempty=annotationProcessor\n";
        let facts = read(&JavaLocks, "gradle.lockfile", text);
        assert_eq!(packages(&facts), ["com.google.guava:guava 31.1-jre", "junit:junit 4.13"]);
        assert!(facts.packages[1].dev && !facts.packages[0].dev);
        let sbt = br#"{"lockVersion":1,"dependencies":[{"org":"org.typelevel","name":"cats_2.13","version":"2.9.0","configurations":["compile"]}]}"#;
        assert_eq!(packages(&read(&JavaLocks, "build.sbt.lock", sbt)), ["org.typelevel:cats_2.13 2.9.0"]);
    }
}
