//! Planning and caching with the real store and steps that are played by a function.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use stockade_build::{BuildError, BuildEvents, BuildRequest, Builder, Executor, Finish, StepId};
use stockade_config::{Inputs, Settings};
use stockade_engine::{EngineError, StepRequest, StepStream};
use stockade_image::Store;

/// What a played step does with the new layer's directory.
type Play<'f> = dyn Fn(&StepRequest, &str) -> i32 + Sync + 'f;

struct Player<'p> {
    play: &'p Play<'p>,
    /// The last argument of every step that ran.
    ran: Mutex<Vec<String>>,
}

impl Executor for Player<'_> {
    fn run(&self, step: &StepRequest, out: &mut dyn FnMut(StepStream, &[u8])) -> Result<i32, EngineError> {
        let text = step.args.last().cloned().unwrap_or_default();
        self.ran.lock().unwrap().push(text.clone());
        out(StepStream::Stdout, format!("did {text}\n").as_bytes());
        Ok((self.play)(step, &text))
    }
}

/// Writes every step's text to the file `/log-N`.
fn write_log(step: &StepRequest, text: &str) -> i32 {
    fs::write(step.upper.join(format!("log-{}", text.len())), text).unwrap();
    0
}

#[derive(Default)]
struct Recorder {
    names: Mutex<BTreeMap<StepId, String>>,
    ends: Mutex<Vec<(String, Finish)>>,
    warnings: Mutex<Vec<String>>,
}

impl Recorder {
    fn cached(&self) -> usize {
        self.ends.lock().unwrap().iter().filter(|(_, f)| *f == Finish::Cached).count()
    }
}

impl BuildEvents for Recorder {
    fn started(&self, step: StepId, name: &str) {
        self.names.lock().unwrap().insert(step, name.to_owned());
    }
    fn output(&self, _: StepId, _: StepStream, _: &[u8]) {}
    fn status(&self, _: StepId, _: &str) {}
    fn finished(&self, step: StepId, finish: &Finish) {
        let name = self.names.lock().unwrap().get(&step).cloned().unwrap();
        self.ends.lock().unwrap().push((name, finish.clone()));
    }
    fn warning(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }
}

struct World {
    dir: tempfile::TempDir,
    settings: Settings,
    store: Store,
}

#[derive(Debug)]
struct NoEnvironment;
impl stockade_config::Environment for NoEnvironment {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}

impl World {
    fn new() -> Option<World> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: layers are written as root");
            return None;
        }
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let (root, run) = (dir.path().join("root"), dir.path().join("run"));
        let config = dir.path().join("empty.toml");
        fs::write(&config, "").unwrap();
        fs::create_dir(dir.path().join("ctx")).unwrap();
        let inputs = Inputs {
            root: Some(&root),
            run: Some(&run),
            config: Some(&config),
            project: None,
            environment: &NoEnvironment,
            root_user: true,
        };
        let settings = Settings::resolve(&inputs).unwrap();
        let store = Store::open(&root).unwrap();
        Some(World { dir, settings, store })
    }

    fn context(&self) -> PathBuf {
        self.dir.path().join("ctx")
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn build(
        &self,
        dockerfile: &str,
        play: &Play<'_>,
        change: impl FnOnce(&mut BuildRequest),
    ) -> (Result<stockade_build::BuildOutcome, BuildError>, Vec<String>, Recorder) {
        self.file("Dockerfile", dockerfile);
        let mut request = BuildRequest::new(self.context());
        change(&mut request);
        let player = Player { play, ran: Mutex::default() };
        let events = Recorder::default();
        let result = Builder::new(&self.store, &player, &self.settings).build(&request, &events);
        (result, player.ran.into_inner().unwrap(), events)
    }

    fn runs(&self, dockerfile: &str) -> Vec<String> {
        let (result, ran, _) = self.build(dockerfile, &write_log, |_| {});
        result.unwrap();
        ran
    }
}

