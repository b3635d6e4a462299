//! `RUN`

use std::path::Path;

use stockade_dockerfile::ast::{CommandLine, Instruction, NetworkMode, Run, Security};
use stockade_dockerfile::{Diagnostic, Span};
use stockade_engine::{Level, NetMode, StepRequest, StepStream};

use crate::cache::Key;
use crate::copy::title;
use crate::error::{BuildError, StepFailure};
use crate::events::Finish;
use crate::history;
use crate::mounts::{Prepared, Wanted};
use crate::scope::{PROXY_ARGS, env_get};
use crate::stage::{LayerStep, StageRun, Workplace};
use crate::state::DEFAULT_PATH;
use crate::stubs;

/// What is kept of a step's output for the error message, in bytes.
const TAIL_BYTES: usize = 8 << 10;
/// Lines of output in the error message.
const TAIL_LINES: usize = 20;

/// A command ready to run.
struct Command {
    args: Vec<String>,
    /// A heredoc with an interpreter line: (name, script), given as a file.
    script: Option<(String, String)>,
    shown: String,
}

impl StageRun<'_> {
    /// `RUN`
    pub(crate) fn run(&mut self, instruction: &Instruction, run: &Run) -> Result<(), BuildError> {
        let step = self.begin(&title(instruction));
        let prepared = self
            .prepare_run(instruction, run)
            .and_then(|(command, network, level)| Ok((command, network, level, self.wanted_mounts(run, step)?)));
        let (command, network, level, mounts) = match prepared {
            Ok(prepared) => prepared,
            Err(e) => {
                self.end(step, &Finish::Failed(e.to_string()));
                return Err(e);
            }
        };
        let args = self.state.visible_args();
        let key = self.run_key(&command, &args, &network, level, &mounts);
        let created_by = format!("RUN {}{}", history::arguments(&self.history_args(&args)), command.shown);
        let layer = LayerStep { key, title: title(instruction), created_by, exclusive: true, bytes: 0 };
        self.layer_step(step, &layer, &mut |stage, place| {
            let mut request = stage.request(&command, &args, network.clone(), level, place);
            let ready = stage.prepare_mounts(&mounts, command.script.as_ref(), place)?;
            request.mounts = ready.mounts.clone();
            request.env.extend(ready.env.iter().cloned());
            stage.execute(instruction, &request, place)?;
            stage.clean(&request, &ready)
        })
    }

    fn prepare_run(&self, instruction: &Instruction, run: &Run) -> Result<(Command, NetMode, Level), BuildError> {
        if let Some(device) = run.devices.first() {
            return Err(self.fault_with(
                Diagnostic::error("device", device.span, "`RUN --device` is not supported by this version")
                    .help("leave the flag out; steps see null, zero, full, random, urandom and tty"),
            ));
        }
        if run.security == Security::Insecure {
            let span = instruction.flags.first().map_or(instruction.span, |f| f.span);
            return Err(self.fault_with(
                Diagnostic::error(
                    "insecure",
                    span,
                    "`RUN --security=insecure` is refused: the step would own this machine",
                )
                .help("leave the flag out; every build step here runs in a sandbox"),
            ));
        }
        let network = match run.network {
            NetworkMode::Default => self.build.request.network.clone(),
            NetworkMode::None => NetMode::None,
            NetworkMode::Host => NetMode::Host,
        };
        Ok((self.command(instruction, run), network, self.build.request.level))
    }

    /// The words that are run. A lone heredoc is a script: for its own interpreter when it begins with `#!`, else for
    /// the shell. Any other line with heredocs is given to the shell whole, bodies included.
    fn command(&self, instruction: &Instruction, run: &Run) -> Command {
        let text = match &run.command {
            CommandLine::Exec(words) => {
                let args: Vec<String> = words.iter().map(|w| w.value.clone()).collect();
                return Command { shown: args.join(" "), args, script: None };
            }
            CommandLine::Shell(text) => text.value.clone(),
        };
        let shell = self.state.shell();
        let with_shell = |text: String| {
            let mut args = shell.clone();
            args.push(text);
            args
        };
        let Some(first) = instruction.heredocs.first() else {
            let args = with_shell(text);
            return Command { shown: args.join(" "), args, script: None };
        };
        if text.trim() == first.marker.value {
            let script = first.data();
            let shown = format!("{} <<{} ({})", shell.join(" "), first.name, history::summary(&script));
            if script.starts_with("#!") {
                let args = vec![format!("/dev/pipes/{}", first.name)];
                return Command { args, script: Some((first.name.clone(), script)), shown };
            }
            return Command { args: with_shell(script), script: None, shown };
        }
        let mut full = text.clone();
        for heredoc in &instruction.heredocs {
            full.push('\n');
            full.push_str(&heredoc.content);
            full.push_str(&heredoc.name);
        }
        Command { args: with_shell(full), script: None, shown: format!("{} {text}", shell.join(" ")) }
    }

    /// Arguments that history shows: never the proxies, which are not part of the image.
    fn history_args(&self, args: &[(String, String)]) -> Vec<(String, String)> {
        args.iter().filter(|(k, _)| !PROXY_ARGS.contains(&k.as_str())).cloned().collect()
    }

    fn run_key(
        &self,
        command: &Command,
        args: &[(String, String)],
        network: &NetMode,
        level: Level,
        mounts: &[Wanted],
    ) -> String {
        let mut key = Key::new("RUN");
        let config = &self.state.image.config;
        key.field("files", self.state.files_key());
        key.list("command", &command.args);
        if let Some((_, script)) = &command.script {
            key.field("script", script);
        }
        key.list("env", &config.env);
        key.list("args", self.history_args(args).iter().map(|(k, v)| format!("{k}={v}")));
        key.field("user", &config.user).field("cwd", self.state.workdir());
        key.field("network", network.to_string()).field("level", level.to_string());
        key.list("hosts", self.build.request.extra_hosts.iter().map(|(n, a)| format!("{n}:{a}")));
        for mount in mounts {
            mount.describe(&mut key);
        }
        self.build.key_common(&mut key);
        key.finish()
    }

    fn request(
        &self,
        command: &Command,
        args: &[(String, String)],
        network: NetMode,
        level: Level,
        place: &Workplace<'_>,
    ) -> StepRequest {
        let config = &self.state.image.config;
        let mut env = config.env.clone();
        env.extend(args.iter().map(|(k, v)| format!("{k}={v}")));
        for (name, value) in self.build.proxies() {
            if env_get(&env, &name).is_none() {
                env.push(format!("{name}={value}"));
            }
        }
        if env_get(&env, "PATH").is_none() {
            env.push(DEFAULT_PATH.to_owned());
        }
        StepRequest {
            lower: self.state.lower(),
            upper: place.upper.to_owned(),
            work: place.work.to_owned(),
            args: command.args.clone(),
            env,
            cwd: self.state.workdir().to_owned(),
            user: config.user.clone(),
            network,
            level,
            extra_hosts: self.build.request.extra_hosts.clone(),
            cancel: Some(self.build.cancel.for_step()),
            ..StepRequest::default()
        }
    }

    fn execute(
        &self,
        instruction: &Instruction,
        request: &StepRequest,
        place: &Workplace<'_>,
    ) -> Result<(), BuildError> {
        let mut tail: Vec<u8> = Vec::new();
        let mut out = |stream: StepStream, bytes: &[u8]| {
            self.output(place.step, stream, bytes);
            tail.extend_from_slice(bytes);
            if tail.len() > 2 * TAIL_BYTES {
                tail.drain(..tail.len() - TAIL_BYTES);
            }
        };
        let result = self.build.executor.run(request, &mut out);
        self.build.cancel.check()?;
        let code = match result {
            Ok(0) => return Ok(()),
            Ok(code) => code,
            Err(stockade_engine::EngineError::Cancelled) => return Err(BuildError::Cancelled),
            // The program itself could not be started: the step's failure, not the engine's.
            Err(e) if matches!(e.exit_code(), 126 | 127) => {
                tail.extend_from_slice(e.chain().as_bytes());
                i32::from(e.exit_code())
            }
            Err(source) => return Err(BuildError::Engine { step: title(instruction), source }),
        };
        Err(BuildError::Step(Box::new(StepFailure {
            file: self.origin.file.clone(),
            line: instruction.span.start.line,
            excerpt: excerpt(&self.origin.text, instruction.span),
            instruction: title(instruction),
            exit_code: code,
            tail: last_lines(&tail),
        })))
    }

    /// Takes mount points and an unused root's traces out of the new layer.
    fn clean(&self, request: &StepRequest, ready: &Prepared) -> Result<(), BuildError> {
        let lower = self.state.tree();
        stubs::remove(&request.upper, &lower, &ready.targets)
    }
}

