//! Helpers for the tests of analysers.

use crate::analyzer::{Analyzer, run};
use crate::facts::FileFacts;
use crate::fileview::FileView;
use crate::options::Limits;

/// Runs an analyser on bytes, as the driver would.
pub fn read(analyzer: &dyn Analyzer, path: &str, bytes: &[u8]) -> FileFacts {
    let mut scratch = Vec::new();
    let contents = bytes.to_vec();
    let mut view = FileView::new(path, &contents, &mut scratch);
    run(analyzer, &mut view, &Limits::default()).unwrap_or_default()
}

/// `name version` of each package.
pub fn packages(facts: &FileFacts) -> Vec<String> {
    facts.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect()
}

/// Runs all analysers that want the path.
pub fn read_any(path: &str, bytes: &[u8]) -> Vec<FileFacts> {
    let matcher = crate::analyzers::matcher();
    let mut found = Vec::new();
    let name = path.rsplit('/').next().unwrap_or_default();
    matcher.find(path.as_bytes(), name.as_bytes(), &mut found);
    found.iter().filter_map(|index| matcher.get(*index)).map(|analyzer| read(analyzer, path, bytes)).collect()
}
