//! Downloads and unpacks the selected packages, both at once: each package is unpacked as soon as it is here.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};

use rustix::fs::{AtFlags, Gid, Mode, Uid};

use crate::error::BaseError;
use crate::fetch::{Client, Expected};
use crate::packages::Candidate;
use crate::progress::{Phase, Progress};
use crate::root::{Root, times};
use crate::unpack::{Options, Unpacked, unpack};

/// Connections to the mirror at a time.
const DOWNLOADS: usize = 6;
/// Largest package that a base image may hold, in bytes.
const MAX_PACKAGE_BYTES: u64 = 256 << 20;
/// Packages that may wait in memory between download and unpacking.
const WAITING: usize = 8;

enum Event {
    Bytes(u64),
    Unpacked(usize, Box<Unpacked>),
    Failed(BaseError),
}

/// Fills `root` with `packages`; returns what each left, in the same order.
///
/// # Errors
/// The first error of any package; the others are stopped.
pub fn install(
    packages: &[Candidate],
    client: &Client,
    root: &Root,
    slim: bool,
    progress: &mut dyn Progress,
) -> Result<Vec<Unpacked>, BaseError> {
    let missing = |c: &&Candidate| !client.is_cached(expected(c));
    let download: u64 = packages.iter().filter(missing).map(|c| c.size).sum();
    let mut meter = Meter::begin(progress, download, packages.len());
    // The largest first: no thread is left with one at the end.
    let mut order: Vec<usize> = (0..packages.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(packages.get(*i).map_or(0, |c| c.size)));
    let queue = Mutex::new(order.into_iter());
    let stop = AtomicBool::new(false);
    let (events, received) = mpsc::channel();
    let (ready, waiting) = mpsc::sync_channel::<(usize, Vec<u8>)>(WAITING);
    let waiting = Mutex::new(waiting);
    let unpackers = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    let mut out: Vec<Option<Unpacked>> = packages.iter().map(|_| None).collect();
    let mut failure = None;
    std::thread::scope(|scope| {
        for _ in 0..DOWNLOADS.min(packages.len()) {
            let (events, ready) = (events.clone(), ready.clone());
            let (queue, stop) = (&queue, &stop);
            scope.spawn(move || {
                while let Some(i) = next(queue, stop) {
                    let Some(candidate) = packages.get(i) else { continue };
                    match fetch(client, candidate, &events) {
                        Ok(bytes) => match ready.send((i, bytes)) {
                            Ok(()) => {}
                            Err(_) => return,
                        },
                        Err(e) => return fail(stop, &events, e),
                    }
                }
            });
        }
        drop(ready);
        for _ in 0..unpackers {
            let events = events.clone();
            let (waiting, stop) = (&waiting, &stop);
            scope.spawn(move || {
                while let Some((i, bytes)) = waiting.lock().ok().and_then(|w| w.recv().ok()) {
                    // After a failure the rest is only taken out of the queue, so that no sender waits for ever.
                    if stop.load(Ordering::Relaxed) {
                        continue;
                    }
                    let Some(candidate) = packages.get(i) else { continue };
                    match check_and_unpack(candidate, &bytes, root, Options { slim, replace: false }) {
                        Ok(unpacked) => drop(events.send(Event::Unpacked(i, Box::new(unpacked)))),
                        Err(e) => fail(stop, &events, e),
                    }
                }
            });
        }
        drop(events);
        for event in received {
            match event {
                Event::Bytes(n) => meter.bytes(n),
                Event::Unpacked(i, unpacked) => {
                    meter.unpacked();
                    if let Some(slot) = out.get_mut(i) {
                        *slot = Some(*unpacked);
                    }
                }
                Event::Failed(e) => drop(failure.get_or_insert(e)),
            }
        }
    });
    if let Some(e) = failure {
        return Err(e);
    }
    let mut out: Vec<Unpacked> = out.into_iter().flatten().collect();
    settle_conflicts(packages, &mut out, client, root, slim)?;
    apply_directories(root, &out)?;
    Ok(out)
}

