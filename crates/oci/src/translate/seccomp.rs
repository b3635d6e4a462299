//! `linux.seccomp` (`config-linux.md`, "Seccomp").

use stockade_sandbox::{SeccompAction, SeccompArgument, SeccompExtra, SeccompOp, SeccompPolicy, SeccompRule};

use crate::spec::{Seccomp, Syscall, SyscallArg};
use crate::{OciError, Result};

/// Actions by name.
pub const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// Comparisons by name.
pub const OPERATORS: [&str; 7] =
    ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"];

/// Flags by name.
pub const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// Architectures by name. Of those that are neither this machine's nor its 32-bit kin no program can run here: rules for
/// them have nothing to do.
pub const ARCHITECTURES: [&str; 21] = [
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
];

const EPERM: u32 = 1;

/// The policy of a filter.
pub fn policy(seccomp: &Seccomp) -> Result<SeccompPolicy> {
    let default_action = action("linux.seccomp.defaultAction", &seccomp.default_action, seccomp.default_errno_ret)?;
    if default_action == SeccompAction::Notify {
        let why = "the process must be able to hand its listener over; notify about single calls";
        return Err(OciError::unsupported("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY", why));
    }
    let mut rules = Vec::new();
    for (at, call) in seccomp.syscalls.iter().flatten().enumerate() {
        add(&mut rules, at, call, default_action)?;
    }
    let notifies = rules.iter().any(|rule| rule.action == SeccompAction::Notify);
    let listener = seccomp.listener_path.as_deref().is_some_and(|p| !p.is_empty());
    if notifies && !listener {
        return Err(OciError::config(
            "linux.seccomp.listenerPath",
            "is needed for SCMP_ACT_NOTIFY: somebody must answer",
        ));
    }
    if !listener && seccomp.listener_metadata.as_deref().is_some_and(|m| !m.is_empty()) {
        return Err(OciError::config("linux.seccomp.listenerMetadata", "needs linux.seccomp.listenerPath"));
    }
    Ok(SeccompPolicy { name: "config.json".to_owned(), default_action, rules, extra: extra(seccomp)? })
}

fn extra(seccomp: &Seccomp) -> Result<SeccompExtra> {
    let mut extra = SeccompExtra::default();
    for flag in seccomp.flags.iter().flatten() {
        match flag.as_str() {
            "SECCOMP_FILTER_FLAG_LOG" => extra.log = true,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => extra.spec_allow = true,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => extra.wait_killable = true,
            // The process has one thread when it gets its filter.
            "SECCOMP_FILTER_FLAG_TSYNC" => {}
            other => return Err(OciError::config("linux.seccomp.flags", format!("`{other}` is unknown"))),
        }
    }
    for architecture in seccomp.architectures.iter().flatten() {
        match architecture.as_str() {
            "SCMP_ARCH_X86" if cfg!(target_arch = "x86_64") => extra.compat = true,
            name if ARCHITECTURES.binary_search(&name).is_ok() => {}
            other => return Err(OciError::config("linux.seccomp.architectures", format!("`{other}` is unknown"))),
        }
    }
    Ok(extra)
}

fn add(rules: &mut Vec<SeccompRule>, at: usize, call: &Syscall, default: SeccompAction) -> Result<()> {
    let what = |field: &str| format!("linux.seccomp.syscalls[{at}].{field}");
    if call.names.is_empty() {
        return Err(OciError::config(what("names"), "needs at least one name"));
    }
    let action = action(&what("action"), &call.action, call.errno_ret)?;
    if action == default {
        return Ok(());
    }
    if action == SeccompAction::Notify && call.names.iter().any(|name| name == "write" || name == "read") {
        let why = "the process hands its listener over with them; notify about others";
        return Err(OciError::unsupported(what("names: read, write with SCMP_ACT_NOTIFY"), why));
    }
    let args = call.args.as_deref().unwrap_or_default();
    let tests = args.iter().map(|a| argument(&what("args"), a)).collect::<Result<Vec<_>>>()?;
    let repeated = tests.iter().enumerate().any(|(i, a)| tests.iter().skip(i + 1).any(|b| b.index == a.index));
    let mut push = |arguments: Vec<SeccompArgument>| {
        rules.push(SeccompRule { calls: call.names.clone(), action, arguments });
    };
    if repeated {
        // Several tests of one argument in a rule: any of them will do, as runc and crun read it.
        tests.into_iter().for_each(|test| push(vec![test]));
    } else {
        push(tests);
    }
    Ok(())
}

