//! `archive-copied`

use stockade_dockerfile::ast::{Copy, Kind, Source};

use super::{Rule, Severity};
use crate::file::File;

const ARCHIVES: [&str; 10] = [".tar", ".tar.bz2", ".tb2", ".tbz", ".tbz2", ".tar.gz", ".tgz", ".tpz", ".tar.xz", ".txz"];

pub(super) static RULE: Rule = Rule {
    id: "archive-copied",
    refs: &["DL3010"],
    severity: Severity::Info,
    default: true,
    finds: "An archive that is copied in and then unpacked.",
    why: "The archive stays in its layer beside its content.",
    instead: "Use ADD, which unpacks local archives.",
    bad: &["FROM a:1\nCOPY x.tar.gz /x/\nRUN tar -xzf /x/x.tar.gz\n"],
    good: &["FROM a:1\nADD x.tar.gz /x/\n", "FROM a:1\nCOPY x.tar.gz /x/\n", "FROM a:1\nCOPY --from=b x.tar /x/\nRUN tar -xf /x/x.tar\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::Copy(copy) = &instruction.kind else { continue };
            if copy.from.is_some() {
                continue;
            }
            for source in &copy.sources {
                let Source::Path(word) = source else { continue };
                let name = word.value.rsplit('/').next().unwrap_or("");
                if ARCHIVES.iter().any(|e| name.ends_with(e)) && unpacked_later(file, copy, name) {
                    out.word(word, format!("archive `{name}` is copied and then unpacked"));
                }
            }
        }
    },
};

fn unpacked_later(file: &File<'_>, copy: &Copy, name: &str) -> bool {
    let target = copy.destination.value.rsplit('/').next().unwrap_or("");
    file.runs().any(|run| {
        run.commands.iter().any(|c| {
            let unpacks = match c.name() {
                "tar" => c.arguments().iter().any(|w| w.text == "--extract" || w.text == "--get" || (!w.text.starts_with("--") && w.text.contains('x') && w.text.len() < 8)),
                "unzip" | "gunzip" | "bunzip2" | "unlzma" | "unxz" | "zgz" | "uncompress" | "zcat" | "gzcat" => true,
                _ => false,
            };
            unpacks && c.arguments().iter().any(|w| {
                let last = w.text.rsplit('/').next().unwrap_or("");
                !last.is_empty() && (last == name || last == target)
            })
        })
    })
}
