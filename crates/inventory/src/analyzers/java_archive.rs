//! Java archives and archives inside them: `pom.properties` of Maven, else `MANIFEST.MF` and the file's name.

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::{FileView, ReadAt};
use crate::model::{Evidence, Package, PackageKind};
use crate::zip::Zip;

/// Reads jar, war, ear and Jenkins plug-ins.
pub struct JavaArchive;

/// Bytes of one `pom.properties` or manifest.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// Bytes of archives within archives that are in memory at the same time: several threads do this, and the whole of a
/// scan is meant to stay below 300 MB.
const MAX_HELD_BYTES: u64 = 96 << 20;
const ENDINGS: &[&[u8]] = &[b".jar", b".war", b".ear", b".par", b".sar", b".hpi", b".jpi", b".kar", b".nar"];

impl Analyzer for JavaArchive {
    fn name(&self) -> &'static str {
        "java-archive"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[
            Hook::Ext("jar"),
            Hook::Ext("war"),
            Hook::Ext("ear"),
            Hook::Ext("par"),
            Hook::Ext("sar"),
            Hook::Ext("hpi"),
            Hook::Ext("jpi"),
            Hook::Ext("kar"),
            Hook::Ext("nar"),
        ]
    }

    fn size(&self) -> Size {
        Size::Binary
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let mut budget = out.limits.inflated_bytes;
        // An empty file is what some builds leave as a place holder.
        if file.source().size() == 0 {
            return Ok(());
        }
        archive(file.source(), file.path, 0, 0, &mut budget, out)
    }
}

fn is_archive(name: &[u8]) -> bool {
    ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
}

/// `path` is shown as `outer.war!/WEB-INF/lib/inner.jar`.
fn archive(
    source: &dyn ReadAt,
    path: &str,
    depth: u32,
    held: u64,
    budget: &mut u64,
    out: &mut Sink<'_>,
) -> Result<(), Trouble> {
    let zip = Zip::open(source)?;
    let (entries, whole) = zip.entries(|name| {
        name.ends_with(b"/pom.properties") && name.starts_with(b"META-INF/maven/")
            || name == b"META-INF/MANIFEST.MF"
            || is_archive(name)
    });
    if !whole {
        out.unknown_at("archive", path, "the archive's directory is damaged; entries after the damage were not read");
    }
    let mut manifest = Manifest::default();
    let mut found: Vec<Package> = Vec::new();
    for entry in entries {
        if out.is_late() {
            let seconds = out.limits.file_time.as_secs();
            out.unknown_at(
                "limit",
                path,
                format!("looking into it takes longer than {seconds} s; the rest was not read"),
            );
            break;
        }
        let nested = is_archive(entry.name.as_bytes());
        let place = || format!("{path}!/{}", entry.name);
        if nested && depth + 1 > out.limits.nesting {
            out.unknown_at(
                "archive",
                &place(),
                format!("more than {} archives within archives; not opened", out.limits.nesting),
            );
            continue;
        }
        let limit = (*budget).min(if nested { MAX_HELD_BYTES.saturating_sub(held) } else { MAX_TEXT_BYTES });
        let contents = match zip.read(&entry, limit) {
            Ok(contents) => contents,
            Err(Trouble(why)) => {
                out.unknown_at("archive", &place(), why);
                continue;
            }
        };
        *budget = budget.saturating_sub(contents.len() as u64);
        if nested {
            if let Err(Trouble(why)) =
                archive(&contents, &place(), depth + 1, held + contents.len() as u64, budget, out)
            {
                out.unknown_at("archive", &place(), why);
            }
        } else if entry.name == "META-INF/MANIFEST.MF" {
            manifest = Manifest::parse(&contents);
        } else {
            found.extend(pom_properties(&String::from_utf8_lossy(&contents)));
        }
    }
    let file_name = path.rsplit('/').next().unwrap_or_default();
    let (stem, file_version) = split_file_name(file_name);
    // Archives that bundle others carry their properties, too: the archive itself needs to be among them.
    let has_own = found.iter().any(|p| p.name.split(':').nth(1) == Some(stem)) || found.len() == 1;
    if !has_own {
        found.extend(manifest.package(stem, file_version));
    }
    for mut package in found {
        package.evidence = Evidence::Metadata;
        if depth > 0 {
            path.clone_into(&mut package.path);
        }
        if package.licenses.is_empty() {
            package.licenses.extend(manifest.license());
        }
        out.package(package);
    }
    Ok(())
}

fn pom_properties(text: &str) -> Option<Package> {
    let field = |key: &str| {
        text.lines().find_map(|line| {
            let (k, value) = line.split_once('=')?;
            (k.trim() == key).then(|| value.trim())
        })
    };
    let (group, artifact, version) = (field("groupId")?, field("artifactId")?, field("version")?);
    let usable = !group.is_empty() && !artifact.is_empty() && !version.is_empty() && !version.contains("${");
    usable.then(|| Package::new(PackageKind::Maven, format!("{group}:{artifact}"), version))
}

#[derive(Default)]
struct Manifest(Vec<(String, String)>);

