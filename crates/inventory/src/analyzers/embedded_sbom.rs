//! SBOMs that vendors put into images for what no package manager knows: Bitnami's `.spdx-NAME.spdx`.

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::sbom::read_sbom;

/// Reads embedded SBOMs.
pub struct EmbeddedSbom;

impl Analyzer for EmbeddedSbom {
    fn name(&self) -> &'static str {
        "embedded-sbom"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Ext("spdx")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        path.starts_with(b"opt/bitnami/") && name.starts_with(b".spdx-")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let inventory = read_sbom(file.all()?, "").map_err(|e| Trouble(e.to_string()))?;
        for mut package in inventory.packages {
            package.path.clear();
            package.layer = None;
            out.package(package);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{packages, read};

    #[test]
    fn bitnami() {
        let path = "opt/bitnami/redis/.spdx-redis.spdx";
        assert!(EmbeddedSbom.wants(path.as_bytes()) && !EmbeddedSbom.wants(b"app/x.spdx"));
        let text = br#"{"spdxVersion":"SPDX-2.3","packages":[{"name":"redis","versionInfo":"7.2.4","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:bitnami/redis@7.2.4-1?arch=amd64&distro=debian-12"}]}]}"#;
        assert_eq!(packages(&read(&EmbeddedSbom, path, text)), ["redis 7.2.4-1"]);
    }
}
