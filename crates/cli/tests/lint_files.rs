//! `stockade lint` and `build --check` through the binary: formats, settings, fixes, undo, and a kill at any moment.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod file_common;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use file_common::{run, stockade, text};
use serde_json::Value;

const WEAK: &str = "FROM debian:12\nRUN apt-get update && apt-get install curl=7.88 && rm -rf /var/lib/apt/lists/*\nRUN apt-get update && apt-get install -y vim=2\nCMD run it\nUSER app\n";

fn json(dir: &Path, arguments: &[&str]) -> Value {
    let out = run(dir, arguments);
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", text(&out.stdout), text(&out.stderr)))
}

fn weak() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), WEAK).unwrap();
    dir
}

#[test]
fn every_format_has_the_findings_and_their_places() {
    let dir = weak();
    let at = dir.path();
    let shown = text(&run(at, &["lint"]).stdout);
    assert!(shown.contains("Dockerfile:2:23: warning:") && shown.contains("DL3014"), "{shown}");
    assert!(shown.contains("^^^"), "{shown}");
    let whole = json(at, &["lint", "-f", "json"]);
    assert_eq!(whole["schema"], "stockade.lint/v1");
    assert!(whole["errors"].as_array().unwrap().is_empty());
    let first = whole["findings"].as_array().unwrap().iter().find(|f| f["refs"][0] == "DL3014").unwrap();
    assert_eq!((&first["line"], &first["column"], &first["end_column"]), (&2.into(), &23.into(), &48.into()));
    let count = whole["findings"].as_array().unwrap().len();
    let sarif = json(at, &["lint", "-f", "sarif"]);
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!((sarif["version"].as_str(), results.len()), (Some("2.1.0"), count));
    assert!(results.iter().all(|r| rules.iter().any(|rule| rule["id"] == r["ruleId"])));
    let gitlab = json(at, &["lint", "-f", "gitlab"]);
    let issues = gitlab.as_array().unwrap();
    let mut prints: Vec<&str> = issues.iter().map(|i| i["fingerprint"].as_str().unwrap()).collect();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!((issues.len(), prints.len()), (count, count));
    assert!(issues.iter().all(|i| i["location"]["lines"]["begin"].is_u64() && i["location"]["path"] == "Dockerfile"));
    let stream = text(&run(at, &["lint", "-f", "codeclimate"]).stdout);
    let streamed: Vec<Value> =
        stream.split_terminator('\0').map(|issue| serde_json::from_str(issue).unwrap()).collect();
    assert_eq!(&streamed, issues);
    let sonar = json(at, &["lint", "-f", "sonarqube"]);
    assert_eq!(sonar["issues"].as_array().unwrap().len(), count);
    let style = text(&run(at, &["lint", "-f", "checkstyle"]).stdout);
    assert!(style.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<checkstyle version=\"4.3\">"), "{style}");
    assert_eq!(style.matches("<error line=").count(), count);
    let junit = text(&run(at, &["lint", "-f", "junit"]).stdout);
    assert_eq!(junit.matches("<failure ").count(), count, "{junit}");
    let github = text(&run(at, &["lint", "-f", "github"]).stdout);
    assert_eq!(github.lines().count(), count);
    assert!(github.lines().any(|l| l.starts_with("::warning file=Dockerfile,line=2,endLine=2,col=23,endColumn=48,")));
    let gnu = text(&run(at, &["lint", "-f", "gnu"]).stdout);
    assert!(gnu.lines().count() == count && gnu.contains("Dockerfile:2:23: warning: "), "{gnu}");
    // hadolint's names of formats, and a report in a file.
    assert_eq!(json(at, &["lint", "-f", "gitlab_codeclimate"]), gitlab);
    let to_file = run(at, &["lint", "-f", "tty", "-o", "report.txt"]);
    assert!(to_file.stdout.is_empty() && to_file.status.code() == Some(1));
    assert_eq!(std::fs::read_to_string(at.join("report.txt")).unwrap(), shown);
}

