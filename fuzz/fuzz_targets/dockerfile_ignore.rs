//! Any bytes as a .dockerignore, asked about paths (what comes after a NUL): an answer in bounded time.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_dockerfile::ignore::{DirState, Glob, IgnoreFile};

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (patterns, paths) = data.split_at(at);
    let paths = String::from_utf8_lossy(paths.get(1..).unwrap_or_default()).into_owned();
    if let Ok(ignore) = IgnoreFile::parse(patterns) {
        for path in paths.split('\n').take(64) {
            let _ = ignore.is_ignored(path);
            let _ = ignore.may_reach_below(path);
            // As a walk asks: each directory after its parent.
            let mut state = DirState::default();
            for (end, _) in path.match_indices('/').take(64) {
                state = ignore.check(&path[..end], &state).state;
            }
            let _ = ignore.check(path, &state);
        }
    }
    if let Ok(glob) = Glob::compile(&String::from_utf8_lossy(patterns)) {
        let _ = glob.matches(&paths);
    }
});
