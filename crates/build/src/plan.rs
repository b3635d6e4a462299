//! From a Dockerfile to a graph of stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use stockade_dockerfile::ast::{Instruction, Kind};
use stockade_dockerfile::expand::Expander;
use stockade_dockerfile::{Diagnostic, Diagnostics, Dockerfile, Span, Word, nearest};

use crate::error::BuildError;
use crate::scope::{Globals, machine_platform};

/// What a stage stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BaseRef {
    Scratch,
    Stage(usize),
    Image(String),
}

/// What a `--from` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FromRef {
    Stage(usize),
    Context(String),
    Image(String),
}

/// A stage with its `FROM` understood.
#[derive(Debug, Clone)]
pub(crate) struct PlannedStage {
    pub(crate) base: BaseRef,
    /// For progress lines: the name, or `stage-N`.
    pub(crate) label: String,
    /// Stages it needs, with the place that says so.
    needs: Vec<(usize, Span)>,
}

/// The graph.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) dockerfile: Arc<Dockerfile>,
    pub(crate) globals: Globals,
    pub(crate) stages: Vec<PlannedStage>,
    pub(crate) target: usize,
    /// Stages to build, each after those it needs.
    pub(crate) order: Vec<usize>,
    /// Names of build arguments that `ARG` before the first `FROM` took.
    pub(crate) used_args: Vec<String>,
}

/// What a plan depends on besides the file.
pub(crate) struct PlanInput<'p> {
    pub(crate) build_args: &'p BTreeMap<String, String>,
    pub(crate) target: Option<&'p str>,
    /// Names of `--build-context`.
    pub(crate) contexts: Vec<String>,
    /// Names of `--build-context` that stand for images.
    pub(crate) images: BTreeMap<String, String>,
    /// Look at every stage, not only at what the target needs.
    pub(crate) all_stages: bool,
}

/// Plans a build. All mistakes are reported at once.
pub(crate) fn plan(dockerfile: Dockerfile, input: &PlanInput<'_>) -> Result<Plan, BuildError> {
    let dockerfile = Arc::new(dockerfile);
    let mut faults = Vec::new();
    let mut used_args = Vec::new();
    let mut globals = Globals::new(input.target.unwrap_or("default"));
    read_globals(&dockerfile, input, &mut globals, &mut used_args, &mut faults);
    let stages = stages(&dockerfile, input, &globals, &mut faults);
    let target = find_target(&dockerfile, input.target)?;
    let mut order = Vec::new();
    let roots: Vec<usize> = if input.all_stages { (0..stages.len()).collect() } else { vec![target] };
    sort(&stages, &roots, &mut order, &mut faults);
    if !faults.is_empty() {
        faults.sort_by_key(|d: &Diagnostic| d.span.start);
        let items = faults;
        let (file, text) = (dockerfile.file.clone(), Arc::clone(&dockerfile.text));
        return Err(BuildError::Dockerfile(Diagnostics { file, text, items }));
    }
    Ok(Plan { dockerfile, globals, stages, target, order, used_args })
}

/// Number of the stage that a `--from` or a target names: by name, else by number.
fn stage_by_name(dockerfile: &Dockerfile, text: &str) -> Option<usize> {
    let lower = text.to_lowercase();
    dockerfile.stages.iter().rposition(|s| s.name.as_deref() == Some(lower.as_str()))
}

fn stage_by_number(dockerfile: &Dockerfile, text: &str) -> Option<usize> {
    let number = text.parse::<usize>().ok()?;
    (number < dockerfile.stages.len()).then_some(number)
}

fn find_target(dockerfile: &Dockerfile, target: Option<&str>) -> Result<usize, BuildError> {
    let last = dockerfile.stages.len().saturating_sub(1);
    let Some(target) = target else { return Ok(last) };
    stage_by_name(dockerfile, target).or_else(|| stage_by_number(dockerfile, target)).ok_or_else(|| {
        let names: Vec<&str> = dockerfile.stages.iter().filter_map(|s| s.name.as_deref()).collect();
        let mut known = match names.is_empty() {
            true => format!("without names, numbered 0 to {last}"),
            false => names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "),
        };
        if let Some(near) = nearest(target, names) {
            known.push_str(&format!("; did you mean `{near}`?"));
        }
        BuildError::NoTarget { target: target.to_owned(), file: dockerfile.file.clone(), known }
    })
}

fn read_globals(
    dockerfile: &Dockerfile,
    input: &PlanInput<'_>,
    globals: &mut Globals,
    used: &mut Vec<String>,
    faults: &mut Vec<Diagnostic>,
) {
    for instruction in dockerfile.preamble() {
        let Kind::Arg(declarations) = &instruction.kind else { continue };
        for declaration in declarations {
            let name = &declaration.name.value;
            let value = match (input.build_args.get(name), &declaration.value) {
                (Some(given), _) => {
                    used.push(name.clone());
                    Some(given.clone())
                }
                (None, Some(default)) => expand_global(dockerfile, globals, default, faults),
                (None, None) => None,
            };
            if let Some(value) = value {
                globals.set(name, value);
            }
        }
    }
}