impl Manifest {
    /// Attributes of the main section, continuation lines joined (JAR File Specification).
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            if line.is_empty() {
                break;
            }
            if let Some(more) = line.strip_prefix(' ') {
                if let Some((_, value)) = fields.last_mut() {
                    value.push_str(more);
                }
            } else if let Some((key, value)) = line.split_once(':') {
                fields.push((key.to_owned(), value.trim().to_owned()));
            }
        }
        Self(fields)
    }

    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())?;
        Some(value).filter(|v| !v.is_empty() && !v.contains("${"))
    }

    fn license(&self) -> Option<String> {
        let text = self.get("Bundle-License")?.split([',', ';']).next()?.trim().trim_matches('"');
        (text.len() <= 100).then(|| text.to_owned())
    }

    /// What the manifest and the file name say about the archive itself.
    fn package(&self, stem: &str, file_version: Option<&str>) -> Option<Package> {
        let version = file_version
            .or_else(|| self.get("Implementation-Version"))
            .or_else(|| self.get("Bundle-Version"))
            .or_else(|| self.get("Specification-Version"))
            .or_else(|| self.get("Plugin-Version"))?;
        let version = version.split_whitespace().next()?;
        if !version.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let symbolic = self.get("Bundle-SymbolicName").and_then(|s| s.split(';').next()).map(str::trim);
        let artifact = if file_version.is_some() {
            stem
        } else {
            self.get("Implementation-Title")
                .filter(|t| is_artifact(t))
                .or(symbolic.filter(|s| !s.contains('.')))
                .unwrap_or(stem)
        };
        let group = known_group(artifact)
            .map(str::to_owned)
            .or_else(|| self.get("Implementation-Vendor-Id").filter(|g| is_artifact(g)).map(str::to_owned))
            .or_else(|| group_from(symbolic?, artifact))
            .or_else(|| group_from(self.get("Automatic-Module-Name")?, artifact))
            .or_else(|| symbolic.filter(|s| s.contains('.') && *s != artifact && is_artifact(s)).map(str::to_owned));
        let name = group.map_or_else(|| artifact.to_owned(), |group| format!("{group}:{artifact}"));
        Some(Package::new(PackageKind::Maven, name, version))
    }
}

fn is_artifact(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// `org.slf4j.api` with the artifact `slf4j-api` gives `org.slf4j`; a name equal to the artifact gives nothing.
fn group_from(symbolic: &str, artifact: &str) -> Option<String> {
    if !is_artifact(symbolic) || !symbolic.contains('.') || symbolic == artifact {
        return None;
    }
    // Whole artifact first; else shared words: the group ends where the artifact's own words begin.
    let flat = artifact.replace('-', ".");
    let last = symbolic.rsplit('.').next()?;
    let endings = [artifact, flat.as_str(), if artifact.ends_with(last) { last } else { artifact }];
    endings
        .iter()
        .filter_map(|ending| symbolic.strip_suffix(ending)?.strip_suffix('.'))
        .find(|group| group.contains('.'))
        .map(str::to_owned)
}

/// Groups of widespread artifacts whose builds leave no `pom.properties`.
fn known_group(artifact: &str) -> Option<&'static str> {
    const PREFIXES: &[(&str, &str)] = &[
        ("spring-boot", "org.springframework.boot"),
        ("spring-security", "org.springframework.security"),
        ("spring-cloud", "org.springframework.cloud"),
        ("spring-data", "org.springframework.data"),
        ("spring-session", "org.springframework.session"),
        ("spring-kafka", "org.springframework.kafka"),
        ("kotlin-", "org.jetbrains.kotlin"),
        ("kotlinx-", "org.jetbrains.kotlinx"),
        ("micrometer-", "io.micrometer"),
        ("tomcat-embed-", "org.apache.tomcat.embed"),
        ("groovy-", "org.apache.groovy"),
        ("opentelemetry-", "io.opentelemetry"),
        ("junit-jupiter", "org.junit.jupiter"),
        ("lucene-", "org.apache.lucene"),
        ("kafka-", "org.apache.kafka"),
    ];
    const EXACT: &[(&str, &str)] = &[
        ("spring-core", "org.springframework"),
        ("spring-beans", "org.springframework"),
        ("spring-context", "org.springframework"),
        ("spring-context-support", "org.springframework"),
        ("spring-web", "org.springframework"),
        ("spring-webmvc", "org.springframework"),
        ("spring-webflux", "org.springframework"),
        ("spring-websocket", "org.springframework"),
        ("spring-expression", "org.springframework"),
        ("spring-aop", "org.springframework"),
        ("spring-jcl", "org.springframework"),
        ("spring-jdbc", "org.springframework"),
        ("spring-tx", "org.springframework"),
        ("spring-orm", "org.springframework"),
        ("spring-messaging", "org.springframework"),
        ("reactor-core", "io.projectreactor"),
        ("reactor-netty-core", "io.projectreactor.netty"),
        ("reactor-netty-http", "io.projectreactor.netty"),
        ("reactive-streams", "org.reactivestreams"),
        ("hibernate-core", "org.hibernate.orm"),
        ("hibernate-validator", "org.hibernate.validator"),
        ("okhttp", "com.squareup.okhttp3"),
        ("okio", "com.squareup.okio"),
        ("bcprov-jdk18on", "org.bouncycastle"),
        ("bcprov-jdk15on", "org.bouncycastle"),
        ("bcpkix-jdk18on", "org.bouncycastle"),
        ("mssql-jdbc", "com.microsoft.sqlserver"),
        ("groovy", "org.apache.groovy"),
        ("elasticsearch", "org.elasticsearch"),
        ("mockito-core", "org.mockito"),
        ("lombok", "org.projectlombok"),
        ("h2", "com.h2database"),
        ("log4j", "log4j"),
        ("ant", "org.apache.ant"),
    ];
    EXACT
        .iter()
        .find(|(name, _)| *name == artifact)
        .or_else(|| PREFIXES.iter().find(|(prefix, _)| artifact.starts_with(prefix)))
        .map(|(_, group)| *group)
}

