//! Go's `go.mod`: what a module requires, with replacements and the toolchain (Go Modules Reference).

use std::collections::HashMap;

use crate::analyzer::{Analyzer, Hook};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads `go.mod`.
pub struct GoMod;

impl Analyzer for GoMod {
    fn name(&self) -> &'static str {
        "go-mod"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("go.mod")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        // The module cache and vendored copies hold the go.mod of every dependency.
        !(path.windows(9).any(|w| w == b"/pkg/mod/")
            || path.windows(8).any(|w| w == b"/vendor/")
            || path.starts_with(b"vendor/"))
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let mut required: Vec<(String, String)> = Vec::new();
        let mut replaced: HashMap<String, (String, String)> = HashMap::new();
        let mut toolchain: Option<String> = None;
        let text = file.text()?;
        let mut block = String::new();
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or_default().trim();
            let (verb, rest) = if block.is_empty() {
                line.split_once(char::is_whitespace).unwrap_or((line, ""))
            } else {
                (block.as_str(), line)
            };
            if line == ")" {
                block.clear();
                continue;
            }
            if rest.trim() == "(" {
                block = verb.to_owned();
                continue;
            }
            let words: Vec<&str> = rest.split_whitespace().map(|w| w.trim_matches(['"', '`'])).collect();
            match (verb, words.as_slice()) {
                ("require", [path, version]) => required.push(((*path).to_owned(), (*version).to_owned())),
                ("replace", [old, "=>", new, version] | [old, _, "=>", new, version]) => {
                    replaced.insert((*old).to_owned(), ((*new).to_owned(), (*version).to_owned()));
                }
                ("replace", [old, "=>", _] | [old, _, "=>", _]) => {
                    replaced.insert((*old).to_owned(), (String::new(), String::new()));
                }
                ("toolchain", [version]) => toolchain = version.strip_prefix("go").map(str::to_owned),
                _ => {}
            }
        }
        for (path, version) in required {
            match replaced.get(&path) {
                // By a directory: the code is in the tree itself.
                Some((new, _)) if new.is_empty() => {}
                Some((new, version)) => out.package(module(new, version)),
                None => out.package(module(&path, &version)),
            }
        }
        if let Some(version) = toolchain {
            out.package(module("stdlib", &version));
        }
        Ok(())
    }
}

fn module(path: &str, version: &str) -> Package {
    let mut package = Package::new(PackageKind::Golang, path, version);
    package.evidence = Evidence::Lock;
    package
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn blocks_replacements_toolchain() {
        let text = b"module example.com/app\n\ngo 1.22\ntoolchain go1.22.3\n\nrequire golang.org/x/net v0.1.0\nrequire (\n\tgithub.com/a/b v1.2.3 // indirect\n\tgithub.com/c/d v1.0.0\n\tlocal/e v0.0.0\n)\nreplace github.com/c/d => github.com/fork/d v1.0.1\nreplace local/e v0.0.0 => ./e\nexclude x v1.0.0\n";
        let facts = read(&GoMod, "go.mod", text);
        assert_eq!(
            packages(&facts),
            ["golang.org/x/net v0.1.0", "github.com/a/b v1.2.3", "github.com/fork/d v1.0.1", "stdlib 1.22.3"]
        );
        assert!(!GoMod.wants(b"root/go/pkg/mod/x@v1/go.mod"));
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = read(&GoMod, "go.mod", text.as_bytes()); }
    }
}