fn expand_global(
    dockerfile: &Dockerfile,
    globals: &Globals,
    word: &Word,
    faults: &mut Vec<Diagnostic>,
) -> Option<String> {
    let lookup = |name: &str| globals.get(name);
    match Expander::new(dockerfile.escape, &lookup).word(&word.value) {
        Ok(value) => Some(value),
        Err(e) => {
            faults.push(Diagnostic::error("expansion", word.span, e.to_string()));
            None
        }
    }
}

fn stages(
    dockerfile: &Dockerfile,
    input: &PlanInput<'_>,
    globals: &Globals,
    faults: &mut Vec<Diagnostic>,
) -> Vec<PlannedStage> {
    let mut out: Vec<PlannedStage> = Vec::new();
    for stage in &dockerfile.stages {
        let label = stage.name.clone().unwrap_or_else(|| format!("stage-{}", stage.index));
        let mut planned = PlannedStage { base: BaseRef::Scratch, label, needs: Vec::new() };
        let instructions = dockerfile.stage_instructions(stage);
        if let Some((first, rest)) = instructions.split_first() {
            if let Kind::From(from) = &first.kind {
                planned.base = base(dockerfile, stage.index, from, input, globals, faults);
                if let BaseRef::Stage(index) = planned.base {
                    planned.needs.push((index, from.image.span));
                }
            }
            for (word, span) in rest.iter().flat_map(from_words) {
                if let FromRef::Stage(index) = from_ref(dockerfile, &input.contexts, &input.images, &word) {
                    planned.needs.push((index, span));
                }
            }
        }
        out.push(planned);
    }
    out
}

fn base(
    dockerfile: &Dockerfile,
    index: usize,
    from: &stockade_dockerfile::From,
    input: &PlanInput<'_>,
    globals: &Globals,
    faults: &mut Vec<Diagnostic>,
) -> BaseRef {
    if let Some(platform) = &from.platform
        && let Some(text) = expand_global(dockerfile, globals, platform, faults)
        && !is_own_platform(&text)
    {
        let own = machine_platform();
        faults.push(
            Diagnostic::error("platform", platform.span, format!("this machine builds for {own}, not `{text}`"))
                .help(format!("leave `--platform` out, or write `--platform={own}`")),
        );
    }
    let Some(image) = expand_global(dockerfile, globals, &from.image, faults) else { return BaseRef::Scratch };
    if image.is_empty() {
        faults.push(
            Diagnostic::error("blank-base", from.image.span, "the image of `FROM` is empty after expansion")
                .help("give the `ARG` before `FROM` a default, or a value with `--build-arg`"),
        );
        return BaseRef::Scratch;
    }
    if image == "scratch" {
        return BaseRef::Scratch;
    }
    if let Some(real) = input.images.get(&image) {
        return BaseRef::Image(real.clone());
    }
    if input.contexts.contains(&image) {
        faults.push(
            Diagnostic::error(
                "context-base",
                from.image.span,
                format!("`{image}` is a build context: files, no image"),
            )
            .help(format!("begin with `FROM scratch`, then `COPY --from={image} . /`")),
        );
        return BaseRef::Scratch;
    }
    let lower = image.to_lowercase();
    let earlier = dockerfile.stages.get(..index).unwrap_or_default();
    match earlier.iter().rposition(|s| s.name.as_deref() == Some(lower.as_str())) {
        Some(stage) => BaseRef::Stage(stage),
        None => BaseRef::Image(image),
    }
}

/// Whether a platform, as written, is this machine's. An empty one is "whatever the image is".
pub(crate) fn is_own_platform(text: &str) -> bool {
    let (arch, _) = crate::scope::machine();
    let normal = text.to_ascii_lowercase().replace("x86_64", "amd64").replace("aarch64", "arm64");
    let normal = normal.trim_end_matches("/v8");
    normal.is_empty() || normal == arch || normal == "linux" || normal == machine_platform() || normal == "local"
}

/// Every `--from` of an instruction: `COPY --from` and `RUN --mount=from=`, also behind `ONBUILD`-less nesting.
fn from_words(instruction: &Instruction) -> Vec<(String, Span)> {
    match &instruction.kind {
        Kind::Copy(copy) => copy.from.iter().map(|w| (w.value.clone(), w.span)).collect(),
        Kind::Run(run) => run.mounts.iter().filter_map(|m| m.field("from").map(|f| (f.to_owned(), m.span()))).collect(),
        _ => Vec::new(),
    }
}

