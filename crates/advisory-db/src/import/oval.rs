//! OVAL definitions of Ubuntu, Red Hat, Oracle and SUSE: a tree of tests, of which "this package is older than that"
//! matters here. Ubuntu's also tell what has no fix (a test of a package without a version).
//!
//! Ubuntu's definitions name binary packages, unlike OSV's: they get an ecosystem of their own, `…#binary`.

use super::xml::{Attributes, Visitor, visit};
use super::{Batch, described};
use crate::error::DbError;
use crate::model::{Affected, Event, EventKind, Label, Note, Record, parse_day};
use std::collections::BTreeMap;

/// Mark of ecosystems whose package names are those of binary packages although others name source packages.
pub const BINARY: &str = "#binary";

#[derive(Default)]
struct Definition {
    class: String,
    title: String,
    platforms: Vec<String>,
    record: Record,
    tests: Vec<String>,
}

#[derive(Default)]
struct Test {
    object: String,
    state: Option<String>,
}

#[derive(Default)]
struct Oval {
    definitions: Vec<Definition>,
    tests: BTreeMap<String, Test>,
    /// Package names of an object, directly or by a variable.
    names: BTreeMap<String, Vec<String>>,
    variable_of: BTreeMap<String, String>,
    variables: BTreeMap<String, Vec<String>>,
    /// "Less than" versions.
    versions: BTreeMap<String, String>,
    open_id: String,
    less_than: bool,
}

impl Visitor for Oval {
    fn start(&mut self, path: &[String], attributes: &Attributes) {
        let get = |key: &str| attributes.get(key).cloned().unwrap_or_default();
        let name = path.last().map_or("", String::as_str);
        match name {
            "definition" => self.definitions.push(Definition { class: get("class"), ..Definition::default() }),
            "reference" => {
                if let Some(definition) = self.definitions.last_mut() {
                    definition.reference(&get("ref_id"), &get("source"));
                }
            }
            "issued" | "updated" => {
                if let Some(definition) = self.definitions.last_mut() {
                    let day = parse_day(&get("date"));
                    let record = &mut definition.record;
                    *if name == "issued" { &mut record.published } else { &mut record.modified } = day;
                }
            }
            "criterion" => {
                if let Some(definition) = self.definitions.last_mut() {
                    definition.tests.push(get("test_ref"));
                }
            }
            _ if name.ends_with("info_test")
                || name.ends_with("info_object")
                || name.ends_with("info_state")
                || name == "constant_variable" =>
            {
                self.open_id = get("id");
                if name.ends_with("_test") {
                    self.tests.insert(self.open_id.clone(), Test::default());
                }
            }
            "object" => {
                if let Some(test) = self.tests.get_mut(&self.open_id) {
                    test.object = get("object_ref");
                }
            }
            "state" => {
                if let Some(test) = self.tests.get_mut(&self.open_id) {
                    test.state = Some(get("state_ref"));
                }
            }
            "name" if attributes.contains_key("var_ref") => {
                self.variable_of.insert(self.open_id.clone(), get("var_ref"));
            }
            "evr" => self.less_than = get("operation") == "less than",
            _ => {}
        }
    }

    fn end(&mut self, path: &[String], text: &str) {
        let parent = path.len().checked_sub(2).and_then(|i| path.get(i)).map_or("", String::as_str);
        match (parent, path.last().map_or("", String::as_str)) {
            ("metadata", "title") => {
                if let Some(definition) = self.definitions.last_mut() {
                    text.clone_into(&mut definition.title);
                }
            }
            (_, "platform") => {
                if let Some(definition) = self.definitions.last_mut() {
                    definition.platforms.push(text.to_owned());
                }
            }
            ("advisory", "severity") => {
                if let Some(definition) = self.definitions.last_mut() {
                    definition.record.label = Label::from_word(text);
                }
            }
            ("advisory", "cve") if text.starts_with("CVE-") => {
                if let Some(definition) = self.definitions.last_mut() {
                    definition.reference(text, "CVE");
                }
            }
            (parent, "name") if parent.ends_with("info_object") && !text.is_empty() => {
                self.names.insert(self.open_id.clone(), vec![text.to_owned()]);
            }
            ("constant_variable", "value") => {
                self.variables.entry(self.open_id.clone()).or_default().push(text.to_owned())
            }
            (_, "evr") if self.less_than => {
                self.versions.insert(self.open_id.clone(), text.to_owned());
            }
            _ => {}
        }
    }
}

