//! Instructions that change the configuration only, and `WORKDIR`.

use stockade_dockerfile::ast::{CommandLine, Healthcheck, Instruction, Kind, Pair, Word};
use stockade_dockerfile::{Diagnostic, Span};
use stockade_image::config::{Empty, Healthcheck as HealthConfig};

use crate::cache::Key;
use crate::error::BuildError;
use crate::events::Finish;
use crate::history::quoted_list;
use crate::place::{Place, PlaceError, Rules};
use crate::scope::env_set;
use crate::secrets::looks_secret;
use crate::stage::{LayerStep, StageRun};
use crate::state::absolute;

impl StageRun<'_> {
    /// Applies an instruction that runs nothing.
    pub(crate) fn metadata(&mut self, instruction: &Instruction) -> Result<(), BuildError> {
        match &instruction.kind {
            Kind::Arg(declarations) => self.arg(declarations),
            Kind::Env(pairs) => self.env(pairs),
            Kind::Label(pairs) => self.label(pairs),
            Kind::Maintainer(word) => {
                self.state.image.author = Some(word.value.clone());
                self.state.push_history(format!("MAINTAINER {}", word.value));
                Ok(())
            }
            Kind::Expose(words) => self.expose(words),
            Kind::User(word) => {
                let user = self.expand(word)?;
                self.state.push_history(format!("USER {user}"));
                self.state.config().user = user;
                Ok(())
            }
            Kind::Workdir(word) => self.workdir(word),
            Kind::Volume(words) => self.volume(words),
            Kind::Stopsignal(word) => self.stopsignal(word),
            Kind::Shell(words) => {
                let words: Vec<String> = words.iter().map(|w| w.value.clone()).collect();
                self.state.push_history(format!("SHELL {}", quoted_list(&words)));
                self.state.config().shell = Some(words);
                Ok(())
            }
            Kind::Cmd(command) => {
                let words = self.with_shell(command);
                self.state.push_history(format!("CMD {}", quoted_list(&words)));
                self.state.config().cmd = Some(words);
                self.state.cmd_given = true;
                Ok(())
            }
            Kind::Entrypoint(command) => self.entrypoint(command),
            Kind::Healthcheck(check) => {
                self.healthcheck(check);
                Ok(())
            }
            Kind::Onbuild(_) => {
                let trigger = onbuild_text(instruction);
                self.state.push_history(format!("ONBUILD {trigger}"));
                self.state.config().on_build.push(trigger);
                Ok(())
            }
            // These have methods of their own, and FROM only begins a stage.
            Kind::From(_) | Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) => Ok(()),
        }
    }

    fn with_shell(&self, command: &CommandLine) -> Vec<String> {
        match command {
            CommandLine::Exec(words) => words.iter().map(|w| w.value.clone()).collect(),
            CommandLine::Shell(text) => {
                let mut words = self.state.shell();
                words.push(text.value.clone());
                words
            }
        }
    }

    fn entrypoint(&mut self, command: &CommandLine) -> Result<(), BuildError> {
        let words = self.with_shell(command);
        self.state.push_history(format!("ENTRYPOINT {}", quoted_list(&words)));
        let cmd_given = self.state.cmd_given;
        let config = self.state.config();
        config.entrypoint = (!words.is_empty()).then_some(words);
        if !cmd_given {
            // The base's arguments were meant for the base's program.
            config.cmd = None;
        }
        Ok(())
    }

    fn arg(&mut self, declarations: &[stockade_dockerfile::ArgDeclaration]) -> Result<(), BuildError> {
        let mut shown = Vec::new();
        for declaration in declarations {
            let name = self.expand(&declaration.name)?;
            self.warn_if_secret("ARG", &name, declaration.name.span);
            let given = self.build.request.build_args.get(&name).cloned();
            if given.is_some() {
                self.build.use_arg(&name);
            }
            let value = match (given, &declaration.value) {
                (Some(given), _) => Some(given),
                (None, Some(default)) => Some(self.expand(default)?),
                (None, None) => self.build.plan.globals.get(&name),
            };
            shown.push(match &declaration.value {
                Some(_) => format!("{name}={}", value.as_deref().unwrap_or_default()),
                None => name.clone(),
            });
            if let Some(value) = value {
                self.state.set_arg(&name, value);
            }
        }
        self.state.push_history(format!("ARG {}", shown.join(" ")));
        Ok(())
    }

    fn warn_if_secret(&self, instruction: &str, name: &str, span: Span) {
        if looks_secret(name) {
            let message =
                format!("`{instruction} {name}` looks like a secret, and everyone who has the image can read it");
            self.warn(
                &Diagnostic::warning("secret-in-variable", span, message)
                    .help("give secrets with `--secret` and `RUN --mount=type=secret`"),
            );
        }
    }

    fn pairs(&self, pairs: &[Pair]) -> Result<Vec<(String, String)>, BuildError> {
        pairs.iter().map(|pair| Ok((self.expand(&pair.key)?, self.expand(&pair.value)?))).collect()
    }

    fn env(&mut self, pairs: &[Pair]) -> Result<(), BuildError> {
        // All values see the environment as it was before the instruction.
        let expanded = self.pairs(pairs)?;
        let mut shown = Vec::new();
        for ((name, value), pair) in expanded.iter().zip(pairs) {
            if name.is_empty() {
                return Err(self.fault(
                    "blank-name",
                    pair.key.span,
                    "the name of the variable is empty after expansion",
                ));
            }
            self.warn_if_secret("ENV", name, pair.key.span);
            env_set(&mut self.state.config().env, name, value);
            shown.push(format!("{name}={value}"));
        }
        let total: usize = self.state.image.config.env.iter().map(String::len).sum();
        if total > MAX_ENVIRONMENT {
            let span = pairs.first().map_or(Span::default(), |p| p.key.span);
            return Err(self.fault(
                "environment",
                span,
                format!("the environment is longer than {} MiB", MAX_ENVIRONMENT >> 20),
            ));
        }
        self.state.push_history(format!("ENV {}", shown.join(" ")));
        Ok(())
    }

    fn label(&mut self, pairs: &[Pair]) -> Result<(), BuildError> {
        let expanded = self.pairs(pairs)?;
        let shown: Vec<String> = expanded.iter().map(|(k, v)| format!("{k}={v}")).collect();
        self.state.config().labels.extend(expanded);
        self.state.push_history(format!("LABEL {}", shown.join(" ")));
        Ok(())
    }

    fn expose(&mut self, words: &[Word]) -> Result<(), BuildError> {
        let mut ports = std::collections::BTreeSet::new();
        for word in words {
            for text in self.expand_words(word)? {
                match parse_ports(&text) {
                    Some(list) => ports.extend(list),
                    None => {
                        return Err(self.fault_with(
                            Diagnostic::error("port", word.span, format!("`{text}` is no port"))
                                .help("a number from 1 to 65535 or a range, with `/tcp`, `/udp` or `/sctp` after it if need be"),
                        ));
                    }
                }
            }
        }
        let shown: Vec<String> = ports.iter().map(|p| format!("{p}:{{}}")).collect();
        self.state.push_history(format!("EXPOSE map[{}]", shown.join(" ")));
        self.state.config().exposed_ports.extend(ports.into_iter().map(|p| (p, Empty {})));
        Ok(())
    }

    fn volume(&mut self, words: &[Word]) -> Result<(), BuildError> {
        let mut paths = Vec::new();
        for word in words {
            let path = self.expand(word)?;
            if path.is_empty() {
                return Err(self.fault("blank-path", word.span, "the path of `VOLUME` is empty after expansion"));
            }
            paths.push(path);
        }
        self.state.push_history(format!("VOLUME [{}]", paths.join(" ")));
        self.state.config().volumes.extend(paths.into_iter().map(|p| (p, Empty {})));
        Ok(())
    }

    fn stopsignal(&mut self, word: &Word) -> Result<(), BuildError> {
        let signal = self.expand(word)?;
        let name = signal.trim_start_matches("SIG").trim_start_matches("RT");
        let plausible = match signal.parse::<u32>() {
            Ok(number) => (1..=64).contains(&number),
            Err(_) => {
                !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"+-".contains(&b))
            }
        };
        if !plausible {
            return Err(self.fault("signal", word.span, format!("`{signal}` is no signal")));
        }
        self.state.push_history(format!("STOPSIGNAL {signal}"));
        self.state.config().stop_signal = Some(signal);
        Ok(())
    }

    fn healthcheck(&mut self, check: &Healthcheck) {
        let health = match check {
            Healthcheck::None => HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() },
            Healthcheck::Check { command, interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries } => {
                let mut test = Vec::new();
                match command {
                    CommandLine::Exec(words) => {
                        test.push("CMD".to_owned());
                        test.extend(words.iter().map(|w| w.value.clone()));
                    }
                    CommandLine::Shell(text) => test.extend(["CMD-SHELL".to_owned(), text.value.clone()]),
                }
                HealthConfig {
                    test,
                    interval: *interval_ns,
                    timeout: *timeout_ns,
                    start_period: *start_period_ns,
                    start_interval: *start_interval_ns,
                    retries: u64::from(*retries),
                }
            }
        };
        self.state.push_history(format!("HEALTHCHECK {}", quoted_list(&health.test)));
        self.state.config().healthcheck = Some(health);
    }

    /// `WORKDIR`: a layer only when the directory is not there.
    fn workdir(&mut self, word: &Word) -> Result<(), BuildError> {
        let text = self.expand(word)?;
        if text.is_empty() {
            return Err(self.fault("blank-path", word.span, "the path of `WORKDIR` is empty after expansion"));
        }
        let path = absolute(self.state.workdir(), &text);
        let step = self.begin(&format!("WORKDIR {path}"));
        self.state.config().working_dir = path.clone();
        let created_by = format!("WORKDIR {path}");
        let existing = self.state.tree().resolve(path.as_bytes(), true)?.node;
        match existing {
            Some(node) if node.is_dir() => {
                self.state.push_history(created_by);
                self.end(step, &Finish::Cached);
                return Ok(());
            }
            Some(_) => {
                let error = self.fault(
                    "not-a-directory",
                    word.span,
                    format!("`{path}` exists in the image and is no directory"),
                );
                self.end(step, &Finish::Failed(error.to_string()));
                return Err(error);
            }
            None if path == "/" => {
                self.state.push_history(created_by);
                self.end(step, &Finish::Cached);
                return Ok(());
            }
            None => {}
        }
        let owner = match self.workdir_owner(word.span) {
            Ok(owner) => owner,
            Err(e) => {
                self.end(step, &Finish::Failed(e.to_string()));
                return Err(e);
            }
        };
        let mut key = Key::new("WORKDIR");
        key.field("files", self.state.files_key()).field("path", &path).field("owner", format!("{owner:?}"));
        self.build.key_common(&mut key);
        let layer = LayerStep { key: key.finish(), title: created_by.clone(), created_by, exclusive: false, bytes: 0 };
        let lower = self.state.lower();
        self.layer_step(step, &layer, &mut |run, place| {
            let mut writer = Place::new(place.upper, &lower, Rules { owner, ..Rules::default() });
            writer.directory(path.as_bytes()).and_then(|_| writer.finish()).map_err(|e| run.blame(e, word.span))
        })
    }

    /// New working directories belong to the stage's user.
    fn workdir_owner(&self, span: Span) -> Result<Option<(u32, u32)>, BuildError> {
        let user = &self.state.image.config.user;
        if user.is_empty() {
            return Ok(None);
        }
        let owner = crate::owner::resolve_owner(&self.state.tree(), user)?;
        owner.map(Some).map_err(|words| self.fault("user", span, words))
    }

    /// Gives a refusal of the file writer its place in the Dockerfile.
    pub(crate) fn blame(&self, error: PlaceError, span: Span) -> BuildError {
        match error {
            PlaceError::Refused(words) => self.fault("copy", span, words),
            PlaceError::Build(error) => error,
        }
    }
}

