//! What the package managers' rules share.

use crate::file::{File, RunView};
use crate::shell::{Command, Word};

use super::Sink;

/// Whether a command is `program … subcommand …`.
pub(super) fn is_subcommand(command: &Command, programs: &[&str], subcommands: &[&str]) -> bool {
    programs.contains(&command.name()) && command.arguments().iter().any(|w| subcommands.contains(&w.text.as_str()))
}

/// The word of the subcommand, for places.
pub(super) fn subcommand<'c>(command: &'c Command, names: &[&str]) -> Option<&'c Word> {
    command.arguments().iter().find(|w| names.contains(&w.text.as_str()))
}

/// Operands after the subcommand, without the values of flags that take one.
pub(super) fn packages<'c>(command: &'c Command, subcommands: &[&str], flags_with_value: &[&str]) -> Vec<&'c Word> {
    let mut out = Vec::new();
    let mut value = false;
    let mut started = false;
    for word in command.arguments() {
        if std::mem::take(&mut value) {
            continue;
        }
        if word.text.starts_with('-') && word.text.len() > 1 {
            value = flags_with_value.contains(&word.text.as_str());
            continue;
        }
        if !started && subcommands.contains(&word.text.as_str()) {
            started = true;
            continue;
        }
        if started {
            out.push(word);
        }
    }
    out
}

/// Reports the first run of each instruction that a test holds for: one finding an instruction, as hadolint does.
pub(super) fn once_a_run<'f>(
    file: &'f File<'_>,
    out: &mut Sink<'_>,
    mut test: impl FnMut(&RunView<'_, 'f>, &'f Command) -> Option<String>,
) {
    for run in file.runs() {
        if let Some((command, message)) = run.commands.iter().find_map(|c| Some((c, test(&run, c)?))) {
            out.command(command, message);
        }
    }
}

/// Reports installs that would wait for an answer, and mends them with `-y`.
pub(super) fn asks(file: &File<'_>, out: &mut Sink<'_>, programs: &[&str], subcommands: &[&str], flags: &[&str]) {
    for run in file.runs() {
        let found = run.commands.iter().find(|c| is_subcommand(c, programs, subcommands) && !c.has_flag(flags));
        if let Some(c) = found {
            out.command(c, format!("{} would ask", c.name()));
            if let Some(word) = subcommand(c, subcommands) {
                out.insert(word.end, " -y");
            }
        }
    }
}

/// Where a run's script ends, as a byte offset: the place to add a command.
pub(super) fn end_of_script(run: &RunView<'_, '_>) -> usize {
    let last = run.commands.iter().rev().find(|c| c.depth == 0);
    let words = last.and_then(|c| c.words.last()).map(|w| w.end);
    let redirects = last.and_then(|c| c.redirects.last()).map(|r| r.target.end);
    words.max(redirects).unwrap_or(run.instruction.arguments.span.end.offset)
}

/// Reports installs whose cache stays in the layer, and mends them with the cleaning command.
pub(super) fn leaves_cache(
    file: &File<'_>,
    out: &mut Sink<'_>,
    programs: &[&str],
    subcommands: &[&str],
    caches: &[&str],
    clean: &str,
) {
    for run in file.runs() {
        let cleans = run.commands.iter().any(|c| {
            let by_tool = programs.contains(&c.name())
                && c.arguments().iter().any(|w| ["clean", "cc"].contains(&w.text.as_str()));
            let by_rm = c.name() == "rm" && c.arguments().iter().any(|w| caches.iter().any(|p| w.text.starts_with(p)));
            by_tool || by_rm
        });
        if cleans || caches.iter().any(|p| run.mounted(p)) {
            continue;
        }
        if let Some(c) = run.commands.iter().find(|c| is_subcommand(c, programs, subcommands)) {
            out.command(c, "the package manager's cache stays in the layer");
            let program = c.name();
            let clean = clean.split_once(' ').map_or(clean.to_owned(), |(_, rest)| format!("{program} {rest}"));
            out.insert(end_of_script(&run), format!(" && {clean}"));
        }
    }
}

