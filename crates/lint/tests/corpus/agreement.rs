//! How far our answers agree with those of hadolint, rule by rule.
use std::collections::{BTreeMap, BTreeSet};

use stockade_lint::{Options, lint};

/// Lines on which each rule is named.
pub type Lines = BTreeMap<String, BTreeSet<u32>>;

/// hadolint's answers by the name of the file: lines of `NAME<TAB>LINE:RULE LINE:RULE …`.
pub fn facts(text: &str) -> BTreeMap<String, Lines> {
    let mut out = BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (name, rest) = line.split_once('\t').unwrap_or((line, ""));
        let mut lines = Lines::new();
        for (line, rule) in rest.split(' ').filter_map(|f| f.split_once(':')) {
            // Our one rule for what a shell cannot read stands for these.
            let syntax = ["SC1009", "SC1045", "SC1070", "SC1073", "SC1089", "SC1133"].contains(&rule);
            let rule = if syntax { "SC1072" } else { rule };
            lines.entry(rule.to_owned()).or_default().insert(line.parse().unwrap_or(0));
        }
        out.insert(name.to_owned(), lines);
    }
    out
}

/// What we say of a file, on the lines where the instructions begin.
pub fn ours(bytes: &[u8], options: &Options) -> Lines {
    let parsed = stockade_dockerfile::parse_fragment(bytes, "f").dockerfile;
    let mut out = Lines::new();
    for finding in lint(bytes, "f", options).findings {
        let Some(id) = finding.refs.iter().find(|r| r.starts_with("DL") || r.starts_with("SC")) else { continue };
        let holder = parsed
            .instructions
            .iter()
            .map(|i| i.span)
            .find(|s| s.start.line <= finding.line && finding.line <= s.end.line);
        out.entry((*id).to_owned()).or_default().insert(holder.map_or(finding.line, |s| s.start.line));
    }
    out
}

/// One rule's numbers of files.
#[derive(Debug, Default, Clone, Copy)]
pub struct Row {
    /// Either names it.
    pub named: u32,
    /// They name it on different instructions.
    pub differ: u32,
}

impl Row {
    /// In percent.
    pub fn share(self) -> f64 {
        100.0 * (1.0 - f64::from(self.differ) / f64::from(self.named.max(1)))
    }
}

/// Compares one file; files that hadolint cannot read are left out, as it says nothing else about them.
pub fn compare(theirs: &Lines, ours: &Lines, table: &mut BTreeMap<String, Row>) -> Vec<String> {
    let mut differing = Vec::new();
    if theirs.contains_key("DL1000") {
        return differing;
    }
    for rule in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
        let row = table.entry(rule.clone()).or_default();
        row.named += 1;
        if theirs.get(rule) != ours.get(rule) {
            row.differ += 1;
            differing.push(rule.clone());
        }
    }
    differing
}

/// Rules that find nothing without settings.
pub const WITH_SETTINGS: [&str; 11] =
    ["DL3026", "DL3049", "DL3050", "DL3051", "DL3052", "DL3053", "DL3054", "DL3055", "DL3056", "DL3057", "DL3058"];

/// The settings with which hadolint was asked about those: `corpus/settings.yaml`.
pub fn settings() -> Options {
    use stockade_lint::LabelType;
    let labels = [
        ("url", LabelType::Url),
        ("created", LabelType::Rfc3339),
        ("version", LabelType::SemanticVersion),
        ("revision", LabelType::GitHash),
        ("licenses", LabelType::Spdx),
        ("author", LabelType::Email),
        ("title", LabelType::Text),
    ];
    Options {
        as_hadolint: true,
        strict_labels: true,
        trusted_registries: vec!["docker.io".to_owned()],
        label_schema: labels.iter().map(|(n, t)| ((*n).to_owned(), *t)).collect(),
        ..Options::default()
    }
}
