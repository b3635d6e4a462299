//! Walks a directory tree once, in parallel, and hands each wanted file to its analysers.
//!
//! The hot path allocates nothing per file: names come straight from the kernel's buffer, the path is built in one
//! reused buffer, and the question "who wants this?" is a look-up.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, RawDir, fstat, statat};
use rustix::io::Errno;

use crate::analyzer::{Matcher, run, unreadable};
use crate::candidates::may_be_binary;
use crate::extras::{self, Seen};
use crate::facts::{FileFacts, Note};
use crate::fileview::{FileView, SizedFile, Timed};
use crate::model::Unknown;
use crate::options::Options;
use crate::pathhash;
use crate::root::{Root, open_entry};
use crate::secrets::MAX_FILE_BYTES;

/// Bytes for directory entries at a time: about 800 names, which is one call for nearly every directory.
const DIRENT_BUFFER_BYTES: usize = 32 << 10;
/// Reports about directories that could not be read, kept for one scan.
const MAX_UNREADABLE: usize = 1000;

/// How the tree is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// A root directory, as a process would see it.
    Root,
    /// One unpacked layer: overlayfs whiteouts and opaque marks count, and every entry is remembered as one that may
    /// hide something below.
    Layer,
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Walked {
    /// Results of the analysers, in no order.
    pub facts: Vec<FileFacts>,
    /// Paths of possible binaries, each ended by a zero byte.
    pub candidates: Vec<u8>,
    /// For layers: hashes of files, links and other entries that are no directories.
    pub files: Vec<u64>,
    /// For layers: hashes of directories.
    pub dirs: Vec<u64>,
    /// For layers: hashes of paths that the layer deletes.
    pub whiteouts: Vec<u64>,
    /// For layers: hashes of directories whose lower contents it hides.
    pub opaque: Vec<u64>,
    /// Entries seen.
    pub entries: u64,
    /// Directories that could not be read, and bounds that were hit.
    pub unknown: Vec<Unknown>,
}

impl Walked {
    fn append(&mut self, mut other: Self) {
        self.facts.append(&mut other.facts);
        self.candidates.append(&mut other.candidates);
        self.files.append(&mut other.files);
        self.dirs.append(&mut other.dirs);
        self.whiteouts.append(&mut other.whiteouts);
        self.opaque.append(&mut other.opaque);
        self.entries += other.entries;
        self.unknown.append(&mut other.unknown);
    }
}

/// Directories still to be read, shared by the workers.
struct Queue {
    state: Mutex<QueueState>,
    wake: Condvar,
}

struct QueueState {
    dirs: Vec<Vec<u8>>,
    busy: usize,
    waiting: usize,
}

impl Queue {
    /// The next directory; `None` when all are done. `finished` says that the caller has ended one.
    fn next(&self, finished: bool) -> Option<Vec<u8>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if finished {
            state.busy -= 1;
        }
        loop {
            if let Some(dir) = state.dirs.pop() {
                state.busy += 1;
                return Some(dir);
            }
            if state.busy == 0 {
                self.wake.notify_all();
                return None;
            }
            state.waiting += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    fn add(&self, dirs: &mut Vec<Vec<u8>>) {
        if dirs.is_empty() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.dirs.append(dirs);
        if state.waiting > 0 {
            self.wake.notify_all();
        }
    }
}

struct Shared<'a> {
    root: &'a Root,
    matcher: &'a Matcher,
    options: &'a Options,
    flavor: Flavor,
    device: u64,
    extras: bool,
    queue: Queue,
    entries: AtomicU64,
    full: AtomicBool,
}

/// Threads for a scan.
pub fn threads(options: &Options) -> usize {
    match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(8),
        given => given,
    }
}

/// Walks the tree below `root`.
pub fn walk(root: &Root, matcher: &Matcher, options: &Options, flavor: Flavor) -> Walked {
    let shared = Shared {
        root,
        matcher,
        options,
        flavor,
        extras: extras::looks(extras::features(options)),
        device: fstat(root.fd()).map_or(0, |stat| stat.st_dev),
        queue: Queue {
            state: Mutex::new(QueueState { dirs: vec![Vec::new()], busy: 0, waiting: 0 }),
            wake: Condvar::new(),
        },
        entries: AtomicU64::new(0),
        full: AtomicBool::new(false),
    };
    let mut all = Walked::default();
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads(options)).map(|_| scope.spawn(|| Worker::new(&shared).work())).collect();
        all = Worker::new(&shared).work();
        for helper in helpers {
            match helper.join() {
                Ok(part) => all.append(part),
                Err(_) => {
                    all.unknown.push(Unknown::new("directory", "", "a scanning thread failed; its part is missing"))
                }
            }
        }
    });
    if shared.full.load(Ordering::Relaxed) {
        let why = format!("more than {} entries; the rest was not read", options.limits.entries);
        all.unknown.push(Unknown::new("limit", "", why));
    }
    all
}

