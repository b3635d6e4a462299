//! dpkg's database after the cut: packages of which nothing is left are gone, the others are listed in `status.d`, as in
//! images that never had a dpkg, so that a scanner sees what is there and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use stockade_image::files::{FileKind, Files, follow};

use crate::error::MinimizeError;

const STATUS: &str = "var/lib/dpkg/status";
const STATUS_DIR: &str = "var/lib/dpkg/status.d";
const INFO: &str = "var/lib/dpkg/info";
/// Directories that merged systems have as links into `/usr`.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// A package of the image.
struct Package {
    name: String,
    stanza: String,
    sums: String,
    /// Its files that the image has.
    paths: Vec<PathBuf>,
}

/// All packages of an image.
pub struct Packages(Vec<Package>);

/// What remains of the database.
pub struct Remaining {
    entries: Vec<(String, String, String)>,
    /// Names of packages of which nothing is left.
    pub removed: Vec<String>,
}

impl Packages {
    /// Reads both forms of the database; none of an image that has neither.
    pub fn read(files: &Files) -> Result<Packages, MinimizeError> {
        let mut packages = Vec::new();
        if let Some(status) = read(files, Path::new(STATUS))? {
            for stanza in status.split("\n\n").map(str::trim).filter(|s| !s.is_empty()) {
                let Some(name) = field(stanza, "Package") else { continue };
                if field(stanza, "Status").is_some_and(|s| !s.ends_with(" installed")) {
                    continue;
                }
                let architecture = field(stanza, "Architecture").unwrap_or_default();
                let info = |suffix: &str| -> Result<String, MinimizeError> {
                    for base in [format!("{name}:{architecture}"), name.to_owned()] {
                        if let Some(text) = read(files, &Path::new(INFO).join(format!("{base}.{suffix}")))? {
                            return Ok(text);
                        }
                    }
                    Ok(String::new())
                };
                let (list, sums) = (info("list")?, info("md5sums")?);
                let paths = list.lines().filter_map(|line| existing(files, line)).collect();
                packages.push(Package { name: name.to_owned(), stanza: stanza.to_owned(), sums, paths });
            }
        }
        let entries: Vec<PathBuf> =
            files.keys().filter(|p| p.parent() == Some(Path::new(STATUS_DIR))).cloned().collect();
        for path in entries.iter().filter(|p| p.extension().is_none_or(|e| e != "md5sums")) {
            let Some(stanza) = read(files, path)? else { continue };
            let Some(name) = field(&stanza, "Package").map(str::to_owned) else { continue };
            let sums = read(files, &PathBuf::from(format!("{}.md5sums", path.display())))?.unwrap_or_default();
            let lines = sums.lines().filter_map(|line| line.split_once("  ").map(|(_, path)| path));
            let paths = lines.filter_map(|line| existing(files, line)).collect();
            packages.push(Package { name, stanza: stanza.trim().to_owned(), sums, paths });
        }
        Ok(Packages(packages))
    }

    /// Tells which packages remain, adds their licences to `kept`, and takes the old database away.
    pub fn keep(self, kept: &mut BTreeSet<PathBuf>) -> Remaining {
        let mut remaining = Remaining { entries: Vec::new(), removed: Vec::new() };
        let is_document = |path: &Path| path.starts_with("usr/share/doc") || path.starts_with("usr/share/lintian");
        for package in self.0 {
            let here = package.paths.iter().any(|path| kept.contains(path) && !is_document(path));
            if !here {
                remaining.removed.push(package.name);
                continue;
            }
            let licence = PathBuf::from(format!("usr/share/doc/{}/copyright", package.name));
            if package.paths.contains(&licence) {
                kept.extend(licence.ancestors().filter(|p| !p.as_os_str().is_empty()).map(Path::to_owned));
            }
            let of_kept = |line: &&str| {
                line.split_once("  ").is_some_and(|(_, path)| {
                    package.paths.iter().any(|p| kept.contains(p) && same_place(p, Path::new(path)))
                })
            };
            let sums: String = package.sums.lines().filter(of_kept).map(|line| format!("{line}\n")).collect();
            remaining.entries.push((package.name, format!("{}\n", package.stanza), sums));
        }
        kept.retain(|path| !path.starts_with("var/lib/dpkg") && !path.starts_with("var/lib/apt"));
        remaining
    }
}