/// The lines around an instruction, its own marked.
fn excerpt(text: &str, span: Span) -> String {
    let (first, last) = (span.start.line as usize, span.end.line.max(span.start.line) as usize);
    let from = first.saturating_sub(2).max(1);
    let mut out = String::new();
    for (index, line) in text.lines().enumerate().skip(from - 1).take(last + 2 - from + 1) {
        let number = index + 1;
        let mark = if (first..=last).contains(&number) { ">>>" } else { "   " };
        let shown: String = line.chars().take(160).collect();
        out.push_str(&format!("{number:4} | {mark} {shown}\n"));
    }
    out
}

fn last_lines(tail: &[u8]) -> String {
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = text.lines().map(|l| l.rsplit('\r').find(|p| !p.is_empty()).unwrap_or_default()).collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// Writes an executable script where a step can see it.
pub(crate) fn write_script(dir: &Path, name: &str, script: &str) -> Result<(), BuildError> {
    let path = dir.join(name);
    std::fs::write(&path, script).map_err(BuildError::io("write", &path))?;
    let mode = rustix::fs::Mode::from_raw_mode(0o755);
    rustix::fs::chmod(&path, mode).map_err(BuildError::io("set the mode of", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excerpt_marks_the_instruction() {
        let text = "FROM a\nRUN b\\\n  c\nCMD d\nCMD e\nCMD f\n";
        let dockerfile = stockade_dockerfile::parse(text.as_bytes(), "Dockerfile").unwrap();
        let shown = excerpt(text, dockerfile.instructions[1].span);
        assert_eq!(
            shown,
            "   1 |     FROM a\n   2 | >>> RUN b\\\n   3 | >>>   c\n   4 |     CMD d\n   5 |     CMD e\n"
        );
    }

    #[test]
    fn progress_bars_do_not_fill_the_tail() {
        assert_eq!(last_lines(b"one\n10%\r50%\r100%\nlast\n"), "one\n100%\nlast");
    }
}
