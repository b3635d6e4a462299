//! Any bytes as a context or an archive for ADD: nothing is written outside.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(dir) = tempfile::tempdir() else { return };
    let (file, into) = (dir.path().join("archive"), dir.path().join("into"));
    if std::fs::write(&file, data).is_err() || std::fs::create_dir(&into).is_err() {
        return;
    }
    stockade_build::fuzzing::archive(&file, &into);
    let left: Vec<_> = std::fs::read_dir(dir.path()).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
});