impl Remaining {
    /// Writes the entries into a root.
    pub fn write(&self, root: &Path) -> Result<(), MinimizeError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let dir = root.join(STATUS_DIR);
        fs::create_dir_all(&dir).map_err(MinimizeError::on("create", &dir))?;
        for (name, stanza, sums) in &self.entries {
            for (file, text) in [(dir.join(name), stanza), (dir.join(format!("{name}.md5sums")), sums)] {
                fs::write(&file, text).map_err(MinimizeError::on("write", &file))?;
            }
        }
        Ok(())
    }
}

fn read(files: &Files, path: &Path) -> Result<Option<String>, MinimizeError> {
    let Some(file) = files.get(path).filter(|file| file.kind == FileKind::File) else { return Ok(None) };
    let bytes = fs::read(&file.source).map_err(MinimizeError::on("read", &file.source))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn field<'t>(stanza: &'t str, name: &str) -> Option<&'t str> {
    stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The file that a line of a package's list means, where the image has it; directories, and links to them such as
/// `/bin`, are everybody's.
fn existing(files: &Files, line: &str) -> Option<PathBuf> {
    let path = Path::new(line.trim_start_matches('/'));
    let places = [path.to_owned(), Path::new("usr").join(path)];
    let is_directory = |path: &Path| files.get(path).is_some_and(|file| file.kind == FileKind::Directory);
    let leads_to_one = |path: &Path| follow(files, path).is_some_and(|(target, _)| is_directory(&target));
    places.into_iter().find(|p| match files.get(p).map(|file| file.kind) {
        Some(FileKind::Link) => !leads_to_one(p),
        Some(kind) => kind != FileKind::Directory,
        None => false,
    })
}

/// Whether two paths are the same on a system whose `/bin` is `/usr/bin`.
fn same_place(a: &Path, b: &Path) -> bool {
    let plain = |path: &Path| match path.strip_prefix("usr") {
        Ok(rest) if MERGED.iter().any(|dir| rest.starts_with(dir)) => rest.to_owned(),
        _ => path.to_owned(),
    };
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_image::files::files_of;

    #[test]
    fn a_package_stays_with_its_last_file_and_a_directory_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in ["usr/bin", "var/lib/dpkg/info", "usr/share/doc/used"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        std::os::unix::fs::symlink("usr/bin", at("bin")).unwrap();
        for path in ["usr/bin/used", "usr/bin/other", "usr/share/doc/used/copyright"] {
            fs::write(at(path), "").unwrap();
        }
        let stanza = |name: &str| format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\n\n");
        fs::write(at(STATUS), ["used", "other", "meta"].map(stanza).concat()).unwrap();
        fs::write(at("var/lib/dpkg/info/used.list"), "/.\n/bin\n/bin/used\n/usr/share/doc/used/copyright\n").unwrap();
        fs::write(at("var/lib/dpkg/info/used.md5sums"), "00  bin/used\n11  usr/share/gone\n").unwrap();
        fs::write(at("var/lib/dpkg/info/other.list"), "/bin\n/bin/other\n").unwrap();
        let files = files_of(&[dir.path().to_owned()]).unwrap();
        let mut kept: BTreeSet<PathBuf> = ["bin", "usr", "usr/bin", "usr/bin/used", STATUS].map(PathBuf::from).into();
        let remaining = Packages::read(&files).unwrap().keep(&mut kept);
        assert_eq!(remaining.removed, ["other", "meta"]);
        assert_eq!(remaining.entries.len(), 1);
        assert_eq!(remaining.entries[0].2, "00  bin/used\n");
        assert!(kept.contains(Path::new("usr/share/doc/used/copyright")) && !kept.contains(Path::new(STATUS)));
    }
}
