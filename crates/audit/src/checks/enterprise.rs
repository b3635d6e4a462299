//! Section 8 of the benchmark: Docker Enterprise, which today's engine is not. Kept so that every id has an answer.

use super::DaemonCheck;
use crate::docker::facts::DockerFacts;
use crate::model::Degree::Low;
use crate::model::{Meta, Section, Verdict};

const fn check(id: &'static str, refs: &'static [&'static str], title: &'static str) -> DaemonCheck {
    DaemonCheck {
        meta: Meta {
            id,
            refs,
            section: Section::Enterprise,
            title,
            why: "It concerns Docker Enterprise's control plane.",
            fix: "Follow the product's own guide.",
            level: 1,
            effort: Low,
            risk: Low,
        },
        test: answer,
    }
}

fn answer(_: &DockerFacts) -> Verdict {
    Verdict::not_applicable("only Docker Enterprise has this")
}

/// All checks of this section.
pub(super) static CHECKS: &[DaemonCheck] = &[
    check("enterprise-ldap", &["CIS-8.1.1"], "Users come from LDAP"),
    check("enterprise-certificates", &["CIS-8.1.2"], "Certificates come from an external authority"),
    check("enterprise-client-bundles", &["CIS-8.1.3"], "Users have client bundles"),
    check("enterprise-roles", &["CIS-8.1.4"], "Access is by role"),
    check("enterprise-signed-images", &["CIS-8.1.5"], "Only signed images run"),
    check("enterprise-session-limit", &["CIS-8.1.6"], "At most three sessions a user"),
    check("enterprise-session-life", &["CIS-8.1.7"], "Sessions end after 15 minutes"),
    check("enterprise-registry-scanning", &["CIS-8.2.1"], "The registry scans images"),
];
