//! The table of rules, and how they report.

use stockade_dockerfile::ast::Instruction;
use stockade_dockerfile::ast::Word as FileWord;

use crate::file::File;
use crate::model::{Edit, Finding, Severity};
use crate::shell;

/// A rule: facts, cases and a test.
#[derive(Debug)]
pub struct Rule {
    /// Kebab-case name of the bad thing.
    pub id: &'static str,
    /// Ids of hadolint (`DL3008`), BuildKit (`StageNameCasing`), the CIS benchmark (`CIS-4.9`).
    pub refs: &'static [&'static str],
    /// How much it matters.
    pub severity: Severity,
    /// Runs unless it is switched off; others run only when asked for.
    pub default: bool,
    /// What it finds.
    pub finds: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do instead.
    pub instead: &'static str,
    /// Files with it. Each is a test.
    pub bad: &'static [&'static str],
    /// Near files without it. Each is a test.
    pub good: &'static [&'static str],
    pub(crate) test: fn(&File<'_>, &mut Sink<'_>),
}

impl Rule {
    /// Whether `name` is its id or one of its references.
    pub fn is_called(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name) || self.refs.iter().any(|r| r.eq_ignore_ascii_case(name))
    }
}

pub(crate) use dl3008::unpinned;

/// All rules in the order of their ids.
pub fn all() -> &'static [&'static Rule] {
    table::RULES
}

/// A rule by id or reference.
pub fn find(name: &str) -> Option<&'static Rule> {
    all().iter().copied().find(|r| r.is_called(name))
}

/// Collects the findings of a file, rule by rule.
pub(crate) struct Findings<'f, 'd> {
    file: &'f File<'d>,
    found: Vec<Finding>,
}

impl<'f, 'd> Findings<'f, 'd> {
    pub(crate) fn new(file: &'f File<'d>) -> Findings<'f, 'd> {
        Findings { file, found: Vec::new() }
    }

    pub(crate) fn run(&mut self, rule: &'static Rule) {
        let file = self.file;
        let mut sink = Sink { rule, place: &|offset| file.place(offset), found: &mut self.found };
        (rule.test)(file, &mut sink);
    }

    pub(crate) fn finish(self) -> Vec<Finding> {
        self.found
    }
}

/// Where one rule reports.
pub(crate) struct Sink<'s> {
    rule: &'static Rule,
    place: &'s dyn Fn(usize) -> (u32, u32),
    found: &'s mut Vec<Finding>,
}

impl Sink<'_> {
    /// At a stretch of bytes.
    pub(crate) fn at(&mut self, start: usize, end: usize, message: impl Into<String>) {
        let (line, column) = (self.place)(start);
        let (end_line, end_column) = (self.place)(end);
        self.found.push(Finding {
            id: self.rule.id,
            refs: self.rule.refs,
            severity: self.rule.severity,
            line,
            column,
            end_line,
            end_column,
            message: message.into(),
            advice: self.rule.instead,
            fix: None,
        });
    }

    /// At a word of an instruction.
    pub(crate) fn word(&mut self, word: &FileWord, message: impl Into<String>) {
        self.at(word.span.start.offset, word.span.end.offset, message);
    }

    /// At the instruction's keyword.
    pub(crate) fn instruction(&mut self, instruction: &Instruction, message: impl Into<String>) {
        self.word(&instruction.keyword, message);
    }

    /// At a word of a shell script.
    pub(crate) fn shell(&mut self, word: &shell::Word, message: impl Into<String>) {
        self.at(word.start, word.end, message);
    }

    /// At a whole shell command, from its first word to its last.
    pub(crate) fn command(&mut self, command: &shell::Command, message: impl Into<String>) {
        let (Some(first), Some(last)) = (command.words.first(), command.words.last()) else { return };
        self.at(first.start, last.end, message);
    }

    /// Gives the last finding a fix.
    pub(crate) fn fix(&mut self, edits: Vec<Edit>) {
        if let Some(last) = self.found.last_mut() {
            last.fix = Some(edits);
        }
    }

    /// Adds an edit to the fix of this rule's finding between two lines.
    pub(crate) fn add_to_fix(&mut self, lines: Option<(u32, u32)>, edit: Edit) {
        let (id, Some((from, to))) = (self.rule.id, lines) else { return };
        if let Some(f) = self.found.iter_mut().rev().find(|f| f.id == id && from <= f.line && f.line <= to) {
            f.fix.get_or_insert_default().push(edit);
        }
    }

    /// Puts text after a byte offset: the commonest fix.
    pub(crate) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.fix(vec![Edit { start: at, end: at, text: text.into() }]);
    }

    /// Replaces a stretch of bytes.
    pub(crate) fn replace(&mut self, start: usize, end: usize, text: impl Into<String>) {
        self.fix(vec![Edit { start, end, text: text.into() }]);
    }
}

