use std::collections::HashMap;

use super::*;

#[derive(Debug, Default)]
struct Fake(HashMap<&'static str, String>);

impl Environment for Fake {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

fn parse_error(text: &str) -> String {
    file::parse(Path::new("stockade.toml"), text).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_known_one() {
    let error = parse_error("[gate]\nmode = \"deny\"\nseverty = \"high\"\n");
    assert!(error.starts_with("stockade.toml:3:1: unknown field `severty`"), "{error}");
    assert!(error.ends_with("did you mean `severity`?"), "{error}");
    assert!(!error.contains('\n'));
}

#[test]
fn garbage_is_one_line_with_a_place() {
    for text in ["\u{0}\u{1}", "[gate", "gate = 3", "[[gate.exception]]\nid=\"CVE-1\"", "[gate]\nseverity=\"huge\""] {
        let error = parse_error(text);
        assert!(error.starts_with("stockade.toml:"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn an_exception_needs_a_reason_and_a_day() {
    assert!(parse_error("[[gate.exception]]\nid=\"CVE-1\"\nreason=\" \"").contains("needs a reason"));
    assert!(parse_error("[[gate.exception]]\nid=\"CVE-1\"\nreason=\"x\"\nuntil=\"soon\"").contains("2027-01-31"));
    let file = file::parse(Path::new("x"), "[[gate.exception]]\nid=\"CVE-1\"\nreason=\"x\"\nuntil=2027-01-31").unwrap();
    assert_eq!(file.gate.unwrap().exception[0].until.as_deref(), Some("2027-01-31"));
}

#[test]
fn later_files_win_key_by_key_and_the_environment_wins_over_files() {
    let user = tempfile::tempdir().unwrap();
    let project = tempfile::tempdir().unwrap();
    std::fs::create_dir(user.path().join("stockade")).unwrap();
    std::fs::write(
        user.path().join("stockade/stockade.toml"),
        "[base]\nubuntu = \"debian\"\nalpine = \"debian\"\n[gate]\nmode = \"deny\"\n[mirror]\ndebian = \"http://a\"",
    )
    .unwrap();
    std::fs::write(project.path().join(FILE_NAME), "[base]\nubuntu = \"debian:bookworm\"").unwrap();
    let env = Fake(HashMap::from([
        ("XDG_CONFIG_HOME", user.path().display().to_string()),
        ("STOCKADE_DEBIAN_MIRROR", "http://b".to_owned()),
        ("STOCKADE_ROOT", "/somewhere".to_owned()),
    ]));
    let settings = Settings::resolve(&Inputs {
        project: Some(project.path()),
        environment: &env,
        root_user: true,
        ..Inputs::default()
    })
    .unwrap();
    assert_eq!(settings.base["ubuntu"], "debian:bookworm");
    assert_eq!(settings.base["alpine"], "debian");
    assert_eq!(settings.gate.mode, GateMode::Deny);
    assert_eq!(settings.mirror.debian.as_deref(), Some("http://a"), "the order of mirrors is flag, file, environment");
    assert_eq!(settings.dirs.root, Path::new("/somewhere"));
    assert_eq!(settings.dirs.run, Path::new("/run/stockade"));
}

#[test]
fn a_project_can_only_ask_for_more_verification() {
    let (own, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let env = Fake::default();
    let named = own.path().join("own.toml");
    for (owners, projects, result) in
        [("seal", "content", VerifyMode::Content), ("seal", "off", VerifyMode::Seal), ("off", "seal", VerifyMode::Seal)]
    {
        std::fs::write(&named, format!("[image]\nverify = \"{owners}\"\n")).unwrap();
        std::fs::write(project.path().join(FILE_NAME), format!("[image]\nverify = \"{projects}\"\n")).unwrap();
        let inputs =
            Inputs { config: Some(&named), project: Some(project.path()), environment: &env, ..Inputs::default() };
        let settings = Settings::resolve(&inputs).unwrap();
        assert_eq!(settings.verify, result, "{owners} {projects}");
        assert_eq!(settings.remarks.is_empty(), projects != "off");
    }
}

#[test]
fn a_named_file_must_exist_and_others_need_not() {
    let env = Fake::default();
    let missing = Path::new("/nonexistent/stockade.toml");
    assert!(Settings::resolve(&Inputs { config: Some(missing), environment: &env, ..Inputs::default() }).is_err());
    assert!(
        Settings::resolve(&Inputs { project: Some(Path::new("/nonexistent")), environment: &env, ..Inputs::default() })
            .is_ok()
    );
}

#[test]
fn a_bad_gate_variable_says_what_it_may_be() {
    let env = Fake(HashMap::from([("STOCKADE_GATE", "maybe".to_owned())]));
    let error = Settings::resolve(&Inputs { environment: &env, ..Inputs::default() }).unwrap_err();
    assert_eq!(error.to_string(), "environment variable STOCKADE_GATE is `maybe`: expected off, warn or deny");
}

proptest::proptest! {
    #[test]
    fn any_text_parses_or_fails_in_one_line(text in ".{0,200}") {
        if let Err(e) = file::parse(Path::new("f"), &text) {
            proptest::prop_assert!(!e.to_string().contains('\n'));
        }
    }
}
