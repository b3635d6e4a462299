//! Reads a system call filter from docker's JSON (`--security-opt seccomp=FILE`).
//!
//! Format: <https://docs.docker.com/engine/security/seccomp/> and the OCI runtime specification's `linux.seccomp`, which
//! docker extends by `includes` and `excludes` (capabilities, architectures, kernel version).

use serde::Deserialize;
use stockade_sandbox::{
    Capabilities, SeccompAction, SeccompArgument, SeccompExtra, SeccompOp, SeccompPolicy, SeccompRule,
};

/// Longest profile that is read, in bytes. Docker's own has about 12 000.
pub const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    #[serde(default)]
    default_errno_ret: Option<u16>,
    /// Architectures that the filter is for, as the OCI has it.
    #[serde(default)]
    architectures: Option<Vec<String>>,
    /// The same as docker has it: with each machine's own, the others that it runs.
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    syscalls: Vec<Syscall>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

impl Profile {
    /// Whether 32-bit programs are judged by it, too.
    fn is_for_compat(&self) -> bool {
        const OWN: &str = "SCMP_ARCH_X86_64";
        const COMPAT: &str = "SCMP_ARCH_X86";
        cfg!(target_arch = "x86_64")
            && (self.architectures.iter().flatten().any(|a| a == COMPAT)
                || self
                    .arch_map
                    .iter()
                    .flatten()
                    .any(|m| m.architecture == OWN && m.sub_architectures.iter().flatten().any(|a| a == COMPAT)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Syscall {
    #[serde(default)]
    names: Vec<String>,
    /// The form before docker 1.12.
    #[serde(default)]
    name: Option<String>,
    action: String,
    #[serde(default)]
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Option<Condition>,
    #[serde(default)]
    excludes: Option<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
    #[serde(default)]
    min_kernel: Option<String>,
}

/// Reads a profile for a container with these capabilities. `name` is for `inspect`.
pub(crate) fn read(name: &str, text: &str, capabilities: Capabilities) -> Result<SeccompPolicy, String> {
    let bad = |why: String| format!("the seccomp profile `{name}` cannot be used: {why}");
    let profile: Profile = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
    let default_action = action(&profile.default_action, profile.default_errno_ret).map_err(&bad)?;
    let extra = SeccompExtra { compat: profile.is_for_compat(), ..SeccompExtra::default() };
    let mut rules = Vec::new();
    for call in profile.syscalls {
        let wanted = call.includes.as_ref().is_none_or(|c| holds(c, capabilities, true));
        let unwanted = call.excludes.as_ref().is_some_and(|c| holds(c, capabilities, false));
        if !wanted || unwanted {
            continue;
        }
        let mut arguments = Vec::new();
        for argument in call.args.unwrap_or_default() {
            if argument.index > 5 {
                return Err(bad(format!("a system call has no argument {}", argument.index)));
            }
            arguments.push(SeccompArgument {
                index: argument.index,
                op: op(&argument.op).map_err(&bad)?,
                value: argument.value,
                value_two: argument.value_two,
            });
        }
        let mut calls = call.names;
        calls.extend(call.name);
        rules.push(SeccompRule { calls, action: action(&call.action, call.errno_ret).map_err(&bad)?, arguments });
    }
    Ok(SeccompPolicy { name: name.to_owned(), default_action, rules, extra })
}

fn action(name: &str, errno: Option<u16>) -> Result<SeccompAction, String> {
    /// EPERM, docker's answer where the profile names none.
    const EPERM: u16 = 1;
    Ok(match name {
        "SCMP_ACT_ALLOW" => SeccompAction::Allow,
        "SCMP_ACT_ERRNO" => SeccompAction::Errno(errno.unwrap_or(EPERM)),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => SeccompAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => SeccompAction::KillProcess,
        "SCMP_ACT_TRAP" => SeccompAction::Trap,
        "SCMP_ACT_TRACE" => SeccompAction::Trace(errno.unwrap_or(EPERM)),
        "SCMP_ACT_LOG" => SeccompAction::Log,
        other => return Err(format!("unknown action `{other}`")),
    })
}

fn op(name: &str) -> Result<SeccompOp, String> {
    Ok(match name {
        "SCMP_CMP_EQ" => SeccompOp::Equal,
        "SCMP_CMP_NE" => SeccompOp::NotEqual,
        "SCMP_CMP_LT" => SeccompOp::Less,
        "SCMP_CMP_LE" => SeccompOp::LessEqual,
        "SCMP_CMP_GT" => SeccompOp::Greater,
        "SCMP_CMP_GE" => SeccompOp::GreaterEqual,
        "SCMP_CMP_MASKED_EQ" => SeccompOp::MaskedEqual,
        other => return Err(format!("unknown comparison `{other}`")),
    })
}

/// `includes` wants everything that it names, `excludes` is met by anything that it names.
fn holds(condition: &Condition, capabilities: Capabilities, all: bool) -> bool {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let has = |name: &String| {
        // A capability nobody knows is one the container does not have.
        Capabilities::parse(name).is_ok_and(|c| c.0 & capabilities.0 == c.0)
    };
    let mut tests = Vec::new();
    if !condition.caps.is_empty() {
        tests.push(if all { condition.caps.iter().all(has) } else { condition.caps.iter().any(has) });
    }
    if !condition.arches.is_empty() {
        tests.push(condition.arches.iter().any(|a| a == arch || (a == "x32" && arch == "amd64")));
    }
    if let Some(version) = &condition.min_kernel {
        tests.push(kernel() >= parse_version(version));
    }
    if all { tests.iter().all(|t| *t) } else { tests.iter().any(|t| *t) }
}

fn kernel() -> (u32, u32) {
    parse_version(&rustix::system::uname().release().to_string_lossy())
}

/// `4.8` and `6.18.44-generic`; what is no number counts 0.
fn parse_version(text: &str) -> (u32, u32) {
    let mut numbers = text.split(['.', '-', '+']).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_sandbox::caps;

    const TEXT: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "archMap": [],
        "syscalls": [
            { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } },
            { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": { "caps": ["CAP_SYS_ADMIN"] },
              "args": [{ "index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
            { "names": ["future"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "999.1" } },
            { "name": "old", "action": "SCMP_ACT_KILL", "args": null }
        ]}"#;

    #[test]
    fn rules_depend_on_capabilities_and_kernel() {
        let calls = |set| {
            let policy = read("p", TEXT, set).unwrap();
            assert_eq!(policy.default_action, SeccompAction::Errno(38));
            policy.rules.iter().flat_map(|r| r.calls.clone()).collect::<Vec<_>>().join(",")
        };
        assert_eq!(calls(caps::STANDARD), "read,write,clone,old");
        assert_eq!(calls(caps::ALL), "read,write,mount,old");
        assert!(!read("p", TEXT, caps::ALL).unwrap().extra.compat);
        let text = TEXT.replace(
            "\"archMap\": []",
            r#""archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}]"#,
        );
        assert_eq!(read("p", &text, caps::ALL).unwrap().extra.compat, cfg!(target_arch = "x86_64"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("", "cannot be used"),
            (r#"{"defaultAction":"SCMP_ACT_WHAT"}"#, "SCMP_ACT_WHAT"),
            (
                r#"{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","args":[{"index":9,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
                "argument 9",
            ),
        ] {
            assert!(read("p", text, caps::STANDARD).unwrap_err().contains(words), "{words}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_policy_or_an_error(text in "\\PC{0,200}") { let _ = read("p", &text, caps::STANDARD); }
    }
}