/// `artifact-1.2.3-classifier.jar` → (`artifact`, `1.2.3-classifier`).
fn split_file_name(name: &str) -> (&str, Option<&str>) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let cut = stem.char_indices().find(|(at, c)| {
        *c == '-' && stem.get(at + 1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    match cut {
        Some((at, _)) => (stem.get(..at).unwrap_or(stem), stem.get(at + 1..)),
        None => (stem, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};
    use crate::zip::build::zip;

    const POM: &[u8] = b"#Generated\nversion=2.14.1\ngroupId=org.apache.logging.log4j\nartifactId=log4j-core\n";
    const POM_PATH: &str = "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties";

    #[test]
    fn maven_properties_win() {
        let jar = zip(&[("META-INF/MANIFEST.MF", b"Implementation-Version: 9\n"), (POM_PATH, POM)]);
        assert_eq!(
            packages(&read(&JavaArchive, "app/log4j-core-2.14.1.jar", &jar)),
            ["org.apache.logging.log4j:log4j-core 2.14.1"]
        );
    }

    #[test]
    fn manifests_and_file_names() {
        for (path, manifest, want) in [
            (
                "spring-core-5.3.1.jar",
                "Implementation-Title: spring-core\nImplementation-Version: 5.3.1\n",
                "org.springframework:spring-core 5.3.1",
            ),
            (
                "x.jar",
                "Bundle-SymbolicName: com.google.gua\n va;singleton:=true\nBundle-Version: 31.1\n",
                "com.google.guava:x 31.1",
            ),
            ("slf4j-api-1.7.36.jar", "Bundle-SymbolicName: org.slf4j.api\n", "org.slf4j:slf4j-api 1.7.36"),
            ("foo-1.0.jar", "", "foo 1.0"),
        ] {
            let jar = zip(&[("META-INF/MANIFEST.MF", manifest.as_bytes())]);
            assert_eq!(packages(&read(&JavaArchive, path, &jar)), [want], "{path}");
        }
        assert!(packages(&read(&JavaArchive, "rt.jar", &zip(&[("a", b"")]))).is_empty());
    }

    #[test]
    fn nested_archives_have_their_place() {
        let inner = zip(&[(POM_PATH, POM)]);
        let war = zip(&[
            ("WEB-INF/lib/log4j-core-2.14.1.jar", &inner),
            ("META-INF/MANIFEST.MF", b"Implementation-Title: app\nImplementation-Version: 1.0\n"),
        ]);
        let facts = read(&JavaArchive, "srv/app.war", &war);
        assert_eq!(packages(&facts), ["org.apache.logging.log4j:log4j-core 2.14.1", "app 1.0"]);
        assert_eq!(facts.packages[0].path, "srv/app.war!/WEB-INF/lib/log4j-core-2.14.1.jar");
    }

    #[test]
    fn a_hundred_levels_end_in_unknown() {
        let mut jar = zip(&[(POM_PATH, POM)]);
        for _ in 0..100 {
            jar = zip(&[("a.jar", &jar)]);
        }
        let facts = read(&JavaArchive, "a.jar", &jar);
        assert!(facts.packages.is_empty());
        assert!(facts.unknown[0].why.contains("archives within archives"));
    }

    #[test]
    fn bombs_and_damage_are_told() {
        let bomb = zip(&[("lib/x.jar", &vec![0; 4 << 20])]);
        let limits = crate::Limits { inflated_bytes: 1 << 20, ..Default::default() };
        let mut scratch = Vec::new();
        let mut view = FileView::new("a.jar", &bomb, &mut scratch);
        let facts = crate::analyzer::run(&JavaArchive, &mut view, &limits).unwrap();
        assert!(facts.unknown[0].path.ends_with("a.jar!/lib/x.jar"));
        assert_eq!(read(&JavaArchive, "a.jar", b"not a zip").unknown.len(), 1);
        let mut jar = zip(&[(POM_PATH, POM)]);
        let at = memchr::memmem::find(&jar, b"PK\x01\x02").unwrap();
        jar[at + 8] |= 1;
        assert!(read(&JavaArchive, "a.jar", &jar).unknown[0].why.contains("encrypted"));
    }
}
