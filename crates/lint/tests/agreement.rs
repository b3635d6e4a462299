//! Our answers beside hadolint's: `corpus/hadolint.tsv` has what hadolint 2.15.1 says of each file of the corpus.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use stockade_lint::Options;

#[path = "corpus/agreement.rs"]
mod agreement;
#[path = "corpus/mod.rs"]
mod corpus;

const FACTS: &str = include_str!("corpus/hadolint.tsv");
/// With the settings of `corpus/settings.yaml`, only the rules that need them.
const WITH_SETTINGS: &str = include_str!("corpus/hadolint-settings.tsv");

fn table(facts: &str, options: &Options) -> (usize, BTreeMap<String, agreement::Row>, Vec<String>) {
    let facts = agreement::facts(facts);
    let (mut known, mut table, mut differing) = (0, BTreeMap::new(), Vec::new());
    for text in corpus::files(facts.len() + 400) {
        let name = format!("{:016x}", corpus::hash(&text));
        // Cases that are newer than the table are left out.
        let Some(theirs) = facts.get(&name) else { continue };
        known += 1;
        let ours = agreement::ours(text.as_bytes(), options);
        for rule in agreement::compare(theirs, &ours, &mut table) {
            differing.push(format!("{rule}: hadolint {:?}, ours {:?}:\n{text}", theirs.get(&rule), ours.get(&rule)));
        }
    }
    (known, table, differing)
}

#[test]
fn each_rule_agrees_with_hadolint_where_it_is_asked_to() {
    let (known, table, differing) = table(FACTS, &Options { as_hadolint: true, ..Options::default() });
    assert!(known >= 1000, "only {known} files are in the table: benches/lint.sh agree makes it anew");
    for (rule, row) in &table {
        let shown = || differing.iter().filter(|d| d.starts_with(rule)).cloned().collect::<Vec<_>>().join("\n");
        assert!(row.share() >= 99.0, "{rule}: {} of {} files differ:\n{}", row.differ, row.named, shown());
    }
    assert!(table.keys().filter(|r| r.starts_with("DL")).count() >= 55, "{}", table.len());
    assert!(table.keys().filter(|r| r.starts_with("SC")).count() >= 80, "{}", table.len());
}

#[test]
fn rules_with_settings_agree_too() {
    let (_, table, differing) = table(WITH_SETTINGS, &agreement::settings());
    for (rule, row) in table.iter().filter(|(rule, _)| agreement::WITH_SETTINGS.contains(&rule.as_str())) {
        let shown = || differing.iter().filter(|d| d.starts_with(rule)).cloned().collect::<Vec<_>>().join("\n");
        assert!(
            row.named >= 10 && row.share() >= 99.0,
            "{rule}: {} of {} files differ:\n{}",
            row.differ,
            row.named,
            shown()
        );
    }
}

#[test]
fn by_default_only_the_explained_rules_differ() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/LINT-DIFF.md")).unwrap();
    let (_, table, differing) = table(FACTS, &Options::default());
    for (rule, row) in table.iter().filter(|(rule, row)| rule.starts_with("DL") && row.share() < 99.0) {
        let shown = differing.iter().find(|d| d.starts_with(rule.as_str()));
        assert!(page.contains(rule.as_str()), "{rule} ({:.1} %) is not explained: {shown:?}", row.share());
    }
}
