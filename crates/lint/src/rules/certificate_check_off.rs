//! `certificate-check-off`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};
use crate::shell::Command;

pub(super) static RULE: Rule = Rule {
    id: "certificate-check-off",
    refs: &["SD1004", "CIS-4.11"],
    severity: Severity::Error,
    default: true,
    finds: "A download whose server or packages are not verified.",
    why: "Anyone on the way can put something else there.",
    instead: "Install ca-certificates, or give the server's own CA.",
    bad: &["FROM a:1\nRUN curl -k https://h/x\n", "FROM a:1\nRUN wget -q --no-check-certificate https://h/x\n", "FROM a:1\nRUN pip install --trusted-host h x==1\n", "FROM a:1\nENV NODE_TLS_REJECT_UNAUTHORIZED=0\n", "FROM a:1\nRUN git config --global http.sslVerify false\n", "FROM a:1\nRUN apt-get install -y --allow-unauthenticated x=1\n"],
    good: &["FROM a:1\nRUN curl -fsSL https://h/x\n", "FROM a:1\nRUN wget -q https://h/x\n", "FROM a:1\nRUN curl --key k https://h\n"],
    test: |file, out| {
        for run in file.runs() {
            for c in run.commands.iter().filter(|c| unverified(c)) {
                out.command(c, "does not verify what it fetches");
            }
        }
        for instruction in file.instructions() {
            let Kind::Env(pairs) = &instruction.kind else { continue };
            for pair in pairs {
                let value = pair.value.value.trim_matches(['"', '\'']);
                let off = matches!((pair.key.value.as_str(), value), ("NODE_TLS_REJECT_UNAUTHORIZED" | "PYTHONHTTPSVERIFY", "0") | ("GIT_SSL_NO_VERIFY", "1" | "true"));
                if off {
                    out.word(&pair.key, format!("`{}` switches verification off", pair.key.value));
                }
            }
        }
    },
};

fn unverified(c: &Command) -> bool {
    let short = |flag: char| c.arguments().iter().any(|w| w.text.starts_with('-') && !w.text.starts_with("--") && w.text.contains(flag));
    match c.name() {
        "curl" => short('k') || c.has_flag(&["insecure"]),
        "wget" => c.has_flag(&["no-check-certificate"]),
        "pip" | "pip3" => c.has_flag(&["trusted-host"]),
        "git" => c.arguments().windows(2).any(|w| matches!(w, [k, v] if k.text == "http.sslVerify" && v.text == "false")),
        "npm" | "yarn" => c.arguments().windows(2).any(|w| matches!(w, [k, v] if k.text == "strict-ssl" && v.text == "false")),
        "apt-get" | "apt" => c.has_flag(&["allow-unauthenticated", "force-yes", "allow-insecure-repositories"]),
        "yum" | "dnf" | "microdnf" => c.has_flag(&["nogpgcheck"]),
        "zypper" => c.has_flag(&["no-gpg-checks"]),
        "apk" => c.has_flag(&["allow-untrusted"]),
        _ => false,
    }
}