#[test]
fn an_error_of_syntax_is_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), "FROM a:1\nRUNN <x>&\"\n").unwrap();
    for format in
        ["text", "json", "sarif", "checkstyle", "codeclimate", "gitlab", "github", "gnu", "junit", "sonarqube"]
    {
        let out = run(dir.path(), &["lint", "-f", format]);
        assert_eq!(out.status.code(), Some(1), "{format}");
        assert!(text(&out.stdout).contains("RUNN"), "{format}: {}", text(&out.stdout));
    }
}

#[test]
fn settings_come_from_flags_and_from_hadolints_file() {
    let dir = weak();
    let at = dir.path();
    let refs = |arguments: &[&str]| -> Vec<String> {
        let all = json(at, arguments);
        let list = all["findings"].as_array().unwrap();
        list.iter()
            .map(|f| format!("{}:{}", f["refs"][0].as_str().unwrap_or(""), f["severity"].as_str().unwrap()))
            .collect()
    };
    std::fs::write(
        at.join(".hadolint.yaml"),
        "format: json\nfailure-threshold: error\nignored: [DL3014]\noverride:\n  info: [DL3025]\n",
    )
    .unwrap();
    let found = refs(&["lint"]);
    assert!(!found.iter().any(|f| f.starts_with("DL3014")), "{found:?}");
    assert!(found.contains(&"DL3025:info".to_owned()), "{found:?}");
    assert_eq!(run(at, &["lint"]).status.code(), Some(0));
    assert_eq!(run(at, &["lint", "-t", "info"]).status.code(), Some(1));
    assert_eq!(run(at, &["lint", "-t", "info", "--no-fail"]).status.code(), Some(0));
    // As hadolint has it, --ignore replaces the file's list, and a level on the command line wins.
    let found = refs(&["lint", "--ignore", "DL3009", "--style", "DL3025"]);
    assert!(found.iter().any(|f| f.starts_with("DL3014")) && found.contains(&"DL3025:style".to_owned()), "{found:?}");
    std::fs::write(at.join("other.yml"), "format: nonsense\n").unwrap();
    let out = run(at, &["lint", "-c", "other.yml"]);
    assert!(out.status.code() == Some(2) && text(&out.stderr).contains("other.yml:1"), "{}", text(&out.stderr));
    // The engine's settings file has a flag of the same name, and is another file.
    std::fs::write(at.join("good.yml"), "format: json\nignored: [DL3025]\n").unwrap();
    std::fs::write(at.join("stockade.toml"), "[mirror]\n").unwrap();
    let out = stockade(at, &["lint", "--config", "good.yml"]).env("STOCKADE_CONFIG", "stockade.toml").output().unwrap();
    assert!(text(&out.stdout).contains("DL3014") && !text(&out.stdout).contains("DL3025"), "{}", text(&out.stderr));
    let out = stockade(at, &["lint", "-f", "gnu"]).env("STOCKADE_CONFIG", "stockade.toml").output().unwrap();
    assert!(!text(&out.stdout).contains("DL3014"), "{} {}", text(&out.stdout), text(&out.stderr));
    // Before the verb it is the engine's; after it, hadolint's; both at once are both.
    let out = run(at, &["--config", "stockade.toml", "lint", "-f", "gnu", "-t", "info"]);
    assert!(out.status.code() == Some(1) && text(&out.stdout).contains("DL3025"), "{}", text(&out.stderr));
    let out = run(at, &["--root", "state", "--config=stockade.toml", "lint", "--config", "good.yml"]);
    assert!(text(&out.stdout).contains("DL3014") && !text(&out.stdout).contains("DL3025"), "{}", text(&out.stderr));
    let out = run(at, &["--config", "good.yml", "lint"]);
    assert!(out.status.code() == Some(2) && text(&out.stderr).contains("good.yml"), "{}", text(&out.stderr));
    let mut child = stockade(at, &["lint", "-", "-f", "json", "--file-path-in-report", "src/Dockerfile"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"RUN sudo x\n").unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(text(&out.stdout).contains("\"src/Dockerfile\""), "{}", text(&out.stdout));
}

#[test]
fn a_fragment_is_linted_and_only_check_wants_a_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), "RUN sudo ls\n").unwrap();
    let linted = text(&run(dir.path(), &["lint"]).stdout);
    assert!(linted.contains("DL3004") && !linted.contains("DL3061"), "{linted}");
    let checked = run(dir.path(), &["build", "--check", "."]);
    assert!(checked.status.code() == Some(1) && text(&checked.stderr).contains("FROM"), "{}", text(&checked.stderr));
}

