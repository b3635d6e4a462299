//! `unpinned-pip`

use super::{Rule, Severity, package};
use crate::shell::Command;

pub(super) static RULE: Rule = Rule {
    id: "unpinned-pip",
    refs: &["DL3013"],
    severity: Severity::Warning,
    default: true,
    finds: "pip install without versions.",
    why: "Two builds of the same file can differ.",
    instead: "Write package==version, or install from a requirements file with versions.",
    bad: &["FROM a:1\nRUN pip install x\n", "FROM a:1\nRUN python3 -m pip install x\n", "FROM a:1\nRUN pip3 install --user x==1 y\n"],
    good: &["FROM a:1\nRUN pip install x==1\n", "FROM a:1\nRUN pip install -r r.txt\n", "FROM a:1\nRUN pip install .\n", "FROM a:1\nRUN pip install -c constraints.txt x\n", "FROM a:1\nRUN pip install git+https://h/x@v1\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| {
            if !is_pip_install(c) || has_file_flag(c) || c.has_argument(".") {
                return None;
            }
            let with_value = ["-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-e", "--editable", "-t", "--target", "--platform", "--python-version", "--implementation", "--abi", "--root", "--prefix", "-b", "--build", "--src", "--upgrade-strategy", "--install-option", "--global-option", "--no-binary", "--only-binary", "--progress-bar", "--proxy", "--trusted-host", "--timeout", "--cache-dir", "--retries"];
            let found = package::packages(c, &["install"], &with_value);
            let open: Vec<&str> = found.iter().map(|w| w.text.as_str()).filter(|p| !pinned(p)).collect();
            (!open.is_empty()).then(|| format!("no version for {}", open.join(", ")))
        });
    },
};

pub(super) fn is_pip_install(c: &Command) -> bool {
    let pip = c.name().starts_with("pip") && !c.name().starts_with("pipenv") && !c.name().starts_with("pipx");
    let module = c.name().starts_with("python") && c.arguments().windows(2).any(|w| matches!(w, [m, p] if m.text == "-m" && p.text == "pip"));
    (pip || module) && c.has_argument("install")
}

fn has_file_flag(c: &Command) -> bool {
    c.arguments().iter().any(|w| {
        ["-r", "--requirement", "-c", "--constraint"].contains(&w.text.as_str()) || w.text.starts_with("--requirement=") || w.text.starts_with("--constraint=") || w.text == "--"
    })
}

fn pinned(package: &str) -> bool {
    let name_ends = [".whl", ".tar.gz", ".zip"].iter().any(|e| package.ends_with(e));
    let compared = ["==", ">=", "<=", "~=", "!=", ">", "<", "===", "@"].iter().any(|o| package.contains(o));
    name_ends || compared || package.starts_with(['.', '/', '~']) || package.contains('/') && !package.contains("://") || package.starts_with("file://")
}