/// Reports yum and dnf installs without versions; modules have theirs after a colon.
pub(super) fn rpm_unpinned(file: &File<'_>, out: &mut Sink<'_>, programs: &[&str]) {
    once_a_run(file, out, |_, c| {
        if !is_subcommand(c, programs, &["install"]) {
            return None;
        }
        let module = c.has_argument("module");
        let found =
            packages(c, &["install"], &["--enablerepo", "--disablerepo", "--installroot", "--releasever", "-c"]);
        let dash = |p: &str| if file.options.as_hadolint { p.contains('-') } else { rpm_version(p) };
        let pinned = |p: &str| {
            if module { p.contains(':') } else { dash(p) || p.ends_with(".rpm") && !file.options.as_hadolint }
        };
        let open: Vec<&str> = found.iter().map(|w| w.text.as_str()).filter(|p| !pinned(p)).collect();
        (!open.is_empty()).then(|| format!("no version for {}", open.join(", ")))
    });
}

/// `name-1.2`: a dash with a digit or a variable after it.
fn rpm_version(package: &str) -> bool {
    package
        .match_indices('-')
        .any(|(i, _)| package.get(i + 1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit() || c == '$')))
}

/// Whether what a run leaves behind reaches an image: in the last stage, and in those that another builds on.
pub(super) fn stays(file: &File<'_>, run: &RunView<'_, '_>) -> bool {
    let Some(stage) = file.stage_of(run.index) else { return true };
    let last = file.dockerfile.stages.last().is_some_and(|s| s.index == stage.index);
    last || stage.name.as_deref().is_some_and(|n| file.stages().any(|(_, f, _)| f.image.value.eq_ignore_ascii_case(n)))
}

/// The same by hadolint: in every stage that is written like the last one, and in those whose alias is an image's name.
pub(super) fn stays_for_hadolint(file: &File<'_>, run: &RunView<'_, '_>) -> bool {
    let Some(stage) = file.stage_of(run.index) else { return true };
    let from_of = |index: usize| file.stages().nth(index).map(|(_, from, _)| from);
    let (Some(own), Some(last)) = (from_of(stage.index), file.stages().last().map(|(_, from, _)| from)) else {
        return true;
    };
    let name = |from: &stockade_dockerfile::ast::From| from.name.as_ref().map(|n| n.value.clone());
    let platform = |from: &stockade_dockerfile::ast::From| from.platform.as_ref().map(|p| p.value.clone());
    let same = own.image.value == last.image.value && name(own) == name(last) && platform(own) == platform(last);
    same || name(own).is_some_and(|n| file.stages().any(|(_, from, _)| image_name(&from.image.value) == n))
}

/// An image without the registry as hadolint sees it: a first part with a dot in it.
pub(super) fn without_registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((registry, rest)) if registry.contains('.') => rest,
        _ => image,
    }
}

/// An image's name for hadolint: without registry, tag and digest.
pub(super) fn image_name(image: &str) -> &str {
    without_registry(image).split(['@', ':']).next().unwrap_or("")
}

/// Reports a builder's commands in steps without a cache mount whose target has one of these in it.
pub(super) fn without_cache_mount(
    file: &File<'_>,
    out: &mut Sink<'_>,
    program: &str,
    subcommands: &[&str],
    caches: &[&str],
) {
    once_a_run(file, out, |run, c| {
        let cached = run.run.mounts.iter().any(|m| {
            let text = m.raw.value.as_str();
            (text.contains("type=cache") || text.contains("type=tmpfs")) && caches.iter().any(|c| text.contains(c))
        });
        (!cached && is_subcommand(c, &[program], subcommands))
            .then(|| format!("{program} fills a cache that is thrown away"))
    });
}