/// What `text` names: a build context, a stage by name or number, else an image.
pub(crate) fn from_ref(
    dockerfile: &Dockerfile,
    contexts: &[String],
    images: &BTreeMap<String, String>,
    text: &str,
) -> FromRef {
    if let Some(image) = images.get(text) {
        return FromRef::Image(image.clone());
    }
    if contexts.iter().any(|c| c == text) {
        return FromRef::Context(text.to_owned());
    }
    match stage_by_name(dockerfile, text).or_else(|| stage_by_number(dockerfile, text)) {
        Some(index) => FromRef::Stage(index),
        None => FromRef::Image(text.to_owned()),
    }
}

/// Depth-first order, without recursion: a file may have thousands of stages. Circles are reported.
fn sort(stages: &[PlannedStage], roots: &[usize], order: &mut Vec<usize>, faults: &mut Vec<Diagnostic>) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; stages.len()];
    for root in roots {
        if marks.get(*root) != Some(&Mark::New) {
            continue;
        }
        marks[*root] = Mark::Open;
        let mut path: Vec<(usize, usize)> = vec![(*root, 0)];
        while let Some((stage, next)) = path.last().copied() {
            let Some((need, span)) = stages.get(stage).and_then(|s| s.needs.get(next)).copied() else {
                marks[stage] = Mark::Done;
                order.push(stage);
                path.pop();
                continue;
            };
            if let Some(top) = path.last_mut() {
                top.1 += 1;
            }
            match marks.get(need) {
                Some(Mark::New) => {
                    marks[need] = Mark::Open;
                    path.push((need, 0));
                }
                Some(Mark::Open) => {
                    let label = |i: usize| stages.get(i).map_or_else(String::new, |s| s.label.clone());
                    let from = path.iter().position(|(s, _)| *s == need).unwrap_or_default();
                    let mut circle: Vec<String> = path.iter().skip(from).map(|(s, _)| label(*s)).collect();
                    circle.push(label(need));
                    let message = format!("stages need each other in a circle: {}", circle.join(" → "));
                    faults.push(Diagnostic::error("circular-stages", span, message));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(text: &str, target: Option<&str>, args: &[(&str, &str)]) -> Result<Plan, BuildError> {
        let dockerfile = stockade_dockerfile::parse(text.as_bytes(), "Dockerfile").unwrap();
        let build_args = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        plan(
            dockerfile,
            &PlanInput {
                build_args: &build_args,
                target,
                contexts: Vec::new(),
                images: BTreeMap::new(),
                all_stages: false,
            },
        )
    }

    #[test]
    fn only_what_the_target_needs_is_built_in_order() {
        let text =
            "FROM a AS one\nFROM b AS unused\nFROM one AS three\nFROM c\nCOPY --from=three /x /\nCOPY --from=0 /y /\n";
        let plan = make(text, None, &[]).unwrap();
        assert_eq!(plan.order, [0, 2, 3]);
        assert_eq!(plan.stages[2].base, BaseRef::Stage(0));
        assert_eq!(make(text, Some("UNUSED"), &[]).unwrap().order, [1]);
        assert_eq!(make(text, Some("0"), &[]).unwrap().order, [0]);
        let error = make(text, Some("thre"), &[]).unwrap_err().to_string();
        assert!(error.contains("did you mean `three`?"), "{error}");
    }

    #[test]
    fn arguments_before_from_choose_the_base() {
        let text = "ARG V=12\nARG BASE=debian:${V}-slim\nFROM ${BASE}\n";
        assert_eq!(make(text, None, &[]).unwrap().stages[0].base, BaseRef::Image("debian:12-slim".into()));
        assert_eq!(make(text, None, &[("V", "13")]).unwrap().stages[0].base, BaseRef::Image("debian:13-slim".into()));
        assert!(make("ARG B\nFROM $B\n", None, &[]).unwrap_err().to_string().contains("empty after expansion"));
        assert!(make("FROM ${B:?missing}\n", None, &[]).unwrap_err().to_string().contains("missing"));
    }

    #[test]
    fn circles_are_named() {
        let text = "FROM x AS a\nCOPY --from=b / /\nFROM y AS b\nCOPY --from=a / /\n";
        let error = make(text, None, &[]).unwrap_err().to_string();
        assert!(error.contains("b → a → b"), "{error}");
        assert!(make("FROM x AS a\nCOPY --from=a / /\n", None, &[]).is_err());
    }

    #[test]
    fn foreign_platforms_are_refused_by_name() {
        assert!(make("FROM --platform=$BUILDPLATFORM x\n", None, &[]).is_ok());
        let error = make("FROM --platform=plan9/mips x\n", None, &[]).unwrap_err().to_string();
        assert!(error.contains("plan9/mips"), "{error}");
    }
}
