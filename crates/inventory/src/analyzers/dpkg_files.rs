//! dpkg's file lists: which paths belong to packages (`/var/lib/dpkg/info/NAME.list` and `NAME:ARCH.list`).

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::FileView;

/// Reads file lists.
pub struct DpkgFiles;

impl Analyzer for DpkgFiles {
    fn name(&self) -> &'static str {
        "dpkg-files"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Dir("var/lib/dpkg/info")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.ends_with(b".list")
    }

    fn size(&self) -> Size {
        Size::Text
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let name = file.name().trim_end_matches(".list").split(':').next().unwrap_or_default().to_owned();
        let text = file.all()?;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', text) {
            if let Some(line) = text.get(start..end).filter(|line| line.len() > 1) {
                out.owned(line);
            }
            start = end + 1;
        }
        out.note(Note::FilesOf(name));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::read;

    #[test]
    fn paths_are_hashed_and_the_package_named() {
        let facts =
            read(&DpkgFiles, "var/lib/dpkg/info/libc6:amd64.list", b"/.\n/lib\n/usr/lib/x86_64-linux-gnu/libc.so.6\n");
        assert_eq!(facts.owned.len(), 3);
        assert!(facts.owned.contains(&crate::pathhash::owner(b"lib/x86_64-linux-gnu/libc.so.6")));
        assert_eq!(facts.notes, [Note::FilesOf("libc6".into())]);
    }
}
