//! Known ways out of a container, played against ours: each must fail at the levels `standard` and `strict`, and must
//! succeed in a setup that was weakened on purpose, so that the test can fail.
//!
//! An attack is a file in `attacks/`: what it plays, where it comes from, the options of the weakened setup, and a script
//! that says `PWNED` when it got through. It does no harm when it does: it writes back what it read. `levels` are further
//! options at the levels, `with` further options everywhere. Scripts have busybox, and perl from the host for raw calls.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;

use common::{IMAGE, World};

#[derive(Default)]
struct Attack {
    name: String,
    what: String,
    source: String,
    weak: String,
    levels: String,
    with: String,
    run: String,
}

fn read(path: &Path) -> Attack {
    let text = std::fs::read_to_string(path).unwrap();
    let (head, run) = text.split_once("run:\n").unwrap();
    let field = |name: &str| {
        let line = head.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    };
    Attack {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        what: field("what"),
        source: field("source"),
        weak: field("weak"),
        levels: field("levels"),
        with: field("with"),
        run: run.to_owned(),
    }
}

fn attacks() -> Vec<Attack> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|p| read(p)).collect()
}

/// What attacks aim at on the host.
struct Targets {
    victim: std::process::Child,
    marker: std::path::PathBuf,
    socket: std::path::PathBuf,
    port: u16,
    abstract_name: String,
    _listeners: (TcpListener, UnixListener, UnixListener),
}

impl Targets {
    fn new(world: &World) -> Targets {
        let marker = world.scratch().join("marker");
        std::fs::write(&marker, "PWNED\n").unwrap();
        let socket = world.scratch().join("engine.sock");
        let abstract_name = format!("stockade-attack-{}", std::process::id());
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let unix = UnixListener::bind(&socket).unwrap();
        let abstract_ = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap();
        let victim = Command::new("sleep").arg("3600").spawn().unwrap();
        Targets { victim, marker, socket, port, abstract_name, _listeners: (tcp, unix, abstract_) }
    }

    fn fill(&self, text: &str) -> String {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        text.replace("@VICTIM@", &self.victim.id().to_string())
            .replace("@MARKER@", self.marker.to_str().unwrap())
            .replace("@SOCKET@", self.socket.to_str().unwrap())
            .replace("@PORT@", &self.port.to_string())
            .replace("@ABSTRACT@", &self.abstract_name)
            .replace("@HOSTNAME@", host.trim())
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

/// Whether the attack got through, and what was said.
fn play(world: &World, targets: &Targets, attack: &Attack, options: &str) -> (bool, String) {
    let options = targets.fill(&format!("{options} {}", attack.with));
    let mut args = vec!["run", "--rm"];
    if !options.contains("--network") {
        args.extend(["--network", "none"]);
    }
    args.extend(["-v", "/usr:/usr:ro", "-v", "/usr/lib:/lib:ro", "-v", "/usr/lib64:/lib64:ro"]);
    args.extend(options.split_whitespace());
    let script = targets.fill(&attack.run);
    args.extend([IMAGE, "sh", "-c", &script]);
    let ran = world.sk(&args);
    let through = ran.out.lines().any(|l| l.trim_end_matches('\r').ends_with("PWNED"));
    (through, format!("exit {}, {}{}", ran.code, ran.out, ran.err))
}

#[test]
fn every_attack_fails_at_the_levels_and_succeeds_where_it_was_let() {
    let Some(world) = World::new() else { return };
    if !Path::new("/usr/bin/perl").exists() || !Path::new("/usr/lib64").exists() {
        eprintln!("skipped: needs perl in a merged /usr");
        return;
    }
    let targets = Targets::new(&world);
    let only = std::env::var("STOCKADE_ATTACK").ok();
    let mut table = String::new();
    let mut wrong = Vec::new();
    let list: Vec<Attack> =
        attacks().into_iter().filter(|a| only.as_ref().is_none_or(|only| a.name.contains(only.as_str()))).collect();
    assert!(only.is_some() || list.len() >= 45, "{}", list.len());
    for attack in &list {
        let strict = format!("--confine strict --memory 256m --pids-limit 50 {}", attack.levels);
        let mut row = format!("| {} | {} |", attack.what, attack.source);
        for (level, options) in [("standard", attack.levels.as_str()), ("strict", strict.as_str())] {
            let (through, said) = play(&world, &targets, attack, options);
            row.push_str(if through { " **through** |" } else { " fails |" });
            if through {
                wrong.push(format!("{} gets through at {level}: {said}", attack.name));
            }
        }
        let (through, said) = play(&world, &targets, attack, &attack.weak);
        if !through {
            wrong.push(format!("{} does not get through with {}: {said}", attack.name, attack.weak));
        }
        let _ = writeln!(table, "{row} {} `{}` |", if through { "through:" } else { "fails:" }, attack.weak);
    }
    if let Ok(path) = std::env::var("STOCKADE_ATTACK_TABLE") {
        std::fs::write(path, table).unwrap();
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), list.len(), wrong.join("\n"));
}
