//! `copy-before-install`

use stockade_dockerfile::ast::{Kind, Source};

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "copy-before-install",
    refs: &["SD1005"],
    severity: Severity::Info,
    default: true,
    finds: "The whole context copied before dependencies are installed.",
    why: "Every change of any file installs them again.",
    instead: "Copy the lock file, install, then copy the rest.",
    bad: &["FROM a:1\nWORKDIR /w\nCOPY . .\nRUN npm ci\n", "FROM a:1\nWORKDIR /w\nADD . /w\nRUN pip install --no-cache-dir -r requirements.txt\n"],
    good: &["FROM a:1\nWORKDIR /w\nCOPY package.json .\nRUN npm ci\nCOPY . .\n", "FROM a:1\nWORKDIR /w\nCOPY . .\nRUN make\n", "FROM a:1\nWORKDIR /w\nCOPY . .\nFROM b:1\nRUN npm ci\n"],
    test: |file, out| {
        let mut copied = false;
        let mut runs = file.runs().peekable();
        for (index, instruction) in file.instructions().enumerate() {
            match &instruction.kind {
                Kind::From(_) => copied = false,
                Kind::Copy(c) if c.from.is_none() => copied |= whole(&c.sources),
                Kind::Add(a) => copied |= whole(&a.sources),
                _ => {}
            }
            let Some(run) = runs.next_if(|r| r.index == index) else { continue };
            let install = run.commands.iter().find(|c| {
                let words: Vec<&str> = c.arguments().iter().map(|w| w.text.as_str()).collect();
                
                match c.name() {
                    "npm" => words.first().is_some_and(|w| ["ci", "install", "i"].contains(w)) && words.iter().skip(1).all(|w| w.starts_with('-')),
                    "yarn" | "pnpm" | "bun" => words.is_empty() || words.first() == Some(&"install"),
                    "pip" | "pip3" => words.contains(&"-r") || words.contains(&"--requirement"),
                    "bundle" | "composer" | "poetry" => words.first() == Some(&"install"),
                    "go" => words.starts_with(&["mod", "download"]),
                    "apt-get" | "apk" | "dnf" | "yum" => words.iter().any(|w| ["install", "add"].contains(w)),
                    _ => false,
                }
            });
            if let Some(c) = install.filter(|_| copied) {
                out.command(c, "runs again after every change of any file");
                copied = false;
            }
        }
    },
};

fn whole(sources: &[Source]) -> bool {
    sources.iter().any(|s| matches!(s, Source::Path(w) if [".", "./", "/", "*"].contains(&w.value.as_str())))
}
