//! `package-manager-kept`

use crate::shell::Command;

use super::{Rule, Severity, package};

/// Programs that install, with the words that remove something.
const MANAGERS: [&str; 8] = ["apt-get", "apt", "apk", "dnf", "yum", "microdnf", "zypper", "tdnf"];
const REMOVES: [&str; 8] = ["purge", "remove", "del", "erase", "autoremove", "-e", "--purge", "--remove"];
/// Packages and programs without which nothing can be installed any more.
const PARTS: [&str; 10] = ["apt", "apt-get", "dpkg", "apk", "apk-tools", "dnf", "yum", "microdnf", "rpm", "zypper"];

pub(super) static RULE: Rule = Rule {
    id: "package-manager-kept",
    refs: &["SD1007", "CIS-4.3"],
    severity: Severity::Info,
    default: false,
    finds: "A package manager that stays in the image that is built.",
    why: "Who gets into the container installs with it what an attack needs.",
    instead: "Install in a stage before and copy the result, or take the manager out at the end (apk del apk-tools); stockade build --minimize leaves it out, too.",
    bad: &[
        "FROM a:1\nRUN apk add --no-cache x=1\n",
        "FROM a:1 AS b\nRUN apt-get purge -y apt\nFROM c:1\nRUN apt-get install -y x=1\n",
        "FROM a:1\nRUN apk del apk-tools\nRUN apk add x=1\n",
    ],
    good: &[
        "FROM a:1\nCMD [\"x\"]\n",
        "FROM a:1 AS b\nRUN apk add x=1\nFROM c:1\nCOPY --from=b /x /x\n",
        "FROM a:1\nRUN apk add x=1 && apk del apk-tools\n",
        "FROM a:1\nRUN apt-get install -y x=1\nRUN dpkg --purge --force-all apt dpkg\n",
        "FROM a:1\nRUN dnf install -y x-1 && rm -rf /usr/bin/dnf /usr/bin/rpm\n",
    ],
    test: |file, out| {
        let Some((stage, _, _)) = file.stages().last() else { return };
        let runs = file.runs().filter(|r| stage.instructions.contains(&r.index) && !r.onbuild);
        let mut last: Option<&Command> = None;
        for command in runs.flat_map(|r| r.commands) {
            if package::is_subcommand(command, &MANAGERS, &["install", "add"]) {
                last = Some(command);
            } else if takes_out(command) {
                last = None;
            }
        }
        if let Some(command) = last {
            out.command(command, format!("{} stays in the image", command.name()));
        }
    },
};

/// Whether a command removes a package manager, by itself or by its files.
fn takes_out(command: &Command) -> bool {
    let words = || command.arguments().iter().map(|w| w.text.as_str());
    let named = |w: &str| PARTS.contains(&w.rsplit('/').next().unwrap_or(w));
    match command.name() {
        "rm" => words().any(|w| w.contains("bin/") && named(w)),
        "dpkg" | "rpm" => words().any(|w| REMOVES.contains(&w)) && words().any(named),
        name => MANAGERS.contains(&name) && words().any(|w| REMOVES.contains(&w)) && words().any(named),
    }
}
