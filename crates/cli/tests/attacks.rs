//! Known ways out of a container, played against ours: each must fail at the levels `standard` and `strict`, and must
//! succeed in a setup that was weakened on purpose, so that the test can fail.
//!
//! An attack is a file in `attacks/`: what it plays, where it comes from, the options of the weakened setup, and a script
//! that says `PWNED` when it got through. It does no harm when it does: it writes back what it read. `levels` are further
//! options at the levels, `with` further options everywhere. `gets-through` names a level that does not stop it, so that the
//! table says so. `where: apart` plays it in a network namespace of its own that has a metadata service. Scripts have busybox,
//! and perl from the host for raw calls.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;

use common::{IMAGE, Ran, World};

#[derive(Default)]
struct Attack {
    name: String,
    what: String,
    source: String,
    weak: String,
    levels: String,
    with: String,
    gets_through: String,
    apart: bool,
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
        gets_through: field("gets-through"),
        apart: field("where") == "apart",
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
    let ran = if attack.apart { apart(world, &args) } else { world.sk(&args) };
    let through = ran.out.lines().any(|l| l.trim_end_matches('\r').ends_with("PWNED"));
    (through, format!("exit {}, {}{}", ran.code, ran.out, ran.err))
}

/// Runs a command in a network namespace of its own, in which a metadata service answers.
fn apart(world: &World, args: &[&str]) -> Ran {
    const SCRIPT: &str = r#"ip link set lo up && ip addr add 169.254.169.254/32 dev lo || exit 99
perl -e 'socket(S, 2, 1, 0); bind(S, pack("S n a4 x8", 2, 80, "\xa9\xfe\xa9\xfe")) or die; listen(S, 5);
    open(R, ">", $ARGV[0]); close R; while (accept(C, S)) { syswrite(C, "PWNED\n"); close C }' "$0" &
server=$!
while [ ! -e "$0" ]; do kill -0 $server || exit 99; sleep 0.05; done
"$@"
code=$?
kill $server
exit $code"#;
    let ready = world.scratch().join("metadata-is-up");
    let _ = std::fs::remove_file(&ready);
    let inner = world.command(args);
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", SCRIPT]).arg(&ready).arg(inner.get_program()).args(inner.get_args());
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(std::process::Stdio::null()).output().unwrap().into()
}

#[test]
fn every_attack_fails_at_the_levels_and_succeeds_where_it_was_let() {
    let Some(world) = World::new() else { return };
    if !Path::new("/usr/bin/perl").exists() || !Path::new("/usr/lib64").exists() {
        eprintln!("skipped: needs perl in a merged /usr");
        return;
    }
    // Its network is another one's than this world's.
    let Some(other) = World::new() else { return };
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
            let place = if attack.apart { &other } else { &world };
            let (through, said) = play(place, &targets, attack, options);
            row.push_str(if through { " **gets through** |" } else { " fails |" });
            if through != (attack.gets_through == level) {
                wrong.push(format!(
                    "{} {} at {level}: {said}",
                    attack.name,
                    if through { "gets through" } else { "fails" }
                ));
            }
        }
        let (through, said) = play(if attack.apart { &other } else { &world }, &targets, attack, &attack.weak);
        if !through {
            wrong.push(format!("{} does not get through with {}: {said}", attack.name, attack.weak));
        }
        let _ = writeln!(table, "{row} {}`{}` |", if through { "" } else { "fails with " }, attack.weak);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), list.len(), wrong.join("\n"));
    if only.is_none() {
        compare_with_the_documentation(&table);
    }
}

/// The table of `docs/SECURITY.md` is what was just seen. `STOCKADE_UPDATE_DOCS=1` writes it there.
fn compare_with_the_documentation(table: &str) {
    const BEGIN: &str = "<!-- attacks: written by the test of the same name -->\n";
    const END: &str = "<!-- end of attacks -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SECURITY.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("the mark where the table begins");
    let (committed, after) = rest.split_once(END).expect("the mark where the table ends");
    let head = "| attack | source | standard | strict | succeeds with |\n|---|---|---|---|---|\n";
    let seen = format!("{head}{table}");
    if std::env::var_os("STOCKADE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{seen}{END}{after}")).unwrap();
        return;
    }
    assert!(
        committed == seen,
        "docs/SECURITY.md is out of date: run this test with STOCKADE_UPDATE_DOCS=1. Seen:\n{seen}"
    );
}
