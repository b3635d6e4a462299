//! Known holes of kernels that matter to containers, and defences that a kernel may lack: a table of facts, and what the
//! running kernel says to it. Three answers: a kernel whose version says nothing about a fix is *unknown*, not safe.
//!
//! Each hole names the commit of Linux that mends it. Stable versions are those for which the record of that commit in the
//! stable tree was found (the lists of fixed versions by stream of nluedtke/linux_kernel_cves, the CVE records of the
//! kernel's own numbering authority, and announcements of the finders; looked up on 2026-11-24). A stream without an entry
//! is *unknown*, even where its end of life came after the fix. Distributions mend older versions without renumbering them:
//! for these the answer is unknown unless the version is beyond the fix.

use std::path::Path;

/// Answer to one fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The hole is mended, or the defence is there.
    Good,
    /// The hole is open, or the defence is missing.
    Bad,
    /// It cannot be told.
    Unknown,
}

impl Answer {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// A fact, answered.
#[derive(Debug, Clone)]
pub struct Finding {
    /// CVE or name of the defence.
    pub id: &'static str,
    /// What it is.
    pub what: &'static str,
    /// The answer.
    pub answer: Answer,
    /// What the answer rests on.
    pub evidence: String,
    /// The commit of Linux that mends a hole, abbreviated; empty for a defence.
    pub fix: &'static str,
    /// Which control of the level `standard` closes it in any case; empty: none.
    pub closed_by: &'static str,
}

/// A hole: first mainline version with it, first without, and stable versions that were mended.
struct Hole {
    id: &'static str,
    what: &'static str,
    since: (u32, u32),
    fixed: (u32, u32),
    /// The mainline commit that mends it: what a distribution's changelog names.
    fix: &'static str,
    stable: &'static [(u32, u32, u32)],
    closed_by: &'static str,
}

const NAMESPACES: &str = "no capability over namespaces, and the filter refuses to make them";
const IO_URING: &str = "the filter refuses io_uring";
const BPF: &str = "the filter refuses bpf(2)";
const NETFILTER: &str = "no CAP_NET_ADMIN, and the filter refuses netfilter sockets";

#[rustfmt::skip]
const HOLES: &[Hole] = &[
    Hole { id: "CVE-2016-5195", what: "Dirty COW: writing to read-only files", since: (2, 6), fixed: (4, 9),
           fix: "19be0eaffa3a", stable: &[(4, 8, 3), (4, 7, 9), (4, 4, 26)], closed_by: "" },
    Hole { id: "CVE-2017-5123", what: "waitid(2) writes to kernel memory", since: (4, 13), fixed: (4, 14),
           fix: "96ca579a1ecc", stable: &[(4, 13, 7)], closed_by: "" },
    Hole { id: "CVE-2020-14386", what: "packet sockets corrupt memory", since: (4, 6), fixed: (5, 9),
           fix: "acf69c946233", stable: &[], closed_by: "no CAP_NET_RAW, and the filter refuses packet sockets" },
    Hole { id: "CVE-2021-22555", what: "netfilter writes out of bounds", since: (2, 6), fixed: (5, 12),
           fix: "b29c457a6511", stable: &[(5, 10, 31), (5, 4, 113), (4, 19, 188), (4, 14, 231), (4, 9, 267), (4, 4, 267)],
           closed_by: NETFILTER },
    Hole { id: "CVE-2021-3490", what: "the BPF verifier is mistaken about 32-bit bounds", since: (5, 7), fixed: (5, 13),
           fix: "049c4e13714e", stable: &[(5, 12, 4), (5, 11, 21), (5, 10, 37)], closed_by: BPF },
    Hole { id: "CVE-2021-33909", what: "Sequoia: long paths overflow seq_file", since: (3, 16), fixed: (5, 14),
           fix: "8cae8cd89f05", stable: &[(5, 13, 4), (5, 10, 52), (5, 4, 134)], closed_by: NAMESPACES },
    Hole { id: "CVE-2022-0185", what: "file system contexts overflow", since: (5, 1), fixed: (5, 17),
           fix: "722d94847de2", stable: &[(5, 15, 16), (5, 10, 93), (5, 4, 173)], closed_by: NAMESPACES },
    Hole { id: "CVE-2022-0492", what: "release_agent of control groups runs programs on the host", since: (2, 6), fixed: (5, 17),
           fix: "24f600856418", stable: &[(5, 15, 20), (5, 10, 97), (5, 4, 177)], closed_by: NAMESPACES },
    Hole { id: "CVE-2022-0847", what: "Dirty Pipe: writing to read-only files", since: (5, 8), fixed: (5, 17),
           fix: "9d2231c5d74e", stable: &[(5, 16, 11), (5, 15, 25), (5, 10, 102)], closed_by: "" },
    Hole { id: "CVE-2023-0386", what: "overlayfs copies set-user-id files up", since: (5, 11), fixed: (6, 2),
           fix: "4f11ada10d0a", stable: &[(5, 15, 91)], closed_by: NAMESPACES },
    Hole { id: "CVE-2023-2598", what: "io_uring maps memory that is not its own", since: (6, 3), fixed: (6, 4),
           fix: "776617db78c6", stable: &[(6, 3, 2)], closed_by: IO_URING },
    Hole { id: "CVE-2023-3269", what: "StackRot: the stack's map is freed too early", since: (6, 1), fixed: (6, 5),
           fix: "9471f1f2f502", stable: &[(6, 4, 1), (6, 3, 11), (6, 1, 37)], closed_by: "" },
    Hole { id: "CVE-2023-32233", what: "nftables uses sets after they are freed", since: (3, 13), fixed: (6, 4),
           fix: "c1592a89942e", stable: &[(6, 3, 2), (6, 2, 15), (6, 1, 28), (5, 15, 111), (5, 10, 180), (5, 4, 243), (4, 19, 283),
           (4, 14, 315)], closed_by: NETFILTER },
    Hole { id: "CVE-2024-1086", what: "nftables frees twice", since: (3, 15), fixed: (6, 8),
           fix: "f342de4e2f33", stable: &[(6, 6, 15), (6, 1, 76), (5, 15, 149), (5, 10, 210), (5, 4, 269), (4, 19, 307)],
           closed_by: NETFILTER },
    Hole { id: "CVE-2026-31431", what: "Copy Fail: sockets of the kernel's cryptography make ordinary users root", since: (4, 14),
           fixed: (7, 0), fix: "a664bf3d603d", stable: &[(6, 19, 12), (6, 18, 22), (6, 12, 85), (6, 6, 137), (6, 1, 170),
           (5, 15, 204), (5, 10, 254)], closed_by: "the filter refuses sockets of all families but local and internet ones" },
    Hole { id: "CVE-2026-43284", what: "Dirty Frag: IPsec decrypts in pages that are not its own", since: (4, 11), fixed: (7, 1),
           fix: "f4c50a4034e6", stable: &[(7, 0, 5), (6, 18, 28), (6, 12, 87), (6, 6, 138), (6, 1, 172), (5, 15, 206),
           (5, 10, 255)], closed_by: "no CAP_NET_ADMIN, and the filter refuses to make namespaces" },
];

/// A defence: a kernel setting, the values that are good, and what it keeps away.
struct Defence {
    file: &'static str,
    good: fn(&str) -> bool,
    what: &'static str,
    closed_by: &'static str,
}

#[rustfmt::skip]
const DEFENCES: &[Defence] = &[
    Defence { file: "/proc/sys/kernel/unprivileged_bpf_disabled", good: |v| v != "0",
              what: "only privileged users load BPF programs", closed_by: BPF },
    Defence { file: "/proc/sys/kernel/kptr_restrict", good: |v| v != "0",
              what: "addresses of the kernel are hidden", closed_by: "/proc/kallsyms is covered" },
    Defence { file: "/proc/sys/kernel/dmesg_restrict", good: |v| v != "0",
              what: "only privileged users read the kernel's log", closed_by: "the filter refuses syslog(2)" },
    Defence { file: "/proc/sys/kernel/perf_event_paranoid", good: |v| v.parse::<i32>().is_ok_and(|n| n >= 2),
              what: "only privileged users count the kernel's events", closed_by: "the filter refuses perf_event_open(2)" },
    Defence { file: "/proc/sys/kernel/io_uring_disabled", good: |v| v != "0",
              what: "io_uring is off for ordinary users", closed_by: IO_URING },
    Defence { file: "/proc/sys/vm/unprivileged_userfaultfd", good: |v| v == "0",
              what: "only privileged users handle page faults of the kernel", closed_by: "the filter refuses userfaultfd(2)" },
    Defence { file: "/proc/sys/dev/tty/legacy_tiocsti", good: |v| v == "0",
              what: "nobody types into the terminals of others", closed_by: "the filter refuses TIOCSTI" },
    Defence { file: "/proc/sys/fs/protected_symlinks", good: |v| v == "1",
              what: "links in shared directories are not followed", closed_by: "" },
    Defence { file: "/proc/sys/fs/protected_hardlinks", good: |v| v == "1",
              what: "no links to the files of others", closed_by: "" },
    Defence { file: "/proc/sys/kernel/randomize_va_space", good: |v| v == "2",
              what: "addresses of programs are random", closed_by: "" },
    Defence { file: "/sys/kernel/security/lsm", good: |v| v.split(',').any(|m| m == "landlock"),
              what: "Landlock is enabled", closed_by: "" },
];

/// Answers every fact for the running kernel.
pub fn findings() -> Vec<Finding> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut list = holes(&release);
    list.extend(DEFENCES.iter().map(defence));
    list.extend(processor(Path::new("/sys/devices/system/cpu/vulnerabilities")));
    list
}

