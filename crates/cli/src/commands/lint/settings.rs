//! What flags and hadolint's configuration make of a run of `lint`.

use std::path::{Path, PathBuf};

use stockade_audit::yaml::{self, Node};
use stockade_lint::{LabelType, Options, Severity, find};

use super::{Args, Format, Threshold, read};
use crate::failure::Failure;
use crate::output;

/// Everything that shapes a run.
pub struct Settings {
    /// For the rules.
    pub options: Options,
    /// Of the report.
    pub format: Format,
    /// From where on the command fails.
    pub threshold: Threshold,
    /// It never fails because of findings.
    pub no_fail: bool,
    /// Colour may be used.
    pub color: bool,
}

/// What a configuration file says about the command itself.
#[derive(Default)]
struct Own {
    format: Option<Format>,
    threshold: Option<Threshold>,
    no_fail: bool,
    no_color: bool,
}

const LEVELS: [(&str, Severity); 4] = [
    ("error", Severity::Error),
    ("warning", Severity::Warning),
    ("info", Severity::Info),
    ("style", Severity::Style),
];

/// Flags over configuration over defaults.
pub fn of(args: &Args) -> Result<Settings, Failure> {
    known(&args.enable)?;
    let mut options = Options::default();
    let mut own = Own::default();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    // The engine's own settings file shares the flag's name, and comes in by its variable.
    let engines = std::env::var_os("STOCKADE_CONFIG").map(PathBuf::from);
    let config = args.config.clone().filter(|c| engines.as_ref() != Some(c)).or_else(|| configuration(Path::new(""), home.as_deref()));
    if let Some(path) = config {
        own = hadolint_config(&path, &mut options)?;
    }
    if !args.ignore.is_empty() {
        options.ignored.clone_from(&args.ignore);
    }
    options.enabled.clone_from(&args.enable);
    for (names, (_, severity)) in [&args.error, &args.warning, &args.info, &args.style].into_iter().zip(LEVELS) {
        for name in names {
            options.severities.insert(name.clone(), severity);
        }
    }
    options.trusted_registries.extend(args.trusted_registry.iter().cloned());
    options.strict_labels |= args.strict_labels;
    options.as_hadolint = args.as_hadolint;
    options.shellcheck.clone_from(&args.shellcheck);
    options.disable_ignore_comments |= args.disable_ignore_pragma;
    for label in &args.require_label {
        let (name, kind) = label.split_once(':').unwrap_or((label, "text"));
        let kind = LabelType::parse(kind).ok_or_else(|| {
            Failure::usage(format!("`{kind}` is no type of label"))
                .hint("types: text, url, rfc3339, semver, hash, spdx, email")
        })?;
        options.label_schema.insert(name.to_owned(), kind);
    }
    Ok(Settings {
        options,
        format: args.format.or(own.format).unwrap_or(Format::Text),
        threshold: args.failure_threshold.or(own.threshold).unwrap_or(Threshold::Info),
        no_fail: args.no_fail || own.no_fail,
        color: !(args.no_color || own.no_color),
    })
}

/// Settings of the rules for `build --check`: the configuration beside the Dockerfile, or the user's.
pub fn for_directory(directory: &Path) -> Result<Options, Failure> {
    let mut options = Options::default();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    if let Some(path) = configuration(directory, home.as_deref()) {
        hadolint_config(&path, &mut options)?;
    }
    Ok(options)
}

fn known(names: &[String]) -> Result<(), Failure> {
    match names.iter().find(|n| find(n).is_none()) {
        None => Ok(()),
        Some(name) => Err(super::rules::unknown(name)),
    }
}

/// The first configuration that is there, in hadolint's order.
fn configuration(directory: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let both = |stem: PathBuf| [stem.with_extension("yaml"), stem.with_extension("yml")];
    let xdg = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let mut candidates: Vec<PathBuf> =
        [".hadolint.yaml", ".hadolint.yml"].iter().map(|n| directory.join(n)).collect();
    candidates.extend(xdg.into_iter().flat_map(|d| both(d.join("hadolint"))));
    if let Some(home) = home {
        candidates.extend(both(home.join(".config/hadolint")));
        candidates.extend(both(home.join(".hadolint/hadolint")));
        candidates.extend(both(home.join("hadolint/config")));
        candidates.extend([home.join(".hadolint.yaml"), home.join(".hadolint.yml")]);
    }
    candidates.into_iter().find(|p| p.is_file())
}

