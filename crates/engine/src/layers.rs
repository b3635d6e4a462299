//! Looks into overlay layers that are not mounted.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What the union of `layers` (topmost first) has at `path`; links are not followed. `None` when there is nothing, or a
/// layer took it away.
pub(crate) fn lookup(layers: &[PathBuf], path: &str) -> Option<Metadata> {
    layers.iter().find_map(|layer| look_in(layer, path)).flatten()
}

/// `Some(None)`: this layer says that there is nothing. `None`: it says nothing, ask the next one.
fn look_in(layer: &Path, path: &str) -> Option<Option<Metadata>> {
    let mut at = layer.to_owned();
    let mut meta = fs::symlink_metadata(&at).ok()?;
    let mut opaque = false;
    for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if !meta.is_dir() {
            // A file or link hides the directory that lower layers may have.
            return Some(None);
        }
        opaque |= is_opaque(&at);
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(next) if is_whiteout(&next) => return Some(None),
            Ok(next) => meta = next,
            Err(_) if opaque => return Some(None),
            Err(_) => return None,
        }
    }
    Some(Some(meta))
}

/// Overlay's mark of a removed file: a character device 0, 0.
pub(crate) fn is_whiteout(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

/// Overlay's mark of a directory that hides the ones below it.
pub(crate) fn is_opaque(dir: &Path) -> bool {
    let mut value = [0u8; 1];
    let marked = |name: &str, value: &mut [u8; 1]| {
        matches!(rustix::fs::lgetxattr(dir, name, value.as_mut_slice()), Ok(1)) && matches!(value, [b'y' | b'x'])
    };
    marked("trusted.overlay.opaque", &mut value) || marked("user.overlay.opaque", &mut value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_layers_hide_lower_ones() {
        let dir = tempfile::tempdir().unwrap();
        let (top, low) = (dir.path().join("top"), dir.path().join("low"));
        fs::create_dir_all(top.join("etc")).unwrap();
        fs::create_dir_all(low.join("etc/sub")).unwrap();
        fs::write(low.join("etc/hosts"), b"x").unwrap();
        fs::write(low.join("bin"), b"x").unwrap();
        fs::create_dir(top.join("bin")).unwrap();
        let layers = [top.clone(), low];
        assert!(lookup(&layers, "/etc/hosts").unwrap().is_file());
        assert!(lookup(&layers, "/bin").unwrap().is_dir());
        assert!(lookup(&layers, "/etc/none").is_none());
        // A file in place of the directory.
        fs::write(top.join("etc/sub"), b"x").unwrap();
        assert!(lookup(&layers, "/etc/sub/deep").is_none());
        assert!(lookup(&layers, "/").unwrap().is_dir());
    }
}
