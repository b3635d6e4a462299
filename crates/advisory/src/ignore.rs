//! `.stockadeignore`: findings that someone decided to live with, each with its scope, reason and last day.
//!
//! One rule a line; `#` starts a comment line:
//!
//! ```text
//! CVE-2024-1234 package=openssl until=2027-01-31 reason=no TLS server in this image
//! GHSA-xxxx-xxxx-xxxx path=opt/app/* reason=only used by tests
//! ```
//!
//! `reason=` takes the rest of the line and must be there. Rules that ended, and rules that match nothing, are reported.

use crate::report::{Finding, ScanReport, Statement};
use jiff::civil::Date;

/// Name of the file that is looked for in the working directory.
pub const FILE_NAME: &str = ".stockadeignore";

/// A list of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnoreList {
    file: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    line: usize,
    id: String,
    package: Option<String>,
    path: Option<String>,
    until: Option<Date>,
    reason: String,
}

/// A line that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {why}")]
pub struct IgnoreError {
    /// The file.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl IgnoreList {
    /// Reads a list. `file` is for messages.
    /// # Errors
    /// The first line that is no rule.
    pub fn parse(file: &str, text: &str) -> Result<Self, IgnoreError> {
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            rules.push(rule(number, line).map_err(|why| IgnoreError { file: file.to_owned(), line: number, why })?);
        }
        Ok(IgnoreList { file: file.to_owned(), rules })
    }

    /// Marks the findings that rules match. Output: what must be said about rules that ended or match nothing.
    pub fn apply(&self, report: &mut ScanReport, today: Date) -> Vec<String> {
        let mut remarks = Vec::new();
        for rule in &self.rules {
            let ended = rule.until.is_some_and(|u| today > u);
            let mut used = false;
            for finding in report.findings.iter_mut().filter(|f| rule.matches(f)) {
                used = true;
                if !ended && finding.ignored.is_none() {
                    finding.ignored = Some(Box::new(Statement {
                        by: format!("{}:{}", self.file, rule.line),
                        status: "ignored".to_owned(),
                        reason: rule.reason.clone(),
                        until: rule.until.map(|d| d.to_string()),
                    }));
                }
            }
            let place = format!("{}:{}", self.file, rule.line);
            if !used {
                remarks.push(format!("{place}: the rule for {} matches no finding: it can be removed", rule.id));
            } else if let (true, Some(until)) = (ended, rule.until) {
                remarks.push(format!("{place}: the rule for {} ended on {until}: the finding counts again", rule.id));
            }
        }
        remarks
    }
}

impl Rule {
    fn matches(&self, finding: &Finding) -> bool {
        finding.has_id(&self.id)
            && self.package.as_ref().is_none_or(|p| *p == finding.package.name || p == finding.component())
            && self.path.as_ref().is_none_or(|pattern| glob(pattern.trim_start_matches('/'), &finding.path))
    }
}

fn rule(line: usize, text: &str) -> Result<Rule, String> {
    let (id, mut rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if id.contains('=') {
        return Err("a rule starts with the id of an advisory, such as CVE-2024-1234".to_owned());
    }
    let mut rule = Rule { line, id: id.to_owned(), package: None, path: None, until: None, reason: String::new() };
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let Some((key, after)) = rest.split_once('=') else {
            return Err(format!("`{rest}` is not KEY=VALUE"));
        };
        if key == "reason" {
            rule.reason = after.trim().to_owned();
            break;
        }
        let (value, next) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        match key {
            "package" => rule.package = Some(value.to_owned()),
            "path" => rule.path = Some(value.to_owned()),
            "until" => {
                rule.until = Some(value.parse().map_err(|_| format!("`{value}` is not a day such as 2027-01-31"))?);
            }
            other => return Err(format!("`{other}` is not known: use package, path, until or reason")),
        }
        rest = next;
    }
    if rule.reason.is_empty() {
        return Err("a rule needs a reason: end the line with reason=…".to_owned());
    }
    Ok(rule)
}

/// Whether a path matches a pattern in which `*` stands for any characters.
fn glob(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return path.is_empty() };
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_wrong_lines_named() {
        let list =
            IgnoreList::parse("f", "# c\n\nCVE-1 package=a path=x/* until=2027-01-31 reason=a b c\nGHSA-2 reason=r\n")
                .unwrap();
        assert_eq!(list.rules.len(), 2);
        assert_eq!(list.rules[0].reason, "a b c");
        for (text, word) in [
            ("CVE-1", "needs a reason"),
            ("CVE-1 until=soon reason=x", "not a day"),
            ("CVE-1 when=x reason=x", "not known"),
            ("CVE-1 just words", "KEY=VALUE"),
            ("package=a reason=x", "starts with the id"),
        ] {
            let error = IgnoreList::parse("f", &format!("\n{text}")).unwrap_err();
            assert!(error.to_string().starts_with("f:2: ") && error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn stars_match_anything() {
        for (pattern, path, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a/*", "a/b/c", true),
            ("*/c", "a/b/c", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("*", "", true),
        ] {
            assert_eq!(glob(pattern, path), expected, "{pattern} {path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(.|\n){0,80}") {
            let _ = IgnoreList::parse("f", &text);
        }
    }
}