fn defence(defence: &Defence) -> Finding {
    let (answer, evidence) = match std::fs::read_to_string(defence.file) {
        Ok(text) => {
            let value = text.trim();
            (if (defence.good)(value) { Answer::Good } else { Answer::Bad }, format!("{} is {value}", defence.file))
        }
        Err(e) => (Answer::Unknown, format!("{} cannot be read: {e}", defence.file)),
    };
    let id = defence.file.rsplit('/').next().unwrap_or(defence.file);
    Finding { id, what: defence.what, answer, evidence, fix: "", closed_by: defence.closed_by }
}

/// What the kernel says of the processor's own holes.
fn processor(dir: &Path) -> Vec<Finding> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut open: Vec<String> = Vec::new();
    let mut count = 0;
    for entry in entries {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        count += 1;
        if text.starts_with("Vulnerable") {
            open.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    open.sort();
    let (answer, evidence) = match (count, open.is_empty()) {
        (0, _) => (Answer::Unknown, format!("{} tells nothing", dir.display())),
        (_, true) => (Answer::Good, format!("{count} kinds are mitigated or do not concern this processor")),
        (_, false) => (Answer::Bad, format!("vulnerable: {}", open.join(", "))),
    };
    vec![Finding {
        id: "processor",
        what: "speculation holes of the processor are mitigated",
        answer,
        evidence,
        fix: "",
        closed_by: "",
    }]
}

fn holes(release: &str) -> Vec<Finding> {
    let version = parse(release);
    HOLES
        .iter()
        .map(|hole| {
            let (answer, evidence) = match version {
                Some(version) => judge(hole, version, is_plain(release), release),
                None => (Answer::Unknown, format!("`{release}` is not a version that can be compared")),
            };
            Finding { id: hole.id, what: hole.what, answer, evidence, fix: hole.fix, closed_by: hole.closed_by }
        })
        .collect()
}

fn judge(hole: &Hole, version: (u32, u32, u32), plain: bool, release: &str) -> (Answer, String) {
    let (major, minor, patch) = version;
    if (major, minor) >= hole.fixed {
        return (Answer::Good, format!("{release} is newer than the fix in {}.{}", hole.fixed.0, hole.fixed.1));
    }
    if (major, minor) < hole.since {
        return (Answer::Good, format!("{release} is older than the hole"));
    }
    match hole.stable.iter().find(|(a, b, _)| (*a, *b) == (major, minor)) {
        Some((a, b, c)) if patch >= *c => (Answer::Good, format!("fixed in {a}.{b}.{c}")),
        // Whoever builds kernels under names of their own may have mended it.
        _ if !plain => {
            (Answer::Unknown, format!("{release} is a distribution's kernel: ask it whether commit {} is in", hole.fix))
        }
        Some((a, b, c)) => (Answer::Bad, format!("fixed in {a}.{b}.{c}, and this is {release}")),
        None => (Answer::Unknown, format!("no fix for {major}.{minor} is on record here")),
    }
}

/// `6.1.76`, `6.1.0-18-amd64`, `6.18.44-fc-v669`.
fn parse(release: &str) -> Option<(u32, u32, u32)> {
    let core = release.split(['-', '+', '_']).next()?;
    let mut numbers = core.split('.').map(|n| n.parse::<u32>().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0)).unwrap_or(0)))
}

