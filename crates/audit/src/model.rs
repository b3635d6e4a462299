//! What a check is and what it answers.

use serde::Serialize;

/// The part of a system that a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Section {
    Host,
    Kernel,
    Daemon,
    DaemonFiles,
    Containerd,
    Podman,
    Stockade,
    Images,
    ImageContent,
    Containers,
    Operations,
    Swarm,
    Enterprise,
    Compose,
    Kubernetes,
}

/// How much work the fix is, or how much it can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Degree {
    Low,
    Medium,
    High,
}

/// The facts about a check that do not depend on what is audited.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Meta {
    /// Kebab-case name of the weakness: what people search for and write in `--only`.
    pub id: &'static str,
    /// Sections of published benchmarks: `CIS-5.4` (CIS Docker Benchmark), `PSS:baseline:privileged`.
    pub refs: &'static [&'static str],
    /// Which part it belongs to.
    pub section: Section,
    /// What holds where the check passes, in a few words.
    pub title: &'static str,
    /// Why it matters, in a sentence.
    pub why: &'static str,
    /// What to do, in a sentence.
    pub fix: &'static str,
    /// Level of the CIS profile: 1 for everyone, 2 for defence in depth.
    pub level: u8,
    /// Work of the fix.
    pub effort: Degree,
    /// What the fix may break.
    pub risk: Degree,
}

/// The answer of one check about one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Answer {
    /// It is weak.
    Fail,
    /// It could not be found out; the evidence says why.
    Unknown,
    /// A person must decide; the evidence says what to look at.
    Manual,
    /// It is as it should be.
    Pass,
    /// The question does not arise.
    NotApplicable,
}

/// An answer with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub answer: Answer,
    /// A file and line, or an API field, with the value seen.
    pub evidence: String,
}

#[allow(missing_docs)]
impl Verdict {
    fn new(answer: Answer, evidence: impl Into<String>) -> Verdict {
        Verdict { answer, evidence: evidence.into() }
    }
    pub fn pass(evidence: impl Into<String>) -> Verdict {
        Verdict::new(Answer::Pass, evidence)
    }
    pub fn fail(evidence: impl Into<String>) -> Verdict {
        Verdict::new(Answer::Fail, evidence)
    }
    pub fn manual(evidence: impl Into<String>) -> Verdict {
        Verdict::new(Answer::Manual, evidence)
    }
    pub fn unknown(why: impl Into<String>) -> Verdict {
        Verdict::new(Answer::Unknown, why)
    }
    pub fn not_applicable(why: impl Into<String>) -> Verdict {
        Verdict::new(Answer::NotApplicable, why)
    }
    /// Pass if `good`, else fail, with the same evidence.
    pub fn of(good: bool, evidence: impl Into<String>) -> Verdict {
        Verdict::new(if good { Answer::Pass } else { Answer::Fail }, evidence)
    }
}

/// One line of a report.
#[derive(Debug, Clone, Serialize)]
pub struct CheckResult {
    /// The check.
    #[serde(flatten)]
    pub meta: Meta,
    /// The answer.
    pub result: Answer,
    /// What was looked at: `host`, `daemon`, `container web`, `image nginx:1.27`, `compose.yaml: web`.
    pub subject: String,
    /// What the answer rests on.
    pub evidence: String,
    /// Why this failure is accepted, if somebody accepted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived: Option<String>,
}

impl CheckResult {
    /// An answer that nobody has waived.
    pub fn new(meta: &Meta, subject: impl Into<String>, verdict: Verdict) -> CheckResult {
        CheckResult {
            meta: *meta,
            result: verdict.answer,
            subject: subject.into(),
            evidence: verdict.evidence,
            waived: None,
        }
    }

    /// Whether it is a failure that counts.
    pub fn fails(&self) -> bool {
        self.result == Answer::Fail && self.waived.is_none()
    }
}

impl Answer {
    /// As the JSON form writes it.
    pub fn name(self) -> &'static str {
        match self {
            Answer::Fail => "fail",
            Answer::Unknown => "unknown",
            Answer::Manual => "manual",
            Answer::Pass => "pass",
            Answer::NotApplicable => "not_applicable",
        }
    }
}

/// Schema of the JSON form.
pub const SCHEMA: &str = "stockade.audit/v1";

/// All answers.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Passed, out of those that passed or failed, in percent; `None` where nothing could be decided.
    pub score: Option<u8>,
    /// In order of section, check and subject.
    pub checks: Vec<CheckResult>,
}

impl Report {
    /// Counts and wraps.
    pub fn new(checks: Vec<CheckResult>) -> Report {
        let mut report = Report { schema: SCHEMA, score: None, checks };
        report.recount();
        report
    }

    /// Counts again after checks were taken out or waived. A waived failure counts as neither.
    pub fn recount(&mut self) {
        let passed = self.count(Answer::Pass);
        let decided = passed + self.count(Answer::Fail);
        self.score = (decided > 0).then(|| u8::try_from(passed * 100 / decided).unwrap_or(100));
    }

    /// How many answers of a kind there are, waived ones left out.
    pub fn count(&self, answer: Answer) -> usize {
        self.checks.iter().filter(|c| c.result == answer && c.waived.is_none()).count()
    }
}

/// The function `meta` of a file of checks: a [`Meta`] of one section, with what differs from check to check as arguments
/// between its references and its title.
macro_rules! meta_of {
    ($section:ident, ($($name:ident: $type:ty),*), level: $level:expr, effort: $effort:expr, risk: $risk:expr) => {
        const fn meta(
            id: &'static str,
            refs: &'static [&'static str],
            $($name: $type,)*
            title: &'static str,
            why: &'static str,
            fix: &'static str,
        ) -> $crate::model::Meta {
            let section = $crate::model::Section::$section;
            $crate::model::Meta { id, refs, section, title, why, fix, level: $level, effort: $effort, risk: $risk }
        }
    };
}
pub(crate) use meta_of;