/// Shows downloading until all bytes are here, then unpacking, although both happen at once.
struct Meter<'p> {
    progress: &'p mut dyn Progress,
    bytes_left: u64,
    unpacked: u64,
    packages: u64,
}

impl Meter<'_> {
    fn begin(progress: &mut dyn Progress, bytes: u64, packages: usize) -> Meter<'_> {
        let mut meter = Meter { progress, bytes_left: bytes, unpacked: 0, packages: packages as u64 };
        match bytes {
            0 => meter.show_unpacking(),
            bytes => meter.progress.phase(Phase::Download, Some(bytes)),
        }
        meter
    }

    fn show_unpacking(&mut self) {
        self.progress.phase(Phase::Unpack, Some(self.packages));
        self.progress.advance(self.unpacked);
    }

    fn bytes(&mut self, n: u64) {
        // A file that had to be fetched twice counts more bytes than it has.
        let n = n.min(self.bytes_left);
        if n > 0 {
            self.progress.advance(n);
            self.bytes_left -= n;
            if self.bytes_left == 0 {
                self.show_unpacking();
            }
        }
    }

    fn unpacked(&mut self) {
        self.unpacked += 1;
        if self.bytes_left == 0 {
            self.progress.advance(1);
        }
    }
}

fn next(queue: &Mutex<std::vec::IntoIter<usize>>, stop: &AtomicBool) -> Option<usize> {
    if stop.load(Ordering::Relaxed) {
        return None;
    }
    queue.lock().ok()?.next()
}

fn fail(stop: &AtomicBool, events: &mpsc::Sender<Event>, error: BaseError) {
    stop.store(true, Ordering::Relaxed);
    // The receiver lives until all senders are gone.
    let _ = events.send(Event::Failed(error));
}

fn expected(candidate: &Candidate) -> Expected<'_> {
    Expected { size: candidate.size, sha256: &candidate.sha256 }
}

fn fetch(client: &Client, candidate: &Candidate, events: &mpsc::Sender<Event>) -> Result<Vec<u8>, BaseError> {
    let url = format!("{}/{}", candidate.archive, candidate.filename);
    if candidate.size > MAX_PACKAGE_BYTES {
        let cause = format!("it is larger than {MAX_PACKAGE_BYTES} bytes");
        return Err(BaseError::Unpack { package: candidate.filename.clone(), cause });
    }
    client.fetch(&[url], expected(candidate), &|n| drop(events.send(Event::Bytes(n))))
}

/// Unpacks, and checks that the package is the one that the index means.
fn check_and_unpack(candidate: &Candidate, bytes: &[u8], root: &Root, options: Options) -> Result<Unpacked, BaseError> {
    let fail = |cause: String| BaseError::Unpack { package: candidate.filename.clone(), cause };
    let unpacked = unpack(bytes, root, options).map_err(fail)?;
    let stanza = crate::control::Stanza::parse(&unpacked.control).map_err(fail)?;
    let same = |field: &str, wanted: &str| stanza.get(field) == Some(wanted);
    if !same("Package", &candidate.name)
        || !same("Version", &candidate.version)
        || !same("Architecture", &candidate.architecture)
    {
        return Err(fail(format!("it is another package than {} {} of the index", candidate.name, candidate.version)));
    }
    Ok(unpacked)
}