#[test]
fn check_shows_what_lint_finds_and_fails_only_for_what_a_build_refuses() {
    let dir = weak();
    let at = dir.path();
    let out = run(at, &["build", "--check", "."]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(said.contains("Dockerfile:2:23: warning:") && said.contains("DL3014"), "{said}");
    assert!(text(&out.stdout).starts_with("Dockerfile: no errors, "), "{}", text(&out.stdout));
    // Its configuration is the context's.
    std::fs::write(at.join(".hadolint.yaml"), "ignored: [DL3014]\n").unwrap();
    assert!(!text(&run(at, &["build", "--check", "."]).stderr).contains("DL3014"));
    // The parser's own warnings that no rule has stay; those that a rule has come once.
    std::fs::write(at.join("Dockerfile"), "FROM debian:12\nMAINTAINER me\nRUN [\"a\", b]\nUSER x\n").unwrap();
    let said = text(&run(at, &["build", "--check", "--call=check", "."]).stderr);
    assert!(said.contains("DL4000") && said.matches("MAINTAINER me").count() == 1, "{said}");
    assert!(said.contains("Dockerfile:3:"), "{said}");
    for bad in ["FROM debian:12\nCOPY --from=later a /b\nFROM debian:12 AS later\nRUNN x\n", "FROM a b\n", ""] {
        std::fs::write(at.join("Dockerfile"), bad).unwrap();
        assert_eq!(run(at, &["build", "--check", "."]).status.code(), Some(1), "{bad}");
    }
}

#[test]
fn a_fix_is_made_once_and_undone_byte_for_byte() {
    let dir = weak();
    let at = dir.path();
    let file = at.join("Dockerfile");
    // CRLF, a byte order mark and a last line without its end are kept.
    for original in [WEAK.to_owned(), format!("\u{feff}{WEAK}"), WEAK.replace('\n', "\r\n"), WEAK.trim_end().to_owned()]
    {
        std::fs::write(&file, &original).unwrap();
        let shown = run(at, &["lint", "--fix", "--dry-run"]);
        assert!(text(&shown.stdout).contains("+RUN apt-get update"), "{}", text(&shown.stdout));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), original);
        run(at, &["lint", "--fix"]);
        let fixed = std::fs::read_to_string(&file).unwrap();
        assert!(fixed.contains("--no-install-recommends"), "{fixed}");
        assert_eq!(fixed.starts_with('\u{feff}'), original.starts_with('\u{feff}'));
        assert_eq!(fixed.matches('\r').count(), original.matches('\r').count());
        let again = run(at, &["lint", "--fix"]);
        assert!(text(&again.stderr).contains("Dockerfile: 0 mended"), "{}", text(&again.stderr));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), fixed);
        let undone = run(at, &["lint", "--undo"]);
        assert!(undone.status.success(), "{}", text(&undone.stderr));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), original);
    }
    // What was changed after the fix is not lost without a word.
    run(at, &["lint", "--fix"]);
    std::fs::write(&file, "FROM mine:1\n").unwrap();
    let undone = run(at, &["lint", "--undo"]);
    assert!(!undone.status.success() && text(&undone.stderr).contains("--force"), "{}", text(&undone.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "FROM mine:1\n");
    assert!(run(at, &["lint", "--undo", "--force"]).status.success());
}

