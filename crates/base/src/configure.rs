//! Has the packages' maintainer scripts run inside the new root, in one program start.
//!
//! dpkg would run each package's `preinst` before it unpacks the package, and its `postinst` when it configures it.
//! Here all packages are unpacked already. So, in one shell:
//! 1. each `preinst install`, dependencies before dependents, with the environment that dpkg gives it;
//! 2. one `dpkg --configure` of all packages in that same order, which runs each `postinst configure` and all triggers.
//!
//! dpkg defers by itself whatever a dependency cycle brings too early.

use std::path::Path;

use crate::error::BaseError;
use crate::packages::Candidate;
use crate::root::Root;
use crate::runner::ConfigureRunner;
use crate::unpack::Unpacked;

/// Where the scripts' output goes, inside the root; removed after success.
const LOG: &str = "var/log/stockade-bootstrap.log";
/// How much of the log's end an error shows, in lines.
const SHOWN_LINES: usize = 20;
/// Most of the log that is read, in bytes.
const MAX_LOG_BYTES: u64 = 4 << 20;
/// The search path of dpkg's own requirements, as on every Debian system.
pub(crate) const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One package as this step sees it.
pub struct Member<'a> {
    /// From the index.
    pub candidate: &'a Candidate,
    /// From the package.
    pub unpacked: &'a Unpacked,
}

impl Member<'_> {
    /// Its name in dpkg's `info` directory.
    fn info_name(&self) -> String {
        let same = self.unpacked.control.lines().any(|l| l.trim_end() == "Multi-Arch: same");
        match same {
            true => format!("{}:{}", self.candidate.name, self.candidate.architecture),
            false => self.candidate.name.clone(),
        }
    }
}

/// Runs the scripts. `date` (seconds since 1970) is what tools that honour `SOURCE_DATE_EPOCH` take for now.
///
/// # Errors
/// [`BaseError::Runner`] when nothing could be started, [`BaseError::Configure`] with the log's end when a script
/// failed or dpkg did not finish a package.
pub fn configure(
    root: &Root,
    members: &[Member<'_>],
    date: i64,
    runner: &mut dyn ConfigureRunner,
) -> Result<(), BaseError> {
    let args: Vec<String> = vec!["/bin/sh".into(), "-c".into(), script(members)];
    let environment = environment(date);
    let what = "the packages' maintainer scripts";
    let code = runner
        .run(&root.path, &args, &environment)
        .map_err(|source| BaseError::Runner { what: what.into(), source })?;
    let log = || tail(&root.read(LOG, MAX_LOG_BYTES).unwrap_or_default());
    if code != 0 {
        return Err(BaseError::Configure { what: what.into(), code, log: log() });
    }
    let status = root.read("var/lib/dpkg/status", MAX_LOG_BYTES).map_err(BaseError::io("read", Path::new("status")))?;
    let unfinished = crate::dpkg::unfinished(&String::from_utf8_lossy(&status));
    if !unfinished.is_empty() {
        let what = format!("`dpkg --configure` left packages unfinished ({}) and", unfinished.join(", "));
        return Err(BaseError::Configure { what, code, log: log() });
    }
    root.remove(LOG).map_err(BaseError::io("remove", &root.path.join(LOG)))
}

fn environment(date: i64) -> Vec<String> {
    [
        PATH,
        "HOME=/root",
        "LC_ALL=C",
        "TERM=dumb",
        "TZ=UTC",
        "DEBIAN_FRONTEND=noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN=true",
        "DEBCONF_NOWARNINGS=yes",
        "UCF_FORCE_CONFFNEW=1",
    ]
    .iter()
    .map(|s| (*s).to_owned())
    .chain([format!("SOURCE_DATE_EPOCH={date}")])
    .collect()
}

fn script(members: &[Member<'_>]) -> String {
    let mut out = format!(
        "exec >/{LOG} 2>&1 </dev/null\nset -eu\ncd /\numask 022\nexport DPKG_ROOT= DPKG_ADMINDIR=/var/lib/dpkg DPKG_MAINTSCRIPT_DEBUG=0\n\
         export DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_NAME=preinst\n"
    );
    let dpkg = members.iter().find(|m| m.candidate.name == "dpkg").map(|m| m.candidate.version.as_str());
    out.push_str(&format!("export DPKG_RUNNING_VERSION={}\n", quote(dpkg.unwrap_or("1"))));
    for member in members.iter().filter(|m| m.unpacked.info("preinst").is_some()) {
        out.push_str(&format!(
            "DPKG_MAINTSCRIPT_PACKAGE={} DPKG_MAINTSCRIPT_ARCH={} {} install\n",
            quote(&member.candidate.name),
            quote(&member.candidate.architecture),
            quote(&format!("/var/lib/dpkg/info/{}.preinst", member.info_name())),
        ));
    }
    out.push_str("unset DPKG_ROOT DPKG_ADMINDIR DPKG_MAINTSCRIPT_DEBUG DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT DPKG_MAINTSCRIPT_NAME DPKG_RUNNING_VERSION\n");
    out.push_str("exec dpkg --force-unsafe-io --configure");
    for member in members {
        out.push(' ');
        out.push_str(&quote(&member.info_name()));
    }
    out.push('\n');
    out
}

/// For the shell. Names and versions hold no quotes (they were checked), but a line of shell should not rely on it.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn tail(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(SHOWN_LINES);
    lines.get(from..).unwrap_or_default().iter().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n")
}
