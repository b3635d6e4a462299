//! `sh-set-option`

use super::{Rule, Severity};
use crate::file::Dialect;

pub(super) static RULE: Rule = Rule {
    id: "sh-set-option",
    refs: &["SC3040"],
    severity: Severity::Warning,
    default: true,
    finds: "set -o with an option that only bash has, for sh.",
    why: "The step's shell is sh, which need not know it: Debian's dash does not.",
    instead: "Set SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"].",
    bad: &["RUN set -o pipefail\n", "RUN set -euo pipefail; ls\n"],
    good: &["RUN set -e\n", "RUN set -o errexit\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN set -o pipefail\n"],
    test: |file, out| {
        for script in file.scripts().filter(|s| s.dialect == Dialect::Sh) {
        let posix = ["allexport", "errexit", "ignoreeof", "monitor", "noclobber", "noexec", "noglob", "nolog", "notify", "nounset", "verbose", "vi", "xtrace"];
        for (_, c) in script.tree.simple().filter(|(_, c)| c.name() == "set") {
            for pair in c.arguments().windows(2) {
                let [flag, word] = pair else { continue };
                let option = flag.text.starts_with(['-', '+']) && !flag.text.starts_with("--") && flag.text.ends_with('o');
                if option && !word.expands && !posix.contains(&word.text.as_str()) {
                    out.shell(word, format!("sh has no option {}", word.text));
                }
            }
        }
        }
    },
};
