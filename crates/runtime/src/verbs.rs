//! Each verb is one call of the runtime.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use stockade_oci::{CreateOptions, ExecOptions, OciError, Runtime, Status, spec};
use stockade_sandbox::process::{run_from_readonly_mount, signal_number};

use crate::args::{Cli, Create, Events, Exec, Kill, List, Ps, Run, Spec, Verb};
use crate::attend::{attend, block_signals};
use crate::{Log, update};
use crate::{terminal, unprivileged, words};

type Done = Result<u8, String>;

/// Runs the verb; its exit code.
pub fn run(cli: Cli, log: &Log) -> Done {
    if cli.version {
        print(&format!("stockade-oci version {}\nspec: {}\n", env!("CARGO_PKG_VERSION"), stockade_oci::SPEC_VERSION))?;
        return Ok(0);
    }
    if cli.global.systemd_cgroup {
        return Err("--systemd-cgroup is not available: use the cgroupfs driver (dockerd --exec-opt native.cgroupdriver=cgroupfs, containerd SystemdCgroup = false)".to_owned());
    }
    if cli.verb.as_ref().is_some_and(needs_rights) {
        unprivileged::become_root_of_a_namespace(&cli.global.rootless)?;
    }
    let runtime = Runtime::new(cli.global.root.clone().unwrap_or_else(default_root));
    let failed = |e: OciError| e.chain();
    match cli.verb {
        None => return Err("which verb? `stockade oci --help` lists them".to_owned()),
        Some(Verb::Create(args)) => {
            let options = create_options(&args)?;
            keep_our_program()?;
            warn(log, runtime.create(&args.id, &options).map_err(failed)?);
            unprivileged::remember(runtime.load(&args.id).map_err(failed)?.pid());
        }
        Some(Verb::Start { id }) => runtime.start(&id).map_err(failed)?,
        Some(Verb::Run(args)) => return run_verb(&runtime, &args, log),
        Some(Verb::State { id }) => {
            let state = runtime.load(&id).map_err(failed)?.state();
            print(&format!("{}\n", pretty(&state)))?;
        }
        Some(Verb::Kill(args)) => kill(&runtime, &args)?,
        Some(Verb::Delete(args)) => warn(log, runtime.delete(&args.id, args.force).map_err(failed)?),
        Some(Verb::Exec(args)) => return exec(&runtime, &args, log),
        Some(Verb::Ps(args)) => ps(&runtime, &args)?,
        Some(Verb::Pause { id }) => runtime.pause(&id).map_err(failed)?,
        Some(Verb::Resume { id }) => runtime.resume(&id).map_err(failed)?,
        Some(Verb::Update(args)) => update::run(*args, &runtime)?,
        Some(Verb::List(args)) => list(&runtime, &args)?,
        Some(Verb::Features) => print(&format!("{}\n", pretty(&stockade_oci::features())))?,
        Some(Verb::Spec(args)) => write_spec(&args)?,
        Some(Verb::Events(args)) => events(&runtime, &args)?,
        Some(Verb::Checkpoint(_) | Verb::Restore(_)) => {
            return Err("checkpoint and restore are not available: a container's processes cannot be stored; stop it and start it again".to_owned());
        }
    }
    Ok(0)
}

/// Whether the verb touches processes, mounts or control groups of containers.
fn needs_rights(verb: &Verb) -> bool {
    !matches!(
        verb,
        Verb::Features | Verb::Spec(_) | Verb::List(_) | Verb::State { .. } | Verb::Checkpoint(_) | Verb::Restore(_)
    )
}

