//! Dockerfile rules: what is unwise, where exactly, and the fix.
//!
//! Each rule is one file under `rules/` with its facts, its test and its cases, and one line in the table there. Rules that
//! hadolint and BuildKit have keep their ids in `refs`; ours beyond them begin with `SD`.
#![forbid(unsafe_code)]

pub mod docs;
mod file;
mod fix;
mod hadolint;
pub mod lsp;
mod model;
mod options;
mod pragma;
mod rules;
pub mod shell;
mod shellcheck;

pub use file::{File, RunView};
pub use fix::apply;
pub use model::{Edit, Finding, SCHEMA, Severity};
pub use options::{LabelType, Options};
pub use rules::{Rule, all, find};
pub use shellcheck::ShellcheckError;

use stockade_dockerfile::{Diagnostics, parse_fragment};

/// What a file's lint found.
#[derive(Debug)]
pub struct Report {
    /// By line and column.
    pub findings: Vec<Finding>,
    /// What could not be read at all, as the parser says it.
    pub diagnostics: Diagnostics,
    /// Ignore comments without effect, each in a sentence with its line.
    pub unused_ignores: Vec<String>,
    /// Why `shellcheck` gave no answer, where it was asked.
    pub shellcheck_failed: Option<ShellcheckError>,
}

/// Packages that `apt-get install` names without a version, each with the image that its stage stands on: what
/// [`Options::pins`] must know to mend them.
pub fn unpinned(bytes: &[u8], name: &str) -> Vec<(String, String)> {
    let parsed = parse_fragment(bytes, name);
    let options = Options::default();
    let file = File::new(&parsed.dockerfile, &options);
    rules::unpinned(&file).into_iter().map(|(base, word)| (base, word.text.clone())).collect()
}

/// Base images that a file names, without stages and without those that a variable decides.
pub fn bases(bytes: &[u8], name: &str) -> Vec<String> {
    let parsed = parse_fragment(bytes, name);
    let options = Options::default();
    let file = File::new(&parsed.dockerfile, &options);
    let images = file.stages().map(|(_, from, _)| from.image.value.as_str());
    let mut found: Vec<String> =
        images.filter(|i| !i.contains('$') && *i != "scratch" && !file.is_stage(i)).map(str::to_owned).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Checks one file. A fragment without `FROM` is fine.
pub fn lint(bytes: &[u8], name: &str, options: &Options) -> Report {
    let parsed = parse_fragment(bytes, name);
    let file = File::new(&parsed.dockerfile, options);
    let mut findings = rules::Findings::new(&file);
    for rule in rules::all() {
        let wanted = rule.default || options.enabled.iter().any(|n| rule.is_called(n));
        if wanted && !options.ignored.iter().any(|n| rule.is_called(n)) {
            findings.run(rule);
        }
    }
    let mut found = findings.finish();
    let mut shellcheck_failed = None;
    if let Some(program) = &options.shellcheck {
        match shellcheck::findings(program, &file) {
            Ok(more) => found.extend(more),
            Err(error) => shellcheck_failed = Some(error),
        }
    }
    if options.as_hadolint {
        hadolint::choose(&parsed.dockerfile, &mut found);
    }
    for finding in &mut found {
        if let Some(severity) = finding.refs.iter().chain([&finding.id]).find_map(|n| options.severities.get(*n)) {
            finding.severity = *severity;
        }
    }
    let unused_ignores =
        if options.disable_ignore_comments { Vec::new() } else { pragma::apply(&parsed.dockerfile, &mut found) };
    found.sort_by(|a, b| (a.line, a.column, a.id).cmp(&(b.line, b.column, b.id)));
    Report { findings: found, diagnostics: parsed.diagnostics, unused_ignores, shellcheck_failed }
}
