//! What a running build shows: lines when a file reads them, a live view on a terminal.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use stockade_build::{BuildEvents, Finish, StepId};
use stockade_engine::StepStream;

use crate::output::{Style, to_stderr};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every line that steps write, with the step's number.
    Plain,
    /// The running steps, each in one line.
    Live,
    /// Nothing.
    Quiet,
}

struct Step {
    name: String,
    started: Instant,
    /// The end of what it wrote, without its last line break.
    partial: Vec<u8>,
    bar: Option<ProgressBar>,
}

/// The view.
pub struct Progress {
    kind: Kind,
    style: Style,
    bars: MultiProgress,
    steps: Mutex<HashMap<StepId, Step>>,
}

/// Longest line that is shown of a step, in characters.
const MAX_LINE: usize = 2000;

impl Progress {
    /// A view of this kind, on stderr.
    pub fn new(kind: Kind) -> Progress {
        Progress { kind, style: Style::stderr(), bars: MultiProgress::new(), steps: Mutex::default() }
    }

    /// Whether what steps write was shown.
    pub fn shows_output(&self) -> bool {
        self.kind == Kind::Plain
    }

    /// Takes the live view away.
    pub fn close(&self) {
        if self.kind == Kind::Live {
            let _ = self.bars.clear();
        }
    }

    fn steps(&self) -> MutexGuard<'_, HashMap<StepId, Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, text: &str) {
        if self.kind == Kind::Live {
            let _ = self.bars.println(text.trim_end());
        } else {
            to_stderr(text);
        }
    }

    fn bar(&self, name: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed:.dim}\n    {wide_msg:.dim}") {
            bar.set_style(style);
        }
        bar.set_prefix(cut(&printable(name), 100));
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

impl BuildEvents for Progress {
    fn started(&self, id: StepId, name: &str) {
        let live = self.kind == Kind::Live && !name.starts_with("[internal]");
        let bar = live.then(|| self.bar(name));
        let step = Step { name: name.to_owned(), started: Instant::now(), partial: Vec::new(), bar };
        let mut steps = self.steps();
        steps.insert(id, step);
        if self.kind == Kind::Plain {
            to_stderr(&format!("#{id} {}\n", cut(&printable(name), MAX_LINE)));
        }
    }

    fn output(&self, id: StepId, _stream: StepStream, bytes: &[u8]) {
        let mut steps = self.steps();
        let Some(step) = steps.get_mut(&id) else { return };
        let seconds = step.started.elapsed().as_secs_f64();
        let lines = complete_lines(&mut step.partial, bytes);
        match (self.kind, &step.bar) {
            (Kind::Plain, _) => {
                let text: String = lines.iter().map(|l| format!("#{id} {seconds:.3} {}\n", printable(l))).collect();
                to_stderr(&text);
            }
            (Kind::Live, Some(bar)) => {
                if let Some(line) = lines.iter().rev().find(|l| !l.trim().is_empty()) {
                    bar.set_message(printable(line));
                }
            }
            _ => {}
        }
    }

    fn status(&self, id: StepId, text: &str) {
        let steps = self.steps();
        let Some(step) = steps.get(&id) else { return };
        match (self.kind, &step.bar) {
            (Kind::Plain, _) => {
                to_stderr(&format!("#{id} {:.3} {}\n", step.started.elapsed().as_secs_f64(), printable(text)));
            }
            (Kind::Live, Some(bar)) => bar.set_message(printable(text)),
            _ => {}
        }
    }

    fn finished(&self, id: StepId, finish: &Finish) {
        let Some(mut step) = self.steps().remove(&id) else { return };
        let seconds = step.started.elapsed().as_secs_f64();
        if self.kind == Kind::Plain {
            let mut text = String::new();
            if !step.partial.is_empty() {
                let rest = String::from_utf8_lossy(&std::mem::take(&mut step.partial)).into_owned();
                text.push_str(&format!("#{id} {seconds:.3} {}\n", printable(&rest)));
            }
            text.push_str(&match finish {
                Finish::Done => format!("#{id} DONE {seconds:.1}s\n\n"),
                Finish::Cached => format!("#{id} CACHED\n\n"),
                Finish::Failed(why) => {
                    format!("#{id} ERROR: {}\n\n", printable(why.lines().next().unwrap_or_default()))
                }
                Finish::Cancelled => format!("#{id} CANCELED\n\n"),
            });
            to_stderr(&text);
            return;
        }
        if let Some(bar) = step.bar {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        } else {
            return;
        }
        let name = cut(&printable(&step.name), 110);
        let line = match finish {
            Finish::Done => format!("{} {name} {}", self.style.green("✔"), self.style.dim(&format!("{seconds:.1}s"))),
            Finish::Cached => format!("{} {name} {}", self.style.green("✔"), self.style.dim("cached")),
            Finish::Failed(_) => format!("{} {name}", self.style.red("✘")),
            Finish::Cancelled => format!("  {name} {}", self.style.dim("cancelled")),
        };
        self.print(&line);
    }

    fn warning(&self, text: &str) {
        if self.kind == Kind::Quiet {
            return;
        }
        let lines: Vec<String> = text.lines().map(printable).collect();
        self.print(&format!("{}\n", lines.join("\n")));
    }
}

/// Takes whole lines out of `partial` + `bytes`. A carriage return begins the line anew, as on a terminal.
fn complete_lines(partial: &mut Vec<u8>, bytes: &[u8]) -> Vec<String> {
    // Writing to a Vec cannot fail.
    let _ = partial.write_all(bytes);
    let Some(end) = partial.iter().rposition(|b| *b == b'\n') else {
        if partial.len() > 64 << 10 {
            return vec![shown(&std::mem::take(partial))];
        }
        return Vec::new();
    };
    let rest = partial.split_off(end + 1);
    let whole = std::mem::replace(partial, rest);
    let whole = whole.strip_suffix(b"\n").unwrap_or(&whole);
    whole.split(|b| *b == b'\n').map(shown).collect()
}

fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let last = line.rsplit(|b| *b == b'\r').find(|part| !part.is_empty()).unwrap_or_default();
    cut(&String::from_utf8_lossy(last), MAX_LINE)
}

/// Output of steps without what would drive the terminal; tabs are harmless.
fn printable(text: &str) -> String {
    text.split('\t').map(crate::output::printable).collect::<Vec<_>>().join("\t")
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().nth(length).is_none() {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(length).collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_progress_bars_once() {
        let mut partial = Vec::new();
        assert!(complete_lines(&mut partial, b"one").is_empty());
        assert_eq!(complete_lines(&mut partial, b" line\n10%\r50%\r100%\nrest"), ["one line", "100%"]);
        assert_eq!(partial, b"rest");
        assert_eq!(complete_lines(&mut partial, b"\n\n"), ["rest", ""]);
    }

    #[test]
    fn an_endless_line_does_not_fill_memory() {
        let mut partial = Vec::new();
        let lines = complete_lines(&mut partial, &vec![b'x'; 100 << 10]);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].chars().count() <= MAX_LINE + 1);
        assert!(partial.is_empty());
    }
}
