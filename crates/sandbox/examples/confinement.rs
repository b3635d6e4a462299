//! What holds a running process, from outside, as cells of a table: for `benches/security.sh`.
//!
//! Usage: `confinement PID`, as root. Prints one line a fact, `name<TAB>value`: whether its root is the host's, effective
//! capabilities, `no_new_privs`, system calls that its filters let pass, covered paths, limits. The filters are read back
//! from the kernel (ptrace(2), `PTRACE_SECCOMP_GET_FILTER`) and evaluated for every number with all arguments 0.

use std::fs;

use stockade_sandbox::seccomp::{Instruction, call_name};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid: i32 = std::env::args().nth(1).ok_or("usage: confinement PID")?.parse()?;
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
    let status = read("status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    let map = read("uid_map")?;
    let own_root = map.split_whitespace().nth(1) != Some("0");
    println!("root is the host's\t{}", if own_root { "no" } else { "yes" });
    let effective = u64::from_str_radix(&field("CapEff"), 16)?;
    println!("CapEff\t{effective:x} ({})", effective.count_ones());
    println!("no_new_privs\t{}", if field("NoNewPrivs") == "1" { "on" } else { "off" });
    let filters: usize = field("Seccomp_filters").parse().unwrap_or(0);
    let passing = if filters == 0 { "all".to_owned() } else { calls_that_pass(pid, filters)?.to_string() };
    println!("system calls\t{passing}");
    let mounts = read("mountinfo")?;
    let points: Vec<&str> = mounts.lines().filter_map(|l| l.split(' ').nth(4)).collect();
    let covered = |point: &&&str| point.starts_with("/proc/") || point.starts_with("/sys/");
    let writable = |l: &&str| l.split(' ').nth(5).is_some_and(|o| o.starts_with("rw"));
    println!("mounts over /proc and /sys\t{}", points.iter().filter(covered).count());
    let proc = mounts.lines().find(|l| l.split(' ').nth(4) == Some("/proc")).unwrap_or_default();
    println!("hidepid\t{}", if proc.contains("hidepid=") && !proc.contains("hidepid=off") { "yes" } else { "no" });
    let root = mounts.lines().find(|l| l.split(' ').nth(4) == Some("/"));
    println!("root file system\t{}", if root.as_ref().is_some_and(writable) { "writable" } else { "read-only" });
    println!("limit of processes\t{}", limit(pid, "pids", "pids.max")?);
    println!("limit of memory\t{}", limit(pid, "memory", "memory.limit_in_bytes")?);
    Ok(())
}

/// A limit of the process's own group, on either version of control groups.
fn limit(pid: i32, controller: &str, file: &str) -> std::io::Result<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let group = |wanted: &str| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (names, path) = (fields.next()?, fields.next()?);
            names.split(',').any(|n| n == wanted).then_some(path)
        })
    };
    let first = group(controller).map(|path| format!("/sys/fs/cgroup/{controller}{path}/{file}"));
    let second = group("").map(|path| format!("/sys/fs/cgroup{path}/{controller}.max"));
    let text = [first, second].into_iter().flatten().find_map(|path| fs::read_to_string(path).ok());
    // The kernel's "no limit" of version 1 is the largest whole number of pages.
    let none = |value: &str| value == "max" || value.parse::<u64>().is_ok_and(|n| n > 1 << 60);
    Ok(text.map_or("none".to_owned(), |t| if none(t.trim()) { "none".to_owned() } else { t.trim().to_owned() }))
}

/// How many calls of this architecture all filters let pass.
fn calls_that_pass(pid: i32, count: usize) -> Result<usize, Box<dyn std::error::Error>> {
    let filters = filters(pid, count)?;
    let passes = |number: u32| filters.iter().all(|filter| matches!(answer(filter, number), Some(ALLOW | LOG)));
    Ok((0..600).filter(|number| call_name(*number).is_some() && passes(*number)).count())
}

