//! A container's life, through the real binary: create, run, stop, start, kill, wait, remove.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use common::{IMAGE, World, eventually};

/// Runs a container without a network.
macro_rules! run {
    ($world:expr, $($argument:expr),* $(,)?) => { $world.sk(&["run", "--network", "none", $($argument),*]) };
}

#[test]
fn exit_codes_and_both_streams_come_through() {
    let Some(world) = World::new() else { return };
    let ran = run!(world, "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7").fails_with(7);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("out\n", "err\n"));
    run!(world, "--rm", IMAGE, "no-such-program").fails_with(127);
    run!(world, "--rm", IMAGE, "/etc/passwd").fails_with(126);
    // The first process of a pid namespace cannot kill itself, so it has to be another one.
    run!(world, "--rm", "--init", IMAGE, "sh", "-c", "kill -KILL $$").fails_with(137);
    run!(world, "--rm", "no-such-image").fails_with(125);
    assert_eq!(world.sk(&["ps", "-aq"]).ok(), "");
}

#[test]
fn large_output_and_input_come_through_whole() {
    let Some(world) = World::new() else { return };
    let input = vec![b'x'; 3 << 20];
    let ran = world.sk_with_input(&["run", "--rm", "-i", "--network", "none", IMAGE, "cat"], &input).fails_with(0);
    assert_eq!(ran.out.len(), input.len());
    let ran = run!(world, "--rm", IMAGE, "sh", "-c", "seq 200000; seq 1000 >&2").fails_with(0);
    assert_eq!((ran.out.lines().count(), ran.err.lines().count()), (200_000, 1000));
}

#[test]
fn a_detached_container_lives_until_it_is_stopped() {
    let Some(world) = World::new() else { return };
    let id = run!(world, "-d", "--name", "web", "--stop-timeout", "0", IMAGE, "sleep", "1000").ok();
    assert_eq!(id.len(), 64);
    assert_eq!(world.field("web", "{{.State.Status}} {{.State.Running}} {{.Id}}"), format!("running true {id}"));
    assert!(world.sk(&["ps"]).ok().contains("Up "));
    assert_eq!(world.sk(&["ps", "-q"]).ok(), id[..12]);
    world.sk(&["rm", "web"]).fails_with(1);
    assert_eq!(world.sk(&["stop", "web"]).ok(), "web");
    assert_eq!(world.field("web", "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}"), "exited 137 0");
    assert_eq!(world.sk(&["ps", "-q"]).ok(), "");
    // Stopping what is stopped is fine; starting brings it back with its files.
    world.sk(&["stop", "web"]).ok();
    world.sk(&["start", "web"]).ok();
    world.sk(&["exec", "web", "sh", "-c", "echo kept > /tmp/file"]).ok();
    world.sk(&["restart", "-t", "0", "web"]).ok();
    assert_eq!(world.sk(&["exec", "web", "cat", "/tmp/file"]).ok(), "kept");
    world.sk(&["rm", "-f", "web"]).ok();
    world.sk(&["inspect", "web"]).fails_with(1);
    world.leaves_nothing();
}

#[test]
fn stop_sends_the_containers_own_signal_first() {
    let Some(world) = World::new() else { return };
    let script = "trap 'echo bye; exit 3' USR1; echo ready; while :; do sleep 0.1; done";
    run!(world, "-d", "--name", "polite", "--stop-signal", "SIGUSR1", IMAGE, "sh", "-c", script).ok();
    eventually("the trap is set", || world.sk(&["logs", "polite"]).out.contains("ready"));
    world.sk(&["stop", "-t", "60", "polite"]).ok();
    assert_eq!(world.field("polite", "{{.State.ExitCode}}"), "3");
    assert!(world.sk(&["logs", "polite"]).ok().contains("bye"));
}