/// Longest environment of an image, in bytes: four times what Linux passes to a program.
const MAX_ENVIRONMENT: usize = 8 << 20;

/// The text that an image stores for a trigger: with the bodies of its heredocs.
fn onbuild_text(instruction: &Instruction) -> String {
    let mut text = instruction.arguments.value.clone();
    for heredoc in &instruction.heredocs {
        text.push('\n');
        text.push_str(&heredoc.content);
        text.push_str(&heredoc.name);
    }
    text
}

/// `80`, `80/udp`, `8000-8010/tcp`, and `HOST:80` of which only the container's side counts.
fn parse_ports(text: &str) -> Option<Vec<String>> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return None;
    }
    let range = range.rsplit(':').next()?;
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    if first == 0 || last < first {
        return None;
    }
    Some((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::parse_ports;

    #[test]
    fn ports_and_ranges() {
        assert_eq!(parse_ports("80").unwrap(), ["80/tcp"]);
        assert_eq!(parse_ports("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(parse_ports("8000-8002").unwrap(), ["8000/tcp", "8001/tcp", "8002/tcp"]);
        assert_eq!(parse_ports("127.0.0.1:8080:80").unwrap(), ["80/tcp"]);
        for bad in ["", "x", "0", "70000", "80/icmp", "90-80", "80/"] {
            assert!(parse_ports(bad).is_none(), "{bad}");
        }
    }
}