struct Worker<'a> {
    shared: &'a Shared<'a>,
    out: Walked,
    path: Vec<u8>,
    found: Vec<u16>,
    scratch: Vec<u8>,
    subdirs: Vec<Vec<u8>>,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        Self {
            shared,
            out: Walked::default(),
            path: Vec::with_capacity(512),
            found: Vec::new(),
            scratch: Vec::new(),
            subdirs: Vec::new(),
        }
    }

    fn work(mut self) -> Walked {
        let mut buffer = Vec::with_capacity(DIRENT_BUFFER_BYTES);
        let mut next = self.shared.queue.next(false);
        while let Some(dir) = next {
            if !self.shared.full.load(Ordering::Relaxed) {
                self.directory(dir, buffer.spare_capacity_mut());
            }
            self.shared.queue.add(&mut self.subdirs);
            next = self.shared.queue.next(true);
        }
        self.out
    }

    fn directory(&mut self, dir: Vec<u8>, buffer: &mut [MaybeUninit<u8>]) {
        let fd = match self.shared.root.dir(&dir) {
            Ok(fd) => fd,
            Err(error) => return self.unreadable_directory(&dir, error),
        };
        if self.is_pseudo(&fd) {
            return;
        }
        if self.shared.flavor == Flavor::Layer && is_opaque(&fd) {
            self.out.opaque.push(pathhash::path(&dir));
        }
        self.path = dir;
        if self.shared.options.checks
            && let Ok(stat) = fstat(&fd)
        {
            let seen = Seen { path: &self.path, mode: stat.st_mode & 0o7777, size: 0, is_dir: true };
            self.out.facts.extend(extras::look(&seen, None, self.shared.options));
        }
        let base = self.path.len();
        let mut count = 0u64;
        let mut raw = RawDir::new(&fd, buffer);
        while let Some(entry) = raw.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.path.truncate(base);
                    let dir = self.path.clone();
                    self.unreadable_directory(&dir, error);
                    break;
                }
            };
            let name = entry.file_name();
            let bytes = name.to_bytes();
            if matches!(bytes, b"." | b"..") {
                continue;
            }
            count += 1;
            self.path.truncate(base);
            if base > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(bytes);
            self.entry(fd.as_fd(), name, entry.file_type());
        }
        self.out.entries += count;
        if self.shared.entries.fetch_add(count, Ordering::Relaxed) + count > self.shared.options.limits.entries {
            self.shared.full.store(true, Ordering::Relaxed);
        }
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &std::ffi::CStr, mut kind: FileType) {
        if kind == FileType::Unknown {
            match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => kind = FileType::from_raw_mode(stat.st_mode),
                Err(_) => return,
            }
        }
        let layer = self.shared.flavor == Flavor::Layer;
        if kind == FileType::Directory {
            self.subdirectory(layer);
            return;
        }
        if layer {
            let hash = pathhash::path(&self.path);
            if kind == FileType::CharacterDevice
                && statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_rdev == 0)
            {
                self.out.whiteouts.push(hash);
                return;
            }
            self.out.files.push(hash);
        }
        match kind {
            FileType::RegularFile => self.file(dir, name),
            FileType::Symlink if name.to_bytes() == b"os-release" => self.release_link(dir, name),
            _ => {}
        }
    }

    fn subdirectory(&mut self, layer: bool) {
        if layer {
            self.out.dirs.push(pathhash::path(&self.path));
        }
        let options = self.shared.options;
        if options.skip.iter().any(|skip| skip.as_bytes() == self.path) {
            return;
        }
        if self.path.iter().filter(|b| **b == b'/').count() >= options.limits.depth {
            self.report("limit", "deeper than the limit; not entered");
            return;
        }
        self.subdirs.push(self.path.clone());
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &std::ffi::CStr) {
        let mut found = std::mem::take(&mut self.found);
        self.shared.matcher.find(&self.path, name.to_bytes(), &mut found);
        if !found.is_empty() {
            self.read(dir, name, &found);
        }
        self.found = found;
        if self.shared.extras {
            self.look(dir, name);
        }
        if may_be_binary(&self.path, name.to_bytes()) {
            self.out.candidates.extend_from_slice(&self.path);
            self.out.candidates.push(0);
        }
    }

    /// The opt-in looks: they need every file's mode, and the contents of many.
    fn look(&mut self, dir: BorrowedFd<'_>, name: &std::ffi::CStr) {
        let options = self.shared.options;
        let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let seen = Seen { path: &self.path, mode: stat.st_mode & 0o7777, size, is_dir: false };
        let mut contents = None;
        if seen.wants_contents(options)
            && let Ok(fd) = open_entry(dir, name)
        {
            self.scratch.clear();
            let mut limited = std::io::Read::take(File::from(fd), MAX_FILE_BYTES);
            if std::io::Read::read_to_end(&mut limited, &mut self.scratch).is_ok() {
                contents = Some(self.scratch.as_slice());
            }
        }
        self.out.facts.extend(extras::look(&seen, contents, options));
    }

    fn read(&mut self, dir: BorrowedFd<'_>, name: &std::ffi::CStr, found: &[u16]) {
        let shown = String::from_utf8_lossy(&self.path);
        let file = match open_entry(dir, name) {
            Ok(fd) => File::from(fd),
            // Gone or replaced since the directory was listed.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return,
            Err(error) => return self.out.facts.push(unreadable(&shown, &error)),
        };
        let stat = match fstat(&file) {
            Ok(stat) => stat,
            Err(error) => return self.out.facts.push(unreadable(&shown, &error)),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return;
        }
        let source = SizedFile::new(&file, u64::try_from(stat.st_size).unwrap_or(0));
        let timed = Timed::new(&source, self.shared.options.limits.file_time);
        let mut view = FileView::new(&shown, &timed, &mut self.scratch);
        for &index in found {
            if let Some(analyzer) = self.shared.matcher.get(index) {
                self.out.facts.extend(run(analyzer, &mut view, &self.shared.options.limits));
            }
        }
    }

    fn release_link(&mut self, dir: BorrowedFd<'_>, name: &std::ffi::CStr) {
        if let Ok(target) = rustix::fs::readlinkat(dir, name, Vec::new()) {
            self.out.facts.push(FileFacts {
                path: String::from_utf8_lossy(&self.path).into_owned(),
                found_by: "os-release".to_owned(),
                notes: vec![Note::Link(target.to_string_lossy().into_owned())],
                ..FileFacts::default()
            });
        }
    }

    /// Mounted kernel file systems have nothing installed in them.
    fn is_pseudo(&self, fd: &OwnedFd) -> bool {
        let other = fstat(fd).is_ok_and(|stat| stat.st_dev != self.shared.device);
        other && rustix::fs::fstatfs(fd).is_ok_and(|fs| PSEUDO_FILE_SYSTEMS.contains(&(fs.f_type as u64 & 0xffff_ffff)))
    }

    fn unreadable_directory(&mut self, dir: &[u8], error: Errno) {
        if error == Errno::NOENT {
            return;
        }
        self.path = dir.to_vec();
        self.report("directory", &format!("cannot be read: {error}"));
    }

    fn report(&mut self, what: &str, why: &str) {
        if self.out.unknown.len() < MAX_UNREADABLE {
            self.out.unknown.push(Unknown::new(what, &String::from_utf8_lossy(&self.path), why));
        }
    }
}

/// Magic numbers of file systems without files of their own (statfs(2), linux/magic.h).
const PSEUDO_FILE_SYSTEMS: &[u64] = &[
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x1cd1,      // devpts
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0x1980_0202, // mqueue
    0x9584_58f6, // hugetlbfs
    0x6e73_6673, // nsfs
    0x4249_4e4d, // binfmt_misc
    0x6265_6570, // configfs
    0xde5e_81e4, // efivarfs
    0xf97c_ff8c, // selinuxfs
];

fn is_opaque(fd: &OwnedFd) -> bool {
    ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|name| {
        let mut value = [0u8; 4];
        rustix::fs::fgetxattr(fd, *name, &mut value).is_ok_and(|len| value.get(..len) == Some(b"y".as_slice()))
    })
}