#[test]
fn create_start_attach_wait() {
    let Some(world) = World::new() else { return };
    world.sk(&["create", "--name", "job", "--network", "none", IMAGE, "sh", "-c", "echo hello; exit 5"]).ok();
    assert_eq!(world.field("job", "{{.State.Status}}"), "created");
    let ran = world.sk(&["start", "-a", "job"]).fails_with(5);
    assert_eq!(ran.out, "hello\n");
    assert_eq!(world.sk(&["wait", "job"]).ok(), "5");
    run!(world, "-d", "--name", "sleeper", IMAGE, "sleep", "1000").ok();
    let waiter = world.command(&["wait", "sleeper"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    world.sk(&["kill", "sleeper"]).ok();
    let output = waiter.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "137\n");
    world.sk(&["kill", "sleeper"]).fails_with(1);
}

#[test]
fn what_is_set_is_seen_inside() {
    let Some(world) = World::new() else { return };
    let file = world.scratch().join("env");
    std::fs::write(&file, "# comment\nFROM_FILE=yes\n").unwrap();
    let out = run!(
        world,
        "--rm",
        "-e",
        "A=1",
        "--env-file",
        file.to_str().unwrap(),
        "-w",
        "/srv",
        "-u",
        "user",
        "-h",
        "myhost",
        "--label",
        "a=b",
        IMAGE,
        "sh",
        "-c",
        "echo $A $FROM_FILE; pwd; id -u; id -G; hostname; echo $HOME; cat page"
    )
    .ok();
    assert_eq!(out, "1 yes\n/srv\n1000\n1000 2000\nmyhost\n/home/user\nfrom the image");
    let out = run!(world, "--rm", "--entrypoint", "echo", IMAGE, "replaced").ok();
    assert_eq!(out, "replaced");
    world.import("entry", &["ENTRYPOINT [\"echo\", \"fixed\"]", "CMD [\"default\"]", "ENV FROM_IMAGE=1"]);
    assert_eq!(run!(world, "--rm", "entry").ok(), "fixed default");
    assert_eq!(run!(world, "--rm", "entry", "own", "-v").ok(), "fixed own -v");
    assert!(run!(world, "--rm", "--entrypoint", "env", "entry").ok().contains("FROM_IMAGE=1"));
}

#[test]
fn init_reaps_and_passes_the_exit_code_on() {
    let Some(world) = World::new() else { return };
    let out = run!(world, "--rm", "--init", IMAGE, "sh", "-c", "echo $$; exit 9").fails_with(9).out;
    assert_ne!(out, "1\n", "the program must not be process 1");
}

#[test]
fn names_are_unique_and_can_change() {
    let Some(world) = World::new() else { return };
    world.sk(&["create", "--name", "one", IMAGE]).ok();
    let ran = world.sk(&["create", "--name", "one", IMAGE]).fails_with(125);
    assert!(ran.err.contains("in use"), "{}", ran.err);
    world.sk(&["create", "--name", "two", IMAGE]).ok();
    world.sk(&["rename", "two", "one"]).fails_with(1);
    world.sk(&["rename", "one", "three"]).ok();
    world.sk(&["rename", "two", "one"]).ok();
    let names = world.sk(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    assert_eq!(names, "one\nthree");
    world.sk(&["create", "--name", "../evil", IMAGE]).fails_with(2);
}

#[test]
fn restart_policies_are_kept_until_somebody_says_stop() {
    let Some(world) = World::new() else { return };
    run!(world, "-d", "--name", "failing", "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo try; exit 4").ok();
    eventually("it gives up", || world.field("failing", "{{.State.Status}}") == "exited");
    assert_eq!(world.field("failing", "{{.RestartCount}} {{.State.ExitCode}}"), "2 4");
    assert_eq!(world.sk(&["logs", "failing"]).ok(), "try\ntry\ntry");
    run!(world, "-d", "--name", "always", "--restart", "always", IMAGE, "sleep", "1000").ok();
    let before = world.field("always", "{{.State.Pid}}").parse::<i32>().unwrap();
    common::signal(before, rustix::process::Signal::KILL);
    eventually("it runs again", || {
        let now = world.field("always", "{{.State.Pid}}");
        now != "0" && now != before.to_string()
    });
    world.sk(&["stop", "-t", "0", "always"]).ok();
    assert_eq!(world.field("always", "{{.State.Status}}"), "exited");
}

#[test]
fn pause_freezes_and_unpause_thaws() {
    let Some(world) = World::new() else { return };
    run!(world, "-d", "--name", "cold", IMAGE, "sh", "-c", "while :; do echo x; sleep 0.02; done").ok();
    eventually("it writes", || world.sk(&["logs", "cold"]).out.len() > 4);
    world.sk(&["pause", "cold"]).ok();
    assert_eq!(world.field("cold", "{{.State.Status}} {{.State.Paused}}"), "paused true");
    let frozen = world.sk(&["logs", "cold"]).ok().len();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(world.sk(&["logs", "cold"]).ok().len(), frozen);
    world.sk(&["exec", "cold", "true"]).fails_with(1);
    world.sk(&["unpause", "cold"]).ok();
    eventually("it writes again", || world.sk(&["logs", "cold"]).out.len() > frozen);
    world.sk(&["pause", "cold"]).ok();
    world.sk(&["rm", "-f", "cold"]).ok();
}

#[test]
fn the_id_file_holds_the_id_and_blocks_a_second_run() {
    let Some(world) = World::new() else { return };
    let path = world.scratch().join("cid");
    let path = path.to_str().unwrap();
    let id = world.sk(&["create", "--cidfile", path, IMAGE]).ok();
    assert_eq!(std::fs::read_to_string(path).unwrap(), id);
    world.sk(&["create", "--cidfile", path, IMAGE]).fails_with(125);
    assert_eq!(world.sk(&["ps", "-aq"]).ok().lines().count(), 1);
}

#[test]
fn health_checks_change_the_status() {
    let Some(world) = World::new() else { return };
    run!(
        world,
        "-d",
        "--name",
        "sick",
        "--health-cmd",
        "test ! -e /tmp/sick",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
        IMAGE,
        "sleep",
        "1000"
    )
    .ok();
    eventually("it is healthy", || world.field("sick", "{{.State.Health.Status}}") == "healthy");
    world.sk(&["exec", "sick", "touch", "/tmp/sick"]).ok();
    eventually("it is unhealthy", || world.field("sick", "{{.State.Health.Status}}") == "unhealthy");
    assert!(world.sk(&["ps"]).ok().contains("(unhealthy)"));
    assert_eq!(world.sk(&["ps", "-q", "--filter", "health=unhealthy"]).ok().lines().count(), 1);
}

#[test]
fn mistakes_are_one_line_and_leave_nothing() {
    let Some(world) = World::new() else { return };
    for (arguments, code, words) in [
        (vec!["run", "--gpus", "all", IMAGE], 2, "--device"),
        (vec!["run", "--memroy", "1g", IMAGE], 2, "--memory"),
        (vec!["run", "-v", "relative", IMAGE], 2, "absolute"),
        (vec!["run", "-p", "nonsense", IMAGE], 2, "nonsense"),
        (vec!["run", "--confine", "strict", IMAGE], 2, "--pids-limit"),
        (vec!["run", "--confine", "learned", IMAGE], 2, "learned"),
        (vec!["run", "--network", "container:nobody", IMAGE], 125, "nobody"),
        (vec!["run", "--rm", "--restart", "always", IMAGE], 2, "--restart"),
        (vec!["run", "-u", "nobody-here", "--network", "none", IMAGE, "true"], 125, "nobody-here"),
        (vec!["exec", "nobody", "true"], 1, "nobody"),
        (vec!["stop", "nobody"], 1, "nobody"),
        (vec!["logs", "nobody"], 1, "nobody"),
        (vec!["kill", "-s", "NOSUCH", "nobody"], 2, "NOSUCH"),
    ] {
        let ran = world.sk(&arguments).fails_with(code);
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
        assert!(ran.err.lines().count() <= 8, "{arguments:?}: {}", ran.err);
    }
    for id in world.sk(&["ps", "-aq"]).ok().lines() {
        world.sk(&["rm", id]).ok();
    }
    world.leaves_nothing();
}

#[test]
fn another_user_is_told_that_root_is_needed() {
    let Some(world) = World::new() else { return };
    // The binary may be where nobody else may look.
    let binary = world.scratch().join("stockade");
    std::fs::copy(env!("CARGO_BIN_EXE_stockade"), &binary).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(world.root().parent().unwrap(), open).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&binary).args(arguments);
        command.env("STOCKADE_ROOT", world.root()).env("STOCKADE_RUN", world.run_dir()).env("NO_COLOR", "1");
        command.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME");
        common::Ran::from(command.output().unwrap())
    };
    let ran = as_nobody(&["run", "--rm", IMAGE, "true"]).fails_with(1);
    assert!(ran.err.contains("running a container needs root, and this is user 65534"), "{}", ran.err);
    let ran = as_nobody(&["ps"]).fails_with(1);
    assert!(ran.err.contains("Permission denied") && ran.err.contains("run it as root"), "{}", ran.err);
}

#[test]
fn a_disposable_container_can_be_restarted() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "-d", "--rm", "--name", "c", IMAGE, "sh", "-c", "echo once >> /kept; exec sleep 1000"]).ok();
    common::eventually("it has written", || world.sk(&["exec", "c", "cat", "/kept"]).out == "once\n");
    world.sk(&["restart", "-t", "0", "c"]).ok();
    common::eventually("it has written again", || world.sk(&["exec", "c", "cat", "/kept"]).out == "once\nonce\n");
    world.sk(&["stop", "-t", "0", "c"]).ok();
    world.leaves_nothing();
}