#[test]
fn a_step_runs_again_exactly_when_what_it_sees_changed() {
    let Some(w) = World::new() else { return };
    let file = |env: &str, user: &str, last: &str| {
        format!("FROM scratch\nENV E={env}\nUSER {user}\nRUN one\nLABEL l=1\nRUN {last}\n")
    };
    assert_eq!(w.runs(&file("1", "root", "two")), ["one", "two"]);
    assert_eq!(w.runs(&file("1", "root", "two")), [""; 0]);
    assert_eq!(w.runs(&file("1", "root", "three")), ["three"]);
    assert_eq!(w.runs(&file("2", "root", "two")), ["one", "two"]);
    assert_eq!(w.runs(&file("1", "web", "two")), ["one", "two"]);
    assert_eq!(w.runs(&file("1", "root", "two").replace("l=1", "l=2")), [""; 0], "a label is nothing a step sees");
    assert_eq!(w.runs("FROM scratch\nENV E=1\nUSER root\nRUN --network=none one\n"), ["one"]);
    let (result, ran, _) = w.build(&file("1", "root", "two"), &write_log, |r| r.no_cache = true);
    result.unwrap();
    assert_eq!(ran, ["one", "two"]);
}

#[test]
fn build_arguments_count_for_steps_after_their_declaration_and_proxies_never() {
    let Some(w) = World::new() else { return };
    let build = |arguments: &[(&str, &str)]| {
        let (result, ran, _) = w.build("FROM scratch\nRUN one\nARG V=0\nRUN two\n", &write_log, |r| {
            r.build_args = arguments.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        });
        result.unwrap();
        ran
    };
    assert_eq!(build(&[]), ["one", "two"]);
    assert_eq!(build(&[("V", "0")]), [""; 0]);
    assert_eq!(build(&[("V", "1")]), ["two"]);
    assert_eq!(build(&[("V", "1"), ("http_proxy", "http://p:1")]), [""; 0]);
}

#[test]
fn copied_files_count_by_content_and_mode_not_by_time() {
    let Some(w) = World::new() else { return };
    let dockerfile = "FROM scratch\nCOPY a /x/\nRUN after\n";
    w.file("a", "1");
    w.file("unrelated", "1");
    assert_eq!(w.runs(dockerfile), ["after"]);
    w.file("unrelated", "2");
    w.file("a", "1");
    assert_eq!(w.runs(dockerfile), [""; 0]);
    w.file("a", "2");
    assert_eq!(w.runs(dockerfile), ["after"]);
    w.file("a", "1");
    assert_eq!(w.runs(dockerfile), [""; 0], "the old result is still there");
}

#[test]
fn only_needed_stages_run_and_an_equal_stage_result_keeps_what_follows_cached() {
    let Some(w) = World::new() else { return };
    let dockerfile = |first: &str| {
        format!(
            "FROM scratch AS a\nRUN {first}\nFROM scratch AS unused\nRUN never\nFROM scratch\nCOPY --from=a /same /\nRUN last\n"
        )
    };
    let same = |step: &StepRequest, text: &str| {
        fs::write(step.upper.join("same"), "always this").unwrap();
        fs::write(step.upper.join("other"), text).unwrap();
        0
    };
    let (result, ran, _) = w.build(&dockerfile("one"), &same, |_| {});
    result.unwrap();
    assert_eq!(ran, ["one", "last"]);
    let (result, ran, _) = w.build(&dockerfile("two"), &same, |_| {});
    result.unwrap();
    assert_eq!(ran, ["two"], "the copied file has the same content, so nothing after it runs");
}

#[test]
fn a_failing_step_stops_other_stages_and_nothing_is_tagged() {
    let Some(w) = World::new() else { return };
    let dockerfile = "FROM scratch AS a\nRUN fail\nFROM scratch\nRUN fine\nCOPY --from=a / /\n";
    let play = |step: &StepRequest, text: &str| if text == "fail" { 3 } else { write_log(step, text) };
    let (result, _, _) = w.build(dockerfile, &play, |r| r.tags = vec!["x".parse().unwrap()]);
    let Err(BuildError::Step(failure)) = result else { panic!("{result:?}") };
    assert_eq!((failure.exit_code, failure.line, failure.tail.as_str()), (3, 2, "did fail"));
    assert!(w.store.resolve("x").unwrap().is_none());
}

#[test]
fn independent_stages_run_at_the_same_time() {
    let Some(w) = World::new() else { return };
    // Each of the two waits for the other to have begun: one after the other would never end.
    let barrier = std::sync::Barrier::new(2);
    let play = |step: &StepRequest, text: &str| {
        barrier.wait();
        write_log(step, text)
    };
    let dockerfile = "FROM scratch AS a\nRUN left\nFROM scratch AS b\nRUN right-\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n";
    let (result, mut ran, _) = w.build(dockerfile, &play, |_| {});
    result.unwrap();
    ran.sort();
    assert_eq!(ran, ["left", "right-"]);
}