#[test]
fn a_kill_leaves_the_old_or_the_new_file() {
    let dir = weak();
    let at = dir.path();
    let file = at.join("Dockerfile");
    run(at, &["lint", "--fix"]);
    let new = std::fs::read_to_string(&file).unwrap();
    assert_ne!(new, WEAK);
    for round in 0..40u64 {
        std::fs::write(&file, WEAK).unwrap();
        let mut child = stockade(at, &["lint", "--fix"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(round * 300));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = std::fs::read_to_string(&file).unwrap();
        assert!(now == WEAK || now == new, "round {round}: {now}");
        if now == new {
            let undone = run(at, &["lint", "--undo"]);
            assert!(undone.status.success(), "round {round}: {}", text(&undone.stderr));
            assert_eq!(std::fs::read_to_string(&file).unwrap(), WEAK, "round {round}");
        }
    }
}

#[test]
fn hostile_files_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let cases: [(&str, Vec<u8>); 6] = [
        ("zeros", vec![0; 1 << 20]),
        ("not-utf8", b"FROM a:1\nRUN echo \xff\xfe \xc3( && sudo x\n".to_vec()),
        ("nested", format!("FROM a:1\nRUN {}{}\n", "$(".repeat(50_000), ")".repeat(50_000)).into_bytes()),
        ("quotes", format!("FROM a:1\nRUN {}\n", "\"$(echo '".repeat(50_000)).into_bytes()),
        ("json", format!("FROM a:1\nCMD {}\n", "[".repeat(1 << 20)).into_bytes()),
        ("onbuild", format!("FROM a:1\n{}RUN x\n", "ONBUILD ".repeat(100_000)).into_bytes()),
    ];
    for (name, bytes) in cases {
        std::fs::write(at.join(name), bytes).unwrap();
        let out = run(at, &["lint", name, "-f", "json"]);
        assert!(matches!(out.status.code(), Some(0 | 1)), "{name}: {:?} {}", out.status, text(&out.stderr));
        serde_json::from_slice::<Value>(&out.stdout).unwrap();
    }
    // 50 MB of ordinary instructions, and a file beyond the limit.
    let step = "RUN apt-get update && apt-get install -y curl\n";
    std::fs::write(at.join("large"), format!("FROM a:1\n{}", step.repeat(2_000))).unwrap();
    assert_eq!(run(at, &["lint", "large", "-f", "gnu"]).status.code(), Some(1));
    let line = format!("FROM a:1\nRUN echo {}\n", "x".repeat(50 << 20));
    std::fs::write(at.join("long"), line).unwrap();
    assert!(matches!(run(at, &["lint", "long", "-f", "gnu"]).status.code(), Some(0 | 1)));
    std::fs::File::create(at.join("huge")).unwrap().set_len(65 << 20).unwrap();
    let out = run(at, &["lint", "huge"]);
    assert!(out.status.code() == Some(1) && text(&out.stderr).contains("longer than 64 MiB"), "{}", text(&out.stderr));
    // A configuration that means harm.
    std::fs::write(at.join("Dockerfile"), "FROM a:1\n").unwrap();
    let bomb = (1..9).fold("a0: &a0 [x,x]\n".to_owned(), |t, i| {
        format!("{t}a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 100].join(","))
    });
    for (name, yaml) in [("bomb.yaml", bomb), ("deep.yaml", "[".repeat(1 << 20)), ("deep2.yaml", "- ".repeat(1 << 20))]
    {
        std::fs::write(at.join(name), yaml).unwrap();
        let out = run(at, &["lint", "-c", name]);
        assert!(matches!(out.status.code(), Some(0..=2)), "{name}: {:?}", out.status);
    }
}

#[test]
fn hadolints_answer_and_shellchecks_are_given_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    std::fs::write(at.join("Dockerfile"), "FROM debian:12\nRUN set -o pipefail && a | b; A=$((B + $C)); echo \"$A\"\n")
        .unwrap();
    let ours = text(&run(at, &["lint", "-f", "gnu"]).stdout);
    let theirs = text(&run(at, &["lint", "-f", "gnu", "--as-hadolint"]).stdout);
    assert!(!ours.contains("DL4006") && theirs.contains("DL4006"), "{ours}{theirs}");
    assert_eq!(theirs.matches("SC").count(), 1, "{theirs}");
    let missing = run(at, &["lint", "--shellcheck=/nonexistent/shellcheck"]);
    assert!(missing.status.code() == Some(1) && text(&missing.stderr).contains("apt-get install shellcheck"));
    // A program that does not answer, and one that lies.
    for script in ["#!/bin/sh\nexit 0\n", "#!/bin/sh\ncat >/dev/null; echo '{\"comments\":[{}]}'\n", "#!/bin/sh\nyes\n"]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let program = at.join("liar");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let out = run(at, &["lint", "--shellcheck=./liar"]);
        assert!(out.status.code() == Some(1) && text(&out.stderr).contains("gave no answer"), "{}", text(&out.stderr));
    }
    if !Path::new("/usr/bin/shellcheck").exists() {
        eprintln!("skipped the real one: /usr/bin/shellcheck is missing (package shellcheck)");
        return;
    }
    let more = text(&run(at, &["lint", "-f", "gnu", "--shellcheck"]).stdout);
    assert!(more.contains("SC2004") && !ours.contains("SC2004"), "{more}");
    let line = more.lines().find(|l| l.contains("SC2004")).unwrap();
    assert!(line.starts_with("Dockerfile:2:40:"), "{line}");
}