fn default_root() -> PathBuf {
    unprivileged::run_directory().join("oci")
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

fn print(text: &str) -> Result<(), String> {
    words::to_stdout(text)
}

fn warn(log: &Log, warnings: Vec<String>) {
    warnings.iter().for_each(|w| log.warning(w));
}

fn create_options(args: &Create) -> Result<CreateOptions, String> {
    if args.no_pivot {
        return Err("--no-pivot is not available: the root is always entered by pivot_root, which an initramfs root cannot do; mount the root file system elsewhere first".to_owned());
    }
    if args.pidfd_socket.is_some() {
        return Err("--pidfd-socket is not available: use --pid-file and pidfd_open(2)".to_owned());
    }
    Ok(CreateOptions {
        bundle: args.bundle.clone(),
        pid_file: args.pid_file.clone(),
        console_socket: args.console_socket.clone(),
        keep_descriptors: args.preserve_fds + listen_fds(),
        keep_keyring: args.no_new_keyring,
        terminal: terminal::size(),
        outer: unprivileged::outer(),
    })
}

/// Descriptors of socket activation (sd_listen_fds(3)) are handed on, too.
fn listen_fds() -> u32 {
    std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Whatever the arguments looked like before they were read: no container's root may overwrite this program through
/// /proc/self/exe (CVE-2019-5736).
fn keep_our_program() -> Result<(), String> {
    run_from_readonly_mount().map_err(|e| OciError::from(e).chain())
}

fn run_verb(runtime: &Runtime, args: &Run, log: &Log) -> Done {
    let options = create_options(&args.create)?;
    keep_our_program()?;
    let failed = |e: OciError| e.chain();
    let id = &args.create.id;
    let foreground = !args.detach;
    let signals = if foreground { block_signals() } else { None };
    let mut started = runtime.run(id, &options, foreground && options.console_socket.is_none()).map_err(failed)?;
    warn(log, std::mem::take(&mut started.warnings));
    if args.detach {
        unprivileged::remember(started.running.pid());
        return Ok(0);
    }
    let (running, terminal, ended) = started.split();
    let code = attend(running, terminal, signals)?;
    if !args.keep {
        warn(log, runtime.remove_ended(&ended).map_err(failed)?);
    }
    Ok(code)
}

fn kill(runtime: &Runtime, args: &Kill) -> Result<(), String> {
    let signal = signal_number(&args.signal)
        .ok_or_else(|| format!("`{}` is not a signal; use a name like TERM or a number", args.signal))?;
    runtime.kill(&args.id, signal, args.all).map_err(|e| e.chain())
}

fn exec(runtime: &Runtime, args: &Exec, log: &Log) -> Done {
    if let Some(path) = &args.cgroup {
        return Err(format!("--cgroup {path} is not available: the process joins the container's own group"));
    }
    let failed = |e: OciError| e.chain();
    let container = runtime.load(&args.id).map_err(failed)?;
    let spec = container.configuration().map_err(failed)?;
    keep_our_program()?;
    let process = match &args.process {
        Some(path) => {
            let text = std::fs::read(path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
            let mut process: spec::Process =
                serde_json::from_slice(&text).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
            process.terminal |= args.tty;
            process
        }
        None => from_flags(args, spec.process.unwrap_or_default())?,
    };
    let options = ExecOptions {
        pid_file: args.pid_file.clone(),
        console_socket: args.console_socket.clone(),
        detach: args.detach,
        keep_descriptors: args.preserve_fds,
        ignore_paused: args.ignore_paused,
        terminal: terminal::size(),
    };
    let signals = if args.detach { None } else { block_signals() };
    let executed = runtime.exec(&args.id, &process, &options).map_err(failed)?;
    warn(log, executed.warnings);
    if args.detach { Ok(0) } else { attend(executed.running, executed.terminal, signals) }
}

/// The container's own process, changed by flags.
fn from_flags(args: &Exec, mut process: spec::Process) -> Result<spec::Process, String> {
    if args.command.is_empty() {
        return Err("which program? Give it after the id, or a file by --process".to_owned());
    }
    process.args = Some(args.command.clone());
    process.terminal = args.tty;
    if let Some(cwd) = &args.cwd {
        process.cwd.clone_from(cwd);
    }
    process.env.get_or_insert_default().extend(args.env.iter().cloned());
    process.no_new_privileges |= args.no_new_privs;
    process.apparmor_profile = args.apparmor.clone().or(process.apparmor_profile);
    process.selinux_label = args.process_label.clone().or(process.selinux_label);
    if let Some(user) = &args.user {
        let (uid, gid) = user.split_once(':').unwrap_or((user, ""));
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{user}` is not UID or UID:GID"));
        process.user.uid = number(uid)?;
        if !gid.is_empty() {
            process.user.gid = number(gid)?;
        }
    }
    if !args.additional_gids.is_empty() {
        process.user.additional_gids.get_or_insert_default().extend(&args.additional_gids);
    }
    if !args.cap.is_empty() {
        let sets = process.capabilities.get_or_insert_default();
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.get_or_insert_default().extend(args.cap.iter().cloned());
        }
    }
    Ok(process)
}

fn ps(runtime: &Runtime, args: &Ps) -> Result<(), String> {
    if let Some(option) = args.options.first() {
        return Err(format!("ps option `{option}` is not available: use --format json and ps -p"));
    }
    let processes = runtime.processes(&args.id).map_err(|e| e.chain())?;
    if args.format == "json" {
        let pids: Vec<i32> = processes.iter().map(|p| p.pid).collect();
        return print(&format!("{}\n", serde_json::json!(pids)));
    }
    let mut text = format!("{:>10} {:>8} {:>8} COMMAND\n", "UID", "PID", "PPID");
    for p in processes {
        let _ = writeln!(text, "{:>10} {:>8} {:>8} {}", p.uid, p.pid, p.parent, p.command);
    }
    print(&words::printable_lines(&text))
}

fn list(runtime: &Runtime, args: &List) -> Result<(), String> {
    let containers = runtime.list().map_err(|e| e.chain())?;
    if args.quiet {
        return print(&containers.iter().fold(String::new(), |text, c| text + c.id() + "\n"));
    }
    if args.format == "json" {
        let states: Vec<serde_json::Value> = containers.iter().map(|c| c.state()).collect();
        return print(&format!("{}\n", serde_json::json!(states)));
    }
    let field = |state: &serde_json::Value, name: &str| match state.get(name) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let mut text = format!("{:<32} {:>8} {:<8} {:<40} CREATED\n", "ID", "PID", "STATUS", "BUNDLE");
    for state in containers.iter().map(|c| c.state()) {
        let [id, pid, status, bundle, created] =
            ["id", "pid", "status", "bundle", "created"].map(|name| field(&state, name));
        let _ = writeln!(text, "{id:<32} {pid:>8} {status:<8} {bundle:<40} {created}");
    }
    print(&words::printable_lines(&text))
}

fn write_spec(args: &Spec) -> Result<(), String> {
    let path = args.bundle.join("config.json");
    if path.exists() {
        return Err(format!("`{}` exists already; remove it first", path.display()));
    }
    let spec = if args.rootless {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        stockade_oci::rootless_spec(uid, gid)
    } else {
        stockade_oci::default_spec()
    };
    std::fs::write(&path, pretty(&spec) + "\n").map_err(|e| format!("cannot write `{}`: {e}", path.display()))
}

fn events(runtime: &Runtime, args: &Events) -> Result<(), String> {
    let interval = args.interval.strip_suffix('s').unwrap_or(&args.interval).parse::<u64>().ok().filter(|s| *s > 0);
    let interval = interval.ok_or_else(|| format!("`{}` is not a number of seconds like 5s", args.interval))?;
    loop {
        let container = runtime.load(&args.id).map_err(|e| e.chain())?;
        if !matches!(container.status(), Status::Created | Status::Running | Status::Paused) {
            return if args.stats { Err(format!("container not running: `{}`", args.id)) } else { Ok(()) };
        }
        let stats = stockade_oci::stats::stats(&container).map_err(|e| e.chain())?;
        print(&format!("{stats}\n"))?;
        if args.stats {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(interval));
    }
}
