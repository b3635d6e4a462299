//! `shell-replaced-by-link`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "shell-replaced-by-link",
    refs: &["DL4005"],
    severity: Severity::Warning,
    default: true,
    finds: "/bin/sh replaced by a link.",
    why: "Every other script in the image now runs in another shell.",
    instead: "Use the SHELL instruction.",
    bad: &["FROM a:1\nRUN ln -sfv /bin/bash /bin/sh\n"],
    good: &["FROM a:1\nRUN ln -s /x /y\n", "FROM a:1\nSHELL [\"/bin/bash\", \"-c\"]\n"],
    test: |file, out| package::once_a_run(file, out, |_, c| (c.name() == "ln" && c.has_argument("/bin/sh")).then(|| "replaces /bin/sh".to_owned())),
};
