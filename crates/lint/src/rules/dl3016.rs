//! `unpinned-npm`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "unpinned-npm",
    refs: &["DL3016"],
    severity: Severity::Warning,
    default: true,
    finds: "npm install without versions.",
    why: "Two builds of the same file can differ.",
    instead: "Write package@version, or install from a lock file with npm ci.",
    bad: &["FROM a:1\nRUN npm install -g x\n", "FROM a:1\nRUN npm install @s/x\n"],
    good: &["FROM a:1\nRUN npm install x@1.0.0\n", "FROM a:1\nRUN npm install\n", "FROM a:1\nRUN npm ci\n", "FROM a:1\nRUN npm install ./x.tgz\n", "FROM a:1\nRUN npm install git+https://h/x.git#v1\n", "FROM a:1\nRUN npm install @s/x@1\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| {
            let install = package::is_subcommand(c, &["npm"], &["install"]);
            if !install {
                return None;
            }
            let found = package::packages(c, &["install"], &["--loglevel", "--registry", "--prefix", "--cache"]);
            let open: Vec<&str> = found.iter().map(|w| w.text.as_str()).filter(|p| !pinned(p)).collect();
            (!open.is_empty()).then(|| format!("no version for {}", open.join(", ")))
        });
    },
};

fn pinned(package: &str) -> bool {
    if ["git://", "git+ssh://", "git+http://", "git+https://", "git+file://", "https://", "http://"].iter().any(|p| package.starts_with(p)) {
        return package.contains('#') || package.starts_with("http");
    }
    if package.ends_with(".tgz") || package.ends_with(".tar.gz") || package.ends_with(".tar") || package.starts_with(['/', '.', '~']) {
        return true;
    }
    package.strip_prefix('@').unwrap_or(package).contains('@')
}