const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;

/// `AUDIT_ARCH_X86_64`, `AUDIT_ARCH_AARCH64`.
const ARCH: u32 = if cfg!(target_arch = "aarch64") { 0xc000_00b7 } else { 0xc000_003e };

/// What a filter answers; `None` for an instruction that is not known here.
fn answer(filter: &[Instruction], number: u32) -> Option<u32> {
    let data = |offset: u32| match offset {
        0 => number,
        4 => ARCH,
        _ => 0,
    };
    let (mut at, mut a, mut x, mut memory) = (0usize, 0u32, 0u32, [0u32; 16]);
    loop {
        let i = filter.get(at)?;
        at += 1;
        let operand = if i.code & 0x08 == 0 { i.k } else { x };
        match i.code & 0x07 {
            // ld, ldx: from the data, immediate, from memory.
            0 | 1 => {
                let value = match i.code & 0xe0 {
                    0x20 => data(i.k),
                    0x00 => i.k,
                    0x60 => *memory.get(i.k as usize)?,
                    _ => return None,
                };
                if i.code & 0x07 == 0 { a = value } else { x = value }
            }
            2 => *memory.get_mut(i.k as usize)? = a,
            3 => *memory.get_mut(i.k as usize)? = x,
            4 => {
                a = match i.code & 0xf0 {
                    0x00 => a.wrapping_add(operand),
                    0x10 => a.wrapping_sub(operand),
                    0x40 => a | operand,
                    0x50 => a & operand,
                    0x60 => a.checked_shl(operand).unwrap_or(0),
                    0x70 => a.checked_shr(operand).unwrap_or(0),
                    0x80 => a.wrapping_neg(),
                    0xa0 => a ^ operand,
                    _ => return None,
                };
            }
            5 => {
                let holds = match i.code & 0xf0 {
                    0x00 => {
                        at += i.k as usize;
                        continue;
                    }
                    0x10 => a == operand,
                    0x20 => a > operand,
                    0x30 => a >= operand,
                    0x40 => a & operand != 0,
                    _ => return None,
                };
                at += usize::from(if holds { i.jt } else { i.jf });
            }
            6 => return Some(if i.code & 0x18 == 0x10 { a } else { i.k } & 0xffff_0000),
            _ => {
                if i.code & 0xf8 == 0x80 {
                    a = x
                } else {
                    x = a
                }
            }
        }
    }
}

/// The filters of a process, which stands still meanwhile.
fn filters(pid: i32, count: usize) -> std::io::Result<Vec<Vec<Instruction>>> {
    const PTRACE_SECCOMP_GET_FILTER: i64 = 0x420c;
    let trace = |request: i64, address: usize, data: *mut Instruction| {
        // JUSTIFICATION: only ptrace(2) reads filters back.
        // SAFETY: `data` is null, or the start of a vector with room for every instruction that a filter may have
        // (BPF_MAXINSNS); the other requests used here write no memory.
        let answer = unsafe { libc::syscall(libc::SYS_ptrace, request, pid, address, data) };
        if answer < 0 { Err(std::io::Error::last_os_error()) } else { Ok(answer as usize) }
    };
    let none = std::ptr::null_mut();
    trace(i64::from(libc::PTRACE_SEIZE), 0, none)?;
    trace(i64::from(libc::PTRACE_INTERRUPT), 0, none)?;
    // SAFETY: a null status is allowed.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) };
    let mut all = Vec::new();
    for index in 0..count {
        let empty = Instruction { code: 0, jt: 0, jf: 0, k: 0 };
        let mut filter = vec![empty; 4096];
        let length = trace(PTRACE_SECCOMP_GET_FILTER, index, filter.as_mut_ptr())?;
        filter.truncate(length);
        all.push(filter);
    }
    trace(i64::from(libc::PTRACE_DETACH), 0, none)?;
    Ok(all)
}
