//! `stockade base timer`

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

const SERVICE: &str = "stockade-base-update.service";
const TIMER: &str = "stockade-base-update.timer";

/// Arguments of `stockade base timer`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// When, as systemd.time(7) writes it
    #[arg(long, value_name = "CALENDAR", default_value = "daily")]
    on_calendar: String,
    /// Write the two units into this directory (/etc/systemd/system) instead of printing them
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// Prints or writes a service and a timer.
pub fn run(args: &Args, context: &Context) -> Outcome {
    if args.on_calendar.chars().any(char::is_control) || args.on_calendar.trim().is_empty() {
        return Err(Failure::usage("--on-calendar takes one line, such as `daily` or `Mon 04:00`"));
    }
    let program = std::env::current_exe().map_err(|e| Failure::new(format!("cannot find this program: {e}")))?;
    let (root, run) = (&context.settings.dirs.root, &context.settings.dirs.run);
    let service = format!(
        "[Unit]\n\
         Description=Rebuild images whose base or packages have updates\n\
         Documentation=man:systemd.timer(5)\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={} --root {} --run-root {} base update --apply\n\
         Nice=10\n\
         IOSchedulingClass=idle\n",
        quoted(&program)?,
        quoted(root)?,
        quoted(run)?,
    );
    let timer = format!(
        "[Unit]\n\
         Description=Rebuild images whose base or packages have updates, regularly\n\
         \n\
         [Timer]\n\
         OnCalendar={}\n\
         RandomizedDelaySec=4h\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n",
        args.on_calendar.replace('%', "%%"),
    );
    let Some(dir) = &args.write else {
        output::to_stdout(&format!("# {SERVICE}\n{service}\n# {TIMER}\n{timer}"))?;
        return Ok(Exit::DONE);
    };
    for (name, text) in [(SERVICE, service), (TIMER, timer)] {
        stockade_durable::write(&dir.join(name), text.as_bytes(), 0o644)?;
        output::to_stdout(&format!("{}\n", dir.join(name).display()))?;
    }
    output::to_stderr(&format!("  hint: `systemctl daemon-reload && systemctl enable --now {TIMER}` starts it\n"));
    Ok(Exit::DONE)
}

/// A word of a unit file (systemd.syntax(7), "Quoting").
fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    let text = text.ok_or_else(|| Failure::new(format!("`{}` cannot stand in a unit file", path.display())))?;
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$")))
}
