//! `distribution-upgrade`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "distribution-upgrade",
    refs: &["DL3005"],
    severity: Severity::Error,
    default: false,
    finds: "apt-get dist-upgrade or full-upgrade in a build.",
    why: "It turns the base into another release than the one its name says, differently each day.",
    instead: "Use a newer base image.",
    bad: &["FROM a:1\nRUN apt-get dist-upgrade -y\n"],
    good: &["FROM a:1\nRUN apt-get upgrade -y\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| {
            package::is_subcommand(c, &["apt-get"], &["dist-upgrade"]).then(|| "upgrades the distribution in a build".to_owned())
        });
    },
};