/// A version of kernel.org's own, without a distribution's additions.
fn is_plain(release: &str) -> bool {
    release.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(release: &str, id: &str) -> Answer {
        holes(release).into_iter().find(|f| f.id == id).unwrap().answer
    }

    #[test]
    fn versions_before_in_and_after_a_hole() {
        assert_eq!(answer("5.7.0", "CVE-2022-0847"), Answer::Good);
        assert_eq!(answer("5.15.24", "CVE-2022-0847"), Answer::Bad);
        assert_eq!(answer("5.15.25", "CVE-2022-0847"), Answer::Good);
        assert_eq!(answer("5.12.3", "CVE-2022-0847"), Answer::Unknown);
        assert_eq!(answer("6.18.44-fc-v669", "CVE-2022-0847"), Answer::Good);
    }

    #[test]
    fn what_distributions_mended_is_unknown_not_safe_and_not_bad() {
        assert_eq!(answer("6.1.0-18-amd64", "CVE-2024-1086"), Answer::Unknown);
        assert_eq!(answer("5.10.0-28-cloud-amd64", "CVE-2023-0386"), Answer::Good, "older than the hole");
        assert_eq!(answer("strange", "CVE-2023-0386"), Answer::Unknown);
    }

    #[test]
    fn every_hole_names_its_fix_and_streams_between_its_ends() {
        for hole in HOLES {
            assert!(hole.fix.len() == 12 && hole.fix.bytes().all(|b| b.is_ascii_hexdigit()), "{}", hole.id);
            for (major, minor, _) in hole.stable {
                assert!((*major, *minor) >= hole.since && (*major, *minor) < hole.fixed, "{}", hole.id);
            }
        }
        assert_eq!(answer("6.18.44", "CVE-2026-43284"), Answer::Good);
        assert_eq!(answer("6.18.27", "CVE-2026-43284"), Answer::Bad);
    }

    #[test]
    fn the_running_kernel_gets_an_answer_to_everything() {
        let all = findings();
        assert_eq!(all.len(), HOLES.len() + DEFENCES.len() + 1);
        assert!(all.iter().all(|f| !f.evidence.is_empty()));
    }
}