impl Definition {
    fn reference(&mut self, id: &str, source: &str) {
        if source == "CVE" || id.starts_with("CVE-") {
            if !self.record.upstream.iter().any(|known| known == id) {
                self.record.upstream.push(id.to_owned());
            }
        } else if self.record.id.is_empty() && !id.is_empty() {
            id.clone_into(&mut self.record.id);
        }
    }
}

pub(super) fn read(batch: &mut Batch, name: &str, bytes: &[u8], day: &str) -> Result<(), DbError> {
    let mut oval = Oval::default();
    visit(name, bytes, &mut oval)?;
    for definition in std::mem::take(&mut oval.definitions) {
        if !matches!(definition.class.as_str(), "patch" | "vulnerability") {
            continue;
        }
        let Some((source, ecosystem, by_binary)) = definition.platforms.iter().find_map(|p| platform(p)) else {
            continue;
        };
        // A test of a package without a version says "affected, no fix" in Ubuntu's definitions of vulnerabilities only.
        let tells_unfixed = by_binary && definition.class == "vulnerability";
        let affected = oval.affected(&definition, &ecosystem, tells_unfixed);
        if affected.is_empty() {
            continue;
        }
        let mut record = Record { affected, ..definition.record };
        if record.id.is_empty() {
            // Definitions of vulnerabilities are named by their title: "CVE-2024-1 on Ubuntu 22.04 LTS (jammy) - low".
            let cve = record.upstream.first().cloned().unwrap_or_else(|| definition.title.clone());
            record.id = format!("{}-{cve}", source.to_ascii_uppercase());
        }
        batch.add(described(source, "", day, tells_unfixed), record);
    }
    Ok(())
}

impl Oval {
    fn affected(&self, definition: &Definition, ecosystem: &str, tells_unfixed: bool) -> Vec<Affected> {
        let mut out: BTreeMap<String, Affected> = BTreeMap::new();
        for id in &definition.tests {
            let Some(test) = self.tests.get(id) else { continue };
            let version = test.state.as_ref().and_then(|s| self.versions.get(s));
            if version.is_none() && (!tells_unfixed || test.state.is_some()) {
                continue;
            }
            let by_variable = self.variable_of.get(&test.object).and_then(|v| self.variables.get(v));
            let names = by_variable.or_else(|| self.names.get(&test.object));
            for name in names.into_iter().flatten() {
                let mut events = vec![Event { kind: EventKind::Introduced, version: "0".to_owned() }];
                if let Some(version) = version {
                    let version = version.strip_prefix("0:").unwrap_or(version).to_owned();
                    events.push(Event { kind: EventKind::Fixed, version });
                }
                let affected = Affected {
                    ecosystem: ecosystem.to_owned(),
                    name: name.clone(),
                    ranges: vec![events],
                    note: Note::None,
                    ..Affected::default()
                };
                out.insert(name.clone(), affected);
            }
        }
        out.into_values().collect()
    }
}

/// Source, ecosystem, and whether names are those of binary packages where OSV has source packages.
fn platform(text: &str) -> Option<(&'static str, String, bool)> {
    if let Some(rest) = text.strip_prefix("Ubuntu ") {
        let number = rest.split_whitespace().next()?;
        let lts = if rest.contains("LTS") { ":LTS" } else { "" };
        return Some(("Ubuntu-OVAL", format!("Ubuntu:{number}{lts}{BINARY}"), true));
    }
    if let Some(rest) = text.strip_prefix("Red Hat Enterprise Linux ") {
        return Some(("Red-Hat", format!("Red Hat:enterprise_linux:{}", rest.split('.').next()?), false));
    }
    if let Some(rest) = text.strip_prefix("Oracle Linux ") {
        return Some(("Oracle", format!("Oracle Linux:{rest}"), false));
    }
    if let Some(rest) = text.strip_prefix("openSUSE ") {
        return Some(("SUSE", format!("openSUSE:{rest}"), false));
    }
    text.strip_prefix("SUSE ").map(|rest| ("SUSE", format!("SUSE:{rest}"), false))
}