/// Reads `.hadolint.yaml` (hadolint's README, "Configure").
fn hadolint_config(path: &Path, options: &mut Options) -> Result<Own, Failure> {
    let documents = yaml::parse(&read(path)?)
        .map_err(|e| Failure::usage(format!("cannot read `{}`: {e}", path.display())))?;
    let mut own = Own::default();
    let Some(root) = documents.first() else { return Ok(own) };
    let texts = |node: &Node| -> Vec<String> {
        node.list().iter().filter_map(|n| n.text()).map(str::to_owned).collect()
    };
    let wrong = |node: &Node, what: &str| {
        Failure::usage(format!("{}:{}: {what}: {}", path.display(), node.line, node.shown()))
    };
    for (key, node) in root.map() {
        match key.as_str() {
            "ignored" => options.ignored.extend(texts(node)),
            "trustedRegistries" => options.trusted_registries.extend(texts(node)),
            "strict-labels" => options.strict_labels |= node.boolean() == Some(true),
            "disable-ignore-pragma" => options.disable_ignore_comments |= node.boolean() == Some(true),
            "no-fail" => own.no_fail = node.boolean() == Some(true),
            "no-color" => own.no_color = node.boolean() == Some(true),
            "override" => {
                for (name, severity) in LEVELS {
                    for id in node.get(name).map(texts).unwrap_or_default() {
                        options.severities.insert(id, severity);
                    }
                }
            }
            "label-schema" => {
                for (name, kind) in node.map() {
                    let kind =
                        kind.text().and_then(LabelType::parse).ok_or_else(|| wrong(kind, "no type of label"))?;
                    options.label_schema.insert(name.clone(), kind);
                }
            }
            "failure-threshold" => own.threshold = Some(chosen(node).ok_or_else(|| wrong(node, "no severity"))?),
            "format" => own.format = Some(chosen(node).ok_or_else(|| wrong(node, "no format of reports"))?),
            // What hadolint would say about itself.
            "verbose" => {}
            other => output::warn(&format!("{}: key `{other}` is not known", path.display())),
        }
    }
    Ok(own)
}

fn chosen<T: clap::ValueEnum>(node: &Node) -> Option<T> {
    T::from_str(node.text()?, true).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_configuration_is_read_in_full() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir_all(home.join(".config")).unwrap();
        let far = home.join(".config/hadolint.yaml");
        std::fs::write(&far, "ignored: [DL3000]\n").unwrap();
        // XDG_CONFIG_HOME of whoever runs the tests has no such file.
        assert_eq!(configuration(dir.path(), Some(&home)), Some(far));
        let near = dir.path().join(".hadolint.yml");
        let text = "failure-threshold: error\nformat: gitlab_codeclimate\nno-fail: true\nno-color: true\nignored:\n  - DL3008\noverride:\n  error: [DL3015]\n  style:\n    - DL3006\ntrustedRegistries: [\"*.example.com\"]\nlabel-schema:\n  author: text\n  created: rfc3339\nstrict-labels: true\n";
        std::fs::write(&near, text).unwrap();
        assert_eq!(configuration(dir.path(), Some(&home)), Some(near.clone()));
        let mut options = Options::default();
        let own = hadolint_config(&near, &mut options).unwrap();
        assert_eq!((own.threshold, own.format), (Some(Threshold::Error), Some(Format::Gitlab)));
        assert!(own.no_fail && own.no_color && options.strict_labels);
        assert_eq!(options.ignored, ["DL3008"]);
        assert_eq!(options.severities.get("DL3015"), Some(&Severity::Error));
        assert_eq!(options.severities.get("DL3006"), Some(&Severity::Style));
        assert_eq!(options.label_schema.get("created"), Some(&LabelType::Rfc3339));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        for (text, words) in [
            ("ignored: []\nformat: codacy\n", ":2: no format of reports"),
            ("failure-threshold: loud\n", ":1: no severity"),
            ("label-schema:\n  a: colour\n", ":2: no type of label"),
            ("a: [", "cannot read"),
        ] {
            std::fs::write(&path, text).unwrap();
            let failure = hadolint_config(&path, &mut Options::default()).err().unwrap();
            assert!(failure.to_string().contains(words), "{failure}");
            assert_eq!(failure.exit(), crate::failure::Exit::USAGE);
        }
    }
}