/// The `rules!` table: one line a rule; the file of the same name holds it.
macro_rules! rules {
    ($($module:ident,)*) => {
        $(mod $module;)*
        mod table {
            pub(super) static RULES: &[&super::Rule] = &[$(&super::$module::RULE,)*];
        }
    };
}

mod labels;
mod package;
mod script;

include!("table.rs");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, apply, lint};
    use std::collections::HashSet;

    fn findings(rule: &Rule, text: &str) -> Vec<Finding> {
        let options = Options { enabled: vec![rule.id.to_owned()], ..test_options() };
        lint(text.as_bytes(), "Dockerfile", &options).findings.into_iter().filter(|f| f.id == rule.id).collect()
    }

    /// Options under which every rule has something to say.
    fn test_options() -> Options {
        use crate::LabelType::{Email, GitHash, Rfc3339, SemanticVersion, Spdx, Text, Url};
        let schema = [
            ("text", Text),
            ("url", Url),
            ("date", Rfc3339),
            ("version", SemanticVersion),
            ("hash", GitHash),
            ("licence", Spdx),
            ("mail", Email),
        ];
        Options {
            trusted_registries: vec!["docker.io".to_owned(), "*.trusted.example".to_owned()],
            label_schema: schema.map(|(n, t)| (n.to_owned(), t)).into(),
            strict_labels: true,
            exploited: [("exploited:1".to_owned(), vec!["CVE-2024-3094 (xz-utils)".to_owned()])].into(),
            ..Options::default()
        }
    }

    #[test]
    fn every_rule_finds_its_bad_cases_and_leaves_the_good_ones() {
        let mut wrong = Vec::new();
        for rule in all() {
            assert!(!rule.bad.is_empty() && !rule.good.is_empty(), "{} has no cases", rule.id);
            for text in rule.bad {
                if findings(rule, text).is_empty() {
                    wrong.push(format!("{} misses: {text:?}", rule.id));
                }
            }
            for text in rule.good {
                for f in findings(rule, text) {
                    wrong.push(format!("{} wrongly finds in {text:?}: {}", rule.id, f.message));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn ids_are_unique_kebab_case_and_documented() {
        let mut seen = HashSet::new();
        for rule in all() {
            assert!(seen.insert(rule.id), "{} twice", rule.id);
            assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", rule.id);
            for text in [rule.finds, rule.why, rule.instead] {
                assert!(text.ends_with('.') && text.len() > 6, "{}: {text}", rule.id);
            }
        }
    }

    #[test]
    fn a_fix_mends_its_finding_and_a_second_run_changes_nothing() {
        for rule in all() {
            for text in rule.bad {
                let found = findings(rule, text);
                if found.is_empty() || found.iter().any(|f| f.fix.is_none()) {
                    continue;
                }
                let (mut fixed, mut count) = apply(text, &found);
                assert!(count > 0, "{}: {text:?}", rule.id);
                // Fixes that touch each other are applied one run after another.
                for _ in 0..4 {
                    (fixed, count) = apply(&fixed, &findings(rule, &fixed));
                    if count == 0 {
                        break;
                    }
                }
                assert!(findings(rule, &fixed).is_empty(), "{}: {text:?} became {fixed:?}", rule.id);
            }
        }
    }

    #[test]
    fn spans_are_inside_the_file_and_not_backwards() {
        for rule in all() {
            for text in rule.bad {
                for f in findings(rule, text) {
                    assert!((f.line, f.column) <= (f.end_line, f.end_column), "{} {f:?}", rule.id);
                    assert!(f.line >= 1 && f.end_line as usize <= text.lines().count() + 1, "{} {f:?}", rule.id);
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_linted(text in "(FROM a|RUN |ENV a=|COPY |[a-z .$&|;\\\\\"'-]|\n){0,30}") {
            let _ = lint(text.as_bytes(), "f", &test_options());
        }
    }
}