fn argument(what: &str, arg: &SyscallArg) -> Result<SeccompArgument> {
    let op = match arg.op.as_str() {
        "SCMP_CMP_NE" => SeccompOp::NotEqual,
        "SCMP_CMP_LT" => SeccompOp::Less,
        "SCMP_CMP_LE" => SeccompOp::LessEqual,
        "SCMP_CMP_EQ" => SeccompOp::Equal,
        "SCMP_CMP_GE" => SeccompOp::GreaterEqual,
        "SCMP_CMP_GT" => SeccompOp::Greater,
        "SCMP_CMP_MASKED_EQ" => SeccompOp::MaskedEqual,
        other => return Err(OciError::config(format!("{what}.op"), format!("`{other}` is unknown"))),
    };
    let index = u8::try_from(arg.index).ok().filter(|index| *index < 6);
    let index = index.ok_or_else(|| OciError::config(format!("{what}.index"), "must be 0 to 5"))?;
    Ok(SeccompArgument { index, op, value: arg.value, value_two: arg.value_two })
}

fn action(what: &str, name: &str, errno: Option<u32>) -> Result<SeccompAction> {
    let number =
        || u16::try_from(errno.unwrap_or(EPERM)).map_err(|_| OciError::config(what, "has an errno above 65535"));
    Ok(match name {
        "SCMP_ACT_ALLOW" => SeccompAction::Allow,
        "SCMP_ACT_ERRNO" => SeccompAction::Errno(number()?),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => SeccompAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => SeccompAction::KillProcess,
        "SCMP_ACT_TRAP" => SeccompAction::Trap,
        "SCMP_ACT_TRACE" => SeccompAction::Trace(number()?),
        "SCMP_ACT_LOG" => SeccompAction::Log,
        "SCMP_ACT_NOTIFY" => SeccompAction::Notify,
        other => return Err(OciError::config(what, format!("`{other}` is no action; for example SCMP_ACT_ERRNO"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<SeccompPolicy> {
        policy(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn rules_of_the_default_action_fall_away_and_repeated_arguments_are_alternatives() {
        let policy =
            of(r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],
            "syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","errnoRet":38},
              {"names":["personality"],"action":"SCMP_ACT_ALLOW",
               "args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"},{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}]}"#)
            .unwrap();
        assert_eq!(policy.default_action, SeccompAction::Errno(38));
        assert_eq!(policy.rules.len(), 2);
        assert!(policy.rules.iter().all(|r| r.arguments.len() == 1));
    }

    #[test]
    fn notifying_needs_somebody_who_listens() {
        let text = |path: &str| {
            format!(
                r#"{{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"{path}","syscalls":[{{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}}]}}"#
            )
        };
        assert!(of(&text("")).unwrap_err().to_string().contains("listenerPath"));
        assert!(of(&text("/run/x")).is_ok());
        assert!(of(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).is_err());
        assert!(of(r#"{"defaultAction":"SCMP_ACT_WHAT"}"#).unwrap_err().to_string().contains("SCMP_ACT_WHAT"));
    }

    #[test]
    fn names_are_sorted() {
        assert!(ACTIONS.is_sorted() && OPERATORS.is_sorted() && FLAGS.is_sorted() && ARCHITECTURES.is_sorted());
    }
}
