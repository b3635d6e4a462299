//! The second step of a scan: possible binaries that no package of the distribution owns.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FileType, fstat};

use crate::analyzer::{Matcher, run, unreadable};
use crate::candidates::is_shared_object;
use crate::facts::FileFacts;
use crate::fileview::{FileView, ReadAt, SizedFile, Timed};
use crate::options::Options;
use crate::pathhash::{self, HashSet64};
use crate::root::Root;

const ELF_MAGIC: &[u8] = b"\x7fELF";
/// Candidates that a thread takes at a time.
const BATCH: usize = 32;

/// Whether a file's kind and mode make it worth a look, before it is opened.
pub fn promising(mode: u32, size: u64, name: &[u8]) -> bool {
    size >= 64 && (mode & 0o111 != 0 || is_shared_object(name))
}

/// Whether the contents start like a program.
pub fn is_elf(source: &dyn ReadAt) -> bool {
    let mut head = [0u8; 4];
    source.read_exact_at(0, &mut head).is_ok() && head == ELF_MAGIC
}

/// Looks into the candidates (paths ended by zero bytes) and returns what was found.
pub fn inspect(
    root: &Root,
    candidates: &[u8],
    owned: &HashSet64,
    matcher: &Matcher,
    options: &Options,
) -> Vec<FileFacts> {
    let paths: Vec<&[u8]> = candidates
        .split(|b| *b == 0)
        .filter(|path| !path.is_empty() && !owned.contains(&pathhash::owner(path)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut facts = Vec::new();
        let mut scratch = Vec::new();
        loop {
            let start = next.fetch_add(BATCH, Ordering::Relaxed);
            let end = start.saturating_add(BATCH).min(paths.len());
            let Some(batch) = paths.get(start..end).filter(|batch| !batch.is_empty()) else { return facts };
            for path in batch {
                one(root, path, matcher, options, &mut scratch, &mut facts);
            }
        }
    };
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let extra = crate::walk::threads(options).min(paths.len().div_ceil(BATCH)).saturating_sub(1);
        let helpers: Vec<_> = (0..extra).map(|_| scope.spawn(work)).collect();
        all = work();
        for helper in helpers {
            match helper.join() {
                Ok(mut part) => all.append(&mut part),
                Err(_) => all.push(unreadable("", &"a scanning thread failed; binaries are missing")),
            }
        }
    });
    all
}

fn one(
    root: &Root,
    path: &[u8],
    matcher: &Matcher,
    options: &Options,
    scratch: &mut Vec<u8>,
    facts: &mut Vec<FileFacts>,
) {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    // A look at the mode before opening: most candidates are plain data files.
    let Ok(stat) = rustix::fs::statat(root.fd(), path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else { return };
    if !promising(stat.st_mode, u64::try_from(stat.st_size).unwrap_or(0), name) {
        return;
    }
    let shown = String::from_utf8_lossy(path);
    let file = match root.file(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return facts.push(unreadable(&shown, &error)),
    };
    let Ok(stat) = fstat(&file) else { return };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return;
    }
    let source = SizedFile::new(&file, u64::try_from(stat.st_size).unwrap_or(0));
    if is_elf(&source) {
        let timed = Timed::new(&source, options.limits.file_time);
        let mut view = FileView::new(&shown, &timed, scratch);
        analyze(&mut view, matcher, options, facts);
    }
}

/// Runs the analysers of binaries on a file that is known to be one.
pub fn analyze(view: &mut FileView<'_>, matcher: &Matcher, options: &Options, facts: &mut Vec<FileFacts>) {
    for &index in matcher.binary() {
        if let Some(analyzer) = matcher.get(index).filter(|a| a.wants(view.path.as_bytes())) {
            facts.extend(run(analyzer, view, &options.limits));
        }
    }
}
