//! `unpinned-apt`

use super::{Rule, Severity, package};
use crate::file::File;
use crate::model::Edit;
use crate::shell::Word;

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
        if !file.options.pins.is_empty() {
            pin(file, out);
        }
    },
};

/// Gives the findings their fix: the versions that the archive has (`Options::pins`).
fn pin(file: &File<'_>, out: &mut super::Sink<'_>) {
    for (base, word) in unpinned(file) {
        let Some(version) = file.options.pins.get(&base).and_then(|known| known.get(&word.text)) else { continue };
        let line = file.dockerfile.instructions.iter().map(|i| i.span).find(|s| s.start.offset <= word.start && word.end <= s.end.offset);
        out.add_to_fix(line.map(|s| (s.start.line, s.end.line)), Edit { start: word.end, end: word.end, text: format!("={version}") });
    }
}

/// Packages without a version, each with the image that its stage stands on in the end.
pub(crate) fn unpinned<'f>(file: &'f File<'_>) -> Vec<(String, &'f Word)> {
    let mut out = Vec::new();
    for run in file.runs() {
        let Some(base) = file.stage_of(run.index).and_then(|s| base(file, s.index)) else { continue };
        for c in run.commands.iter().filter(|c| package::is_subcommand(c, &["apt-get"], &["install"])) {
            let open = package::packages(c, &["install"], &["-t", "--target-release", "--default-release", "-o", "-c"]);
            let plain = |w: &&Word| w.raw == w.text && !w.expands && !w.text.contains(['=', '/', '*', '?']) && !w.text.ends_with(".deb");
            out.extend(open.into_iter().filter(plain).map(|w| (base.clone(), w)));
        }
    }
    out
}

/// The image at the bottom of a stage: through the stages that it is built on.
fn base(file: &File<'_>, stage: usize) -> Option<String> {
    let mut at = stage;
    loop {
        let (_, from, _) = file.stages().nth(at)?;
        let image = from.image.value.as_str();
        let below = file.stages().take(at).find(|(s, _, _)| s.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(image)));
        match below {
            Some((s, _, _)) => at = s.index,
            None => return Some(image.to_owned()),
        }
    }
}
