//! `unpinned-apt`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "unpinned-apt",
    refs: &["DL3008"],
    severity: Severity::Warning,
    default: true,
    finds: "apt-get install without versions.",
    why: "Two builds of the same file can differ.",
    instead: "Write package=version, or build on a fixed snapshot of the archive.",
    bad: &["FROM a:1\nRUN apt-get install -y x\n", "FROM a:1\nRUN apt-get install -y x=1 y\n"],
    good: &["FROM a:1\nRUN apt-get install -y x=1\n", "FROM a:1\nRUN apt-get install -y ./x.deb\n", "FROM a:1\nRUN apt-get install -y -t bookworm x=1\n", "FROM a:1\nRUN apt-get -y install x/stable\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| {
            if !package::is_subcommand(c, &["apt-get"], &["install"]) {
                return None;
            }
            let found = package::packages(c, &["install"], &["-t", "--target-release", "--default-release", "-o", "-c"]);
            let open: Vec<&str> = found.iter().map(|w| w.text.as_str()).filter(|p| !p.contains('=') && !p.contains('/') && !p.ends_with(".deb")).collect();
            (!open.is_empty()).then(|| format!("no version for {}", open.join(", ")))
        });
    },
};