#[test]
fn rules_are_explained_whatever_the_environment_sets() {
    let dir = tempfile::tempdir().unwrap();
    let out = run(dir.path(), &["lint", "--explain", "DL3008"]);
    assert!(out.status.success() && text(&out.stdout).contains("unpinned-apt"), "{}", text(&out.stderr));
    assert_eq!(run(dir.path(), &["lint", "--explain", "DL3008", "Dockerfile"]).status.code(), Some(2));
}

#[test]
fn a_base_with_exploited_holes_is_named_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    std::fs::create_dir_all(at.join("root/etc")).unwrap();
    std::fs::create_dir_all(at.join("root/var/lib/dpkg")).unwrap();
    std::fs::write(at.join("root/etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
    let package = "Package: policykit-1\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.105-31\nMaintainer: x <x@x>\nDescription: x\n\n";
    std::fs::write(at.join("root/var/lib/dpkg/status"), package).unwrap();
    let tar = std::process::Command::new("tar").args(["-C", "root", "-cf", "root.tar", "."]).current_dir(at).status();
    assert!(tar.unwrap().success());
    let imported = run(at, &["import", "root.tar", "old:1"]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    std::fs::write(at.join("Dockerfile"), "FROM old:1\nCMD [\"x\"]\n").unwrap();
    let asked = run(at, &["lint", "-f", "gnu", "--enable", "exploited-base"]);
    let said = text(&asked.stdout);
    assert!(said.contains("CVE-2021-4034 (policykit-1)") && said.contains("SD1008"), "{said}{}", text(&asked.stderr));
    // Unasked it costs nothing; an image that is not here is no silence.
    assert!(!text(&run(at, &["lint", "-f", "gnu"]).stdout).contains("SD1008"));
    std::fs::write(at.join("Dockerfile"), "FROM other:1\nCMD [\"x\"]\n").unwrap();
    let asked = run(at, &["lint", "--enable", "SD1008"]);
    assert!(text(&asked.stderr).contains("`other:1` is not in the store"), "{}", text(&asked.stderr));
}
