//! Further processes in a running container.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use stockade_sandbox::{Running, Target, exec_with};

use crate::create::{standard_streams, write_pid};
use crate::listener::Listener;
use crate::runtime::{Runtime, expect};
use crate::spec::{Affinity, Process};
use crate::state::Status;
use crate::{OciError, Result, console, translate};

/// How the process is to be run.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Gets its id.
    pub pid_file: Option<PathBuf>,
    /// Gets its terminal.
    pub console_socket: Option<PathBuf>,
    /// The caller will not wait for it.
    pub detach: bool,
    /// How many descriptors after the standard streams are handed on.
    pub keep_descriptors: u32,
    /// Run it in a paused container, too: it will stand still.
    pub ignore_paused: bool,
    /// Size of a terminal that the process gives none: columns, rows.
    pub terminal: (u16, u16),
}

/// A process that runs, and is a child of the caller.
#[derive(Debug)]
pub struct Executed {
    /// The process.
    pub running: Running,
    /// The master side of its terminal, unless it went over the console socket.
    pub terminal: Option<OwnedFd>,
    /// For the log.
    pub warnings: Vec<String>,
}

impl Runtime {
    /// Runs `process` in the container; returns once its program has been executed.
    pub fn exec(&self, id: &str, process: &Process, options: &ExecOptions) -> Result<Executed> {
        let container = self.load(id)?;
        if options.ignore_paused {
            expect(&container, "run a process in", &[Status::Running, Status::Created, Status::Paused], "")?;
        } else {
            let hint = "; a paused container runs nothing (--ignore-paused queues the process)";
            expect(&container, "run a process in", &[Status::Running, Status::Created], hint)?;
        }
        let spec = container.spec()?;
        let mut warnings = Vec::new();
        let mut plan = translate::process(process, spec.linux.as_ref(), options.terminal, &mut warnings)?;
        plan.extra.keep_descriptors = options.keep_descriptors;
        if let Some(affinity) = &process.exec_cpu_affinity {
            plan.extra.processors = processors(affinity)?;
        }
        let terminal = plan.terminal.is_some();
        if terminal && options.console_socket.is_none() && options.detach {
            return Err(OciError::config("terminal", "is true: give --console-socket, to which the terminal is sent"));
        }
        if !terminal && options.console_socket.is_some() {
            return Err(OciError::unsupported("--console-socket", "the process has no terminal"));
        }
        let seccomp = spec.linux.as_ref().and_then(|l| l.seccomp.as_ref());
        let target = Target {
            pid: container.pid(),
            id_map: container.id_map(),
            cgroup: container.stored.cgroup.clone(),
            seccomp: seccomp.map(translate::policy).transpose()?,
            landlock: false,
        };
        let listener = Listener::of(&spec, id, &container.stored.bundle, "running", container.pid(), container.pid());
        let mut hand_over = |fd| match &listener {
            Some(listener) => listener.hand_over(fd),
            None => Err(std::io::Error::other("no listenerPath")),
        };
        let stdio = if terminal { None } else { Some(standard_streams()?) };
        let mut running = exec_with(&target, &plan, stdio, Some(&mut hand_over))?;
        let mut master = running.take_terminal();
        if let Some(socket) = &options.console_socket
            && let Some(master) = master.take()
        {
            console::send(socket, master.as_fd())?;
        }
        if let Some(path) = &options.pid_file {
            write_pid(path, running.pid())?;
        }
        Ok(Executed { running, terminal: master, warnings })
    }
}

/// Processors of the program: `final`, or those it was set up on.
fn processors(affinity: &Affinity) -> Result<Vec<u32>> {
    let given = |list: &Option<String>| list.clone().filter(|l| !l.is_empty());
    match given(&affinity.last).or(given(&affinity.initial)) {
        Some(list) => cpu_list(&list),
        None => Ok(Vec::new()),
    }
}

/// `0-3,7` (cpuset(7), "List format").
fn cpu_list(text: &str) -> Result<Vec<u32>> {
    let bad =
        || OciError::config("process.execCPUAffinity", format!("`{text}` is not a list of processors like 0-3,7"));
    let mut list = Vec::new();
    for part in text.split(',').map(str::trim) {
        let number = |n: &str| n.trim().parse::<u32>().ok().filter(|n| *n < 1024).ok_or_else(bad);
        match part.split_once('-') {
            Some((from, to)) if number(from)? <= number(to)? => list.extend(number(from)?..=number(to)?),
            Some(_) => return Err(bad()),
            None => list.push(number(part)?),
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(cpu_list("0-2,5").unwrap(), [0, 1, 2, 5]);
        for bad in ["", "a", "3-1", "1-", "4096"] {
            assert!(cpu_list(bad).is_err(), "{bad}");
        }
    }
}
