//! `add-for-files`

use stockade_dockerfile::ast::{Kind, Source};

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "add-for-files",
    refs: &["DL3020", "CIS-4.9"],
    severity: Severity::Error,
    default: true,
    finds: "ADD for plain files and directories.",
    why: "ADD fetches URLs and unpacks archives: what it does depends on the name.",
    instead: "Use COPY.",
    bad: &["FROM a:1\nADD x /y\n"],
    good: &["FROM a:1\nCOPY x /y\n", "FROM a:1\nADD x.tar.gz /y\n", "FROM a:1\nADD https://h/x /y\n", "FROM a:1\nADD $X /y\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::Add(add) = &instruction.kind else { continue };
            let like = file.options.as_hadolint;
            let plain = add.sources.iter().all(|s| match s {
                Source::Path(word) => !special(&word.value) || like && word.value.starts_with('$'),
                Source::Heredoc(_) => true,
            });
            if plain {
                out.instruction(instruction, "ADD where COPY does");
                if add.checksum.is_none() && !add.keep_git_dir && add.unpack.is_none() {
                    let span = instruction.keyword.span;
                    out.replace(span.start.offset, span.end.offset, "COPY");
                }
            }
        }
    },
};

fn special(path: &str) -> bool {
    let archive = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".gz", ".bz2", ".xz", ".Z", ".lzma", ".tar.lzma", ".tlz", ".tar.zst", ".zst", ".tb2", ".tbz", ".tpz", ".tZ"];
    let path = path.trim_matches(['"', '\'']);
    archive.iter().any(|e| path.ends_with(e)) || ["http://", "https://", "git@", "git://", "ssh://"].iter().any(|p| path.starts_with(p)) || path.contains('$')
}