/// A file that two packages hold goes to the one that `Replaces` the other, as in dpkg. Threads may have written
/// either; so the winner is unpacked once more, and the file leaves the loser's list.
fn settle_conflicts(
    packages: &[Candidate],
    unpacked: &mut [Unpacked],
    client: &Client,
    root: &Root,
    slim: bool,
) -> Result<(), BaseError> {
    if unpacked.iter().all(|u| u.conflicts.is_empty()) {
        return Ok(());
    }
    let mut owners: HashMap<String, Vec<usize>> = HashMap::new();
    let conflicts: std::collections::BTreeSet<String> =
        unpacked.iter().flat_map(|u| u.conflicts.iter().map(|p| merged(p))).collect();
    for (i, one) in unpacked.iter().enumerate() {
        for path in one.paths.iter().map(|p| merged(p)).filter(|p| conflicts.contains(p)) {
            owners.entry(path).or_default().push(i);
        }
    }
    let mut winners = std::collections::BTreeSet::new();
    for path in &conflicts {
        let owners = owners.get(path).map(Vec::as_slice).unwrap_or_default();
        let wins = |w: &&usize| owners.iter().all(|o| o == *w || replaces(unpacked.get(**w), packages.get(*o)));
        let Some(winner) = owners.iter().find(wins) else {
            let names: Vec<&str> = owners.iter().filter_map(|i| packages.get(*i)).map(|c| c.name.as_str()).collect();
            let cause = format!("`{path}` is also in another package ({}), and neither replaces it", names.join(", "));
            let package = owners.first().and_then(|i| packages.get(*i)).map_or(String::new(), |c| c.filename.clone());
            return Err(BaseError::Unpack { package, cause });
        };
        winners.insert(*winner);
        for loser in owners.iter().filter(|o| *o != winner) {
            if let Some(u) = unpacked.get_mut(*loser) {
                u.paths.retain(|p| merged(p) != *path);
                u.conffiles.retain(|(p, _)| merged(p) != *path);
            }
        }
    }
    for candidate in winners.into_iter().filter_map(|w| packages.get(w)) {
        let url = format!("{}/{}", candidate.archive, candidate.filename);
        let bytes = client.fetch(&[url], expected(candidate), &|_| {})?;
        check_and_unpack(candidate, &bytes, root, Options { slim, replace: true })?;
    }
    Ok(())
}

/// The same path for both spellings on a merged-/usr system.
fn merged(path: &str) -> String {
    let top = path.split('/').nth(1).unwrap_or("");
    match matches!(top, "bin" | "sbin" | "lib" | "lib32" | "lib64" | "libx32") && path.len() > top.len() + 1 {
        true => format!("/usr{path}"),
        false => path.to_owned(),
    }
}

fn replaces(winner: Option<&Unpacked>, loser: Option<&Candidate>) -> bool {
    let (Some(winner), Some(loser)) = (winner, loser) else { return false };
    let Ok(stanza) = crate::control::Stanza::parse(&winner.control) else { return false };
    crate::packages::parse_depends(stanza.get("Replaces").unwrap_or("")).iter().flatten().any(|a| {
        let version_fits = a.condition.as_ref().is_none_or(|(r, v)| crate::version::satisfies(&loser.version, r, v));
        a.name == loser.name && version_fits
    })
}

/// Gives each directory what the first package in order says of it, whichever thread made it. Deepest first, so that
/// no time is changed by a later step.
fn apply_directories(root: &Root, unpacked: &[Unpacked]) -> Result<(), BaseError> {
    let mut seen = std::collections::HashSet::new();
    let mut dirs: Vec<&crate::unpack::DirEntry> = Vec::new();
    for dir in unpacked.iter().flat_map(|u| &u.dirs) {
        let path = PathBuf::from(merged(&format!("/{}", dir.path.display())));
        if seen.insert(path) {
            dirs.push(dir);
        }
    }
    for dir in dirs.into_iter().rev() {
        let path = if dir.path.as_os_str().is_empty() { std::path::Path::new(".") } else { dir.path.as_path() };
        let apply = || -> std::io::Result<()> {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::NOFOLLOW;
            let fd = match root.open_at(path, flags, Mode::empty()) {
                Ok(fd) => fd,
                // A link into /usr that stands where an older package has a directory.
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => return Ok(()),
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NOTDIR.raw_os_error()) => return Ok(()),
                Err(e) => return Err(e),
            };
            let (uid, gid) = dir.owner;
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            stockade_durable::owned(rustix::fs::chownat(&fd, "", uid, gid, AtFlags::EMPTY_PATH))?;
            rustix::fs::fchmod(&fd, Mode::from_raw_mode(dir.mode))?;
            Ok(rustix::fs::futimens(&fd, &times(dir.mtime))?)
        };
        apply().map_err(BaseError::io("set the permissions of", &root.path.join(path)))?;
    }
    Ok(())
}
