//! What a word on the command line names: an image of the store, or a path, with or without a prefix that says which.

use std::path::{Path, PathBuf};

use stockade_image::{Platform, Store};
use stockade_registry::parse_platform;

use crate::context::Context;
use crate::failure::Failure;
use crate::transfer::RegistryArgs;

/// A target of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An image of the store.
    Image(String),
    /// An image in an archive (docker's or OCI's) or an OCI layout directory.
    Archive(PathBuf),
    /// An image of a Docker daemon.
    Docker(String),
    /// An image at a registry, which is not pulled.
    Registry(Remote),
    /// A container: its image's files and what it changed.
    Container(String),
    /// A bill of materials: CycloneDX or SPDX.
    Sbom(PathBuf),
    /// One file: a jar, a binary, a lock file.
    File(PathBuf),
    /// A root directory.
    Root(PathBuf),
    /// A source tree: lock files.
    Source(PathBuf),
}

/// An image at a registry, and how to ask for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// Its name, as registries know it.
    pub name: String,
    /// How to speak with the registry.
    pub registry: RegistryArgs,
    /// The machine that the image is for; `None` means this one.
    pub platform: Option<Platform>,
}

/// What verbs that take targets also take, for those at a registry.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RemoteArgs {
    #[command(flatten)]
    registry: RegistryArgs,
    /// Look at the image for this platform, of a `registry:` target
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
}

impl RemoteArgs {
    /// Refuses a platform where no target has a choice.
    pub fn check(&self, targets: &[&Target]) -> Result<(), Failure> {
        if self.platform.is_none() || targets.iter().any(|target| matches!(target, Target::Registry(_))) {
            return Ok(());
        }
        Err(Failure::usage("--platform chooses among the images behind a name at a registry: say `registry:NAME`"))
    }
}

impl Target {
    /// Tells a target at a registry how it is reached.
    /// # Errors
    /// For a platform that cannot be read.
    pub fn reached(self, args: &RemoteArgs) -> Result<Target, Failure> {
        let Target::Registry(remote) = self else { return Ok(self) };
        let platform = args.platform.as_deref().map(parse_platform).transpose().map_err(Failure::usage)?;
        Ok(Target::Registry(Remote { registry: args.registry.clone(), platform, ..remote }))
    }

    /// Reads a target: a prefix decides; without one an image of the store wins over a path of the same name.
    pub fn parse(context: &Context, text: &str) -> Target {
        if let Some(target) = prefixed(text) {
            return target;
        }
        let path = Path::new(text);
        if !path.exists() || is_image(context, text) {
            return Target::Image(text.to_owned());
        }
        by_content(path)
    }
}

fn is_image(context: &Context, name: &str) -> bool {
    Store::open(&context.settings.dirs.root).and_then(|s| s.resolve(name)).is_ok_and(|i| i.is_some())
}

fn prefixed(text: &str) -> Option<Target> {
    if text == "-" {
        return Some(Target::Archive(text.into()));
    }
    let (prefix, rest) = text.split_once(':')?;
    Some(match prefix {
        "image" => Target::Image(rest.to_owned()),
        "docker" => Target::Docker(rest.to_owned()),
        "registry" => Target::Registry(Remote { name: rest.to_owned(), ..Remote::default() }),
        "container" => Target::Container(rest.to_owned()),
        "dir" | "rootfs" => Target::Root(rest.into()),
        "fs" => Target::Source(rest.into()),
        "sbom" => Target::Sbom(rest.into()),
        "file" => Target::File(rest.into()),
        "docker-archive" | "oci" | "oci-archive" | "oci-dir" => Target::Archive(rest.into()),
        _ => return None,
    })
}

/// Tells a root directory from a source tree by what every root has, and a layout and an archive from both.
fn by_content(path: &Path) -> Target {
    if path.is_file() {
        return file_by_content(path);
    }
    if path.join("oci-layout").is_file() {
        return Target::Archive(path.to_owned());
    }
    let has = |name: &str| path.join(name).symlink_metadata().is_ok();
    let root =
        ["etc/os-release", "usr/lib/os-release", "var/lib/dpkg", "lib/apk/db", "var/lib/rpm", "usr/lib/sysimage/rpm"];
    if root.into_iter().any(has) { Target::Root(path.to_owned()) } else { Target::Source(path.to_owned()) }
}

/// Tells archives and bills of materials from other files by how they begin.
fn file_by_content(path: &Path) -> Target {
    use std::io::Read as _;
    let mut head = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // A file that cannot be read fails later, with its name.
        let _ = file.take(4096).read_to_end(&mut head);
    }
    let tar = head.get(257..262) == Some(b"ustar");
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let packed_tar = [".tar", ".tar.gz", ".tgz", ".tar.zst"].into_iter().any(|end| name.ends_with(end));
    let text = String::from_utf8_lossy(&head);
    let marks = ["\"bomFormat\"", "\"spdxVersion\"", "SPDXVersion:", "spdx.org", "cyclonedx.org/schema/bom"];
    if tar || packed_tar {
        Target::Archive(path.to_owned())
    } else if marks.into_iter().any(|mark| text.contains(mark)) {
        Target::Sbom(path.to_owned())
    } else {
        Target::File(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_decide() {
        assert_eq!(prefixed("dir:/x"), Some(Target::Root("/x".into())));
        assert_eq!(prefixed("docker-archive:a.tar"), Some(Target::Archive("a.tar".into())));
        assert_eq!(prefixed("fs:."), Some(Target::Source(".".into())));
        assert_eq!(prefixed("image:dir:latest"), Some(Target::Image("dir:latest".into())));
        assert_eq!(prefixed("debian:bookworm"), None);
        assert_eq!(prefixed("debian"), None);
        assert_eq!(prefixed("docker:debian:12"), Some(Target::Docker("debian:12".into())));
        assert_eq!(prefixed("-"), Some(Target::Archive("-".into())), "as `docker save | stockade scan -`");
        assert_eq!(
            prefixed("registry:host:5000/a"),
            Some(Target::Registry(Remote { name: "host:5000/a".into(), ..Remote::default() }))
        );
        assert_eq!(prefixed("container:web"), Some(Target::Container("web".into())));
    }

    #[test]
    fn a_root_is_told_from_a_source_tree() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(by_content(dir.path()), Target::Source(dir.path().to_owned()));
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            (by_content(&path), path)
        };
        let (target, path) = file("a.json", "{\"bomFormat\": \"CycloneDX\"}");
        assert_eq!(target, Target::Sbom(path));
        let (target, path) = file("a.tar", "");
        assert_eq!(target, Target::Archive(path));
        let (target, path) = file("a.jar", "PK");
        assert_eq!(target, Target::File(path));
        std::fs::create_dir_all(dir.path().join("var/lib/dpkg")).unwrap();
        assert_eq!(by_content(dir.path()), Target::Root(dir.path().to_owned()));
    }
}