#[test]
fn a_step_that_changes_nothing_makes_an_empty_layer_and_repeats_are_named_once() {
    let Some(w) = World::new() else { return };
    let lowers = Mutex::new(Vec::new());
    let play = |step: &StepRequest, _: &str| {
        lowers.lock().unwrap().push(step.lower.clone());
        0
    };
    let (result, _, _) = w.build("FROM scratch\nRUN a\nRUN b\nRUN c\n", &play, |_| {});
    let image = result.unwrap().image.unwrap();
    assert_eq!(image.config.rootfs.diff_ids.len(), 3);
    assert_eq!(image.config.rootfs.diff_ids[0], image.config.rootfs.diff_ids[2]);
    assert_eq!(lowers.lock().unwrap()[2].len(), 1);
    assert_eq!(image.config.history.len(), 3);
}

#[test]
fn ten_thousand_instructions_and_a_thousand_stages() {
    let Some(w) = World::new() else { return };
    let mut text = "FROM scratch\n".to_owned();
    for i in 0..10_000 {
        text.push_str(&format!("ENV V{i}={i}\n"));
    }
    let (result, _, _) = w.build(&text, &write_log, |_| {});
    assert_eq!(result.unwrap().image.unwrap().config.config.env.len(), 10_001);
    let mut text = "FROM scratch AS s0\nRUN x\n".to_owned();
    for i in 1..1000 {
        text.push_str(&format!("FROM s{} AS s{i}\n", i - 1));
    }
    let (result, ran, _) = w.build(&text, &write_log, |_| {});
    result.unwrap();
    assert_eq!(ran, ["x"]);
}

#[test]
fn expansion_bombs_end_with_an_error() {
    let Some(w) = World::new() else { return };
    let mut text = "FROM scratch\nARG A0=xxxxxxxxxxxxxxxx\n".to_owned();
    for i in 1..40 {
        text.push_str(&format!("ARG A{i}=$A{0}$A{0}\n", i - 1));
    }
    let (result, _, _) = w.build(&text, &write_log, |_| {});
    assert!(result.unwrap_err().to_string().contains("longer than 1024 KiB"));
    let big = "x".repeat(900_000);
    let mut text = format!("FROM scratch\nENV B={big}\n");
    for i in 0..20 {
        text.push_str(&format!("ENV E{i}=$B\n"));
    }
    let (result, _, _) = w.build(&text, &write_log, |_| {});
    assert!(result.unwrap_err().to_string().contains("the environment is longer"));
}

#[test]
fn triggers_that_loop_are_refused() {
    let Some(w) = World::new() else { return };
    let (result, _, _) = w.build("FROM scratch\nONBUILD RUN x\nONBUILD COPY --from=self a b\n", &write_log, |r| {
        r.tags = vec!["parent".parse().unwrap()];
    });
    result.unwrap();
    let (result, _, _) = w.build("FROM parent AS self\n", &write_log, |_| {});
    assert!(result.unwrap_err().to_string().contains("cannot copy from itself"));
}

#[test]
fn a_rebuild_gives_the_same_image_and_tells_that_it_was_cached() {
    let Some(w) = World::new() else { return };
    let dockerfile = "FROM scratch\nRUN a\nCMD [\"x\"]\n";
    let (first, _, _) = w.build(dockerfile, &write_log, |_| {});
    let (second, _, events) = w.build(dockerfile, &write_log, |_| {});
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.image.unwrap().id, second.image.unwrap().id);
    assert_eq!((second.cached_steps, second.executed_steps), (1, 0));
    assert_eq!(events.cached(), 1);
    assert!(events.warnings.lock().unwrap().is_empty());
}

#[test]
fn copies_land_in_root_whatever_links_say() {
    let Some(w) = World::new() else { return };
    let outside = w.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    w.file("f", "f");
    let target = outside.clone();
    let play = move |step: &StepRequest, _: &str| {
        std::os::unix::fs::symlink(&target, step.upper.join("abs")).unwrap();
        std::os::unix::fs::symlink(
            Path::new("../../../..").join(target.strip_prefix("/").unwrap()),
            step.upper.join("rel"),
        )
        .unwrap();
        0
    };
    let dockerfile = "FROM scratch\nRUN links\nCOPY f /abs/\nCOPY f /rel/x/y\nWORKDIR /abs/deeper\nCOPY f .\n";
    let (result, _, _) = w.build(dockerfile, &play, |_| {});
    result.unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
