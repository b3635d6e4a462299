//! From a policy to a program for the kernel.

use super::table;
use crate::error::Result;
use crate::{SandboxError, SeccompAction, SeccompArgument, SeccompOp, SeccompPolicy};

/// One instruction of classic BPF (`struct sock_filter`, seccomp(2)).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// The kernel's limit (`BPF_MAXINSNS`), in instructions.
pub(super) const MAX_INSTRUCTIONS: usize = 4096;

/// Operations (`linux/bpf_common.h`).
pub(super) mod op {
    pub(in super::super) const LOAD: u16 = 0x20;
    pub(in super::super) const AND: u16 = 0x54;
    pub(in super::super) const JUMP: u16 = 0x05;
    pub(in super::super) const JUMP_EQUAL: u16 = 0x15;
    pub(in super::super) const JUMP_GREATER: u16 = 0x25;
    pub(in super::super) const JUMP_GREATER_EQUAL: u16 = 0x35;
    pub(in super::super) const RETURN: u16 = 0x06;
}

/// Answers (`linux/seccomp.h`).
pub(super) mod answer {
    pub(in super::super) const KILL_PROCESS: u32 = 0x8000_0000;
    pub(in super::super) const KILL_THREAD: u32 = 0;
    pub(in super::super) const TRAP: u32 = 0x0003_0000;
    pub(in super::super) const ERRNO: u32 = 0x0005_0000;
    pub(in super::super) const NOTIFY: u32 = 0x7fc0_0000;
    pub(in super::super) const TRACE: u32 = 0x7ff0_0000;
    pub(in super::super) const LOG: u32 = 0x7ffc_0000;
    pub(in super::super) const ALLOW: u32 = 0x7fff_0000;
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Call numbers from here on are the x32 ABI on x86_64, and nothing elsewhere: it is not offered (CVE-2014-0038).
const X32: u32 = 0x4000_0000;

/// The largest call number of Linux 6.18. A policy that refuses by errno answers `ENOSYS` to anything newer, as an older
/// kernel would: C libraries then fall back, which they do not for `EPERM`.
const LAST_KNOWN_CALL: u32 = 469;

/// Conditions of one rule, each at most six instructions: all of them can be jumped over (255 instructions).
const MAX_CONDITIONS: usize = 32;

const ENOSYS: u32 = 38;
/// The kernel cuts larger errno values off (`MAX_ERRNO`).
const MAX_ERRNO: u16 = 4095;

/// Conditional answers in order; all of a condition's arguments must match.
type Conditions<'p> = Vec<(&'p [SeccompArgument], u32)>;

/// What happens to a range of call numbers: conditional answers, then the last.
#[derive(Clone, PartialEq, Eq, Default)]
struct Outcome<'p> {
    conditions: Conditions<'p>,
    last: u32,
}

impl Outcome<'_> {
    fn always(last: u32) -> Self {
        Self { conditions: Vec::new(), last }
    }
}

/// Compiles a policy for this machine's architecture. Calls of other architectures' ABIs (i386, x32) are refused.
///
/// Errors: [`SandboxError::Seccomp`] for an argument index above 5, an errno above 4095, or a program longer than the
/// kernel takes.
pub fn compile(policy: &SeccompPolicy) -> Result<Vec<Instruction>> {
    let error = |why: String| SandboxError::Seccomp { policy: policy.name.clone(), why };
    let mut native = vec![load(NUMBER)];
    tree(&ranges(policy, &table::number).map_err(error)?, &mut native);
    let mut program = vec![load(ARCHITECTURE)];
    match compat(policy).map_err(error)? {
        None => {
            program.push(Instruction { code: op::JUMP_EQUAL, jt: 1, jf: 0, k: table::AUDIT_ARCH });
            program.push(ret(answer::KILL_PROCESS));
            program.extend(native);
        }
        Some((architecture, other)) => {
            program.extend([
                Instruction { code: op::JUMP_EQUAL, jt: 3, jf: 0, k: table::AUDIT_ARCH },
                Instruction { code: op::JUMP_EQUAL, jt: 1, jf: 0, k: architecture },
                ret(answer::KILL_PROCESS),
                Instruction { code: op::JUMP, jt: 0, jf: 0, k: native.len() as u32 },
            ]);
            program.extend(native);
            program.extend(other);
        }
    }
    if program.len() > MAX_INSTRUCTIONS {
        return Err(error(format!(
            "it needs {} instructions and the kernel takes {MAX_INSTRUCTIONS}; use fewer argument conditions",
            program.len()
        )));
    }
    Ok(program)
}

/// The part for 32-bit programs, with their architecture, if the policy is for them too.
fn compat(policy: &SeccompPolicy) -> Result<Option<(u32, Vec<Instruction>)>, String> {
    #[cfg(target_arch = "x86_64")]
    if policy.extra.compat {
        let mut code = vec![load(NUMBER)];
        tree(&ranges(policy, &super::i386::number)?, &mut code);
        return Ok(Some((super::i386::AUDIT_ARCH, code)));
    }
    if policy.extra.compat { Err("rules for 32-bit programs exist on x86_64 only".to_owned()) } else { Ok(None) }
}

/// The whole space of call numbers as ranges: (first number, outcome), ascending, the first at 0.
fn ranges<'p>(
    policy: &'p SeccompPolicy,
    numbers: &dyn Fn(&str) -> Option<u32>,
) -> Result<Vec<(u32, Outcome<'p>)>, String> {
    let default = encode(policy.default_action)?;
    let newer = if matches!(policy.default_action, SeccompAction::Errno(_)) { answer::ERRNO | ENOSYS } else { default };
    let mut ranges: Vec<(u32, Outcome<'p>)> = Vec::with_capacity(256);
    let mut push = |first: u32, outcome: Outcome<'p>| {
        if ranges.last().is_none_or(|(_, last)| *last != outcome) {
            ranges.push((first, outcome));
        }
    };
    for (number, outcome) in outcomes(policy, default, numbers)?.into_iter().enumerate() {
        push(number as u32, outcome);
    }
    push(LAST_KNOWN_CALL + 1, Outcome::always(newer));
    push(X32, Outcome::always(answer::ERRNO | ENOSYS));
    Ok(ranges)
}

/// What the rules say about each known call, by number.
fn outcomes<'p>(
    policy: &'p SeccompPolicy,
    default: u32,
    numbers: &dyn Fn(&str) -> Option<u32>,
) -> Result<Vec<Outcome<'p>>, String> {
    let size = LAST_KNOWN_CALL as usize + 1;
    let mut outcomes = vec![Outcome::always(default); size];
    let mut decided = vec![false; size];
    for rule in &policy.rules {
        let action = encode(rule.action)?;
        if let Some(bad) = rule.arguments.iter().find(|a| a.index > 5) {
            return Err(format!("a call has no argument {}; they are numbered 0 to 5", bad.index));
        }
        if rule.arguments.len() > MAX_CONDITIONS {
            return Err(format!(
                "a rule has {} argument conditions; at most {MAX_CONDITIONS} work",
                rule.arguments.len()
            ));
        }
        for number in rule.calls.iter().filter_map(|name| numbers(name)) {
            let at = number as usize;
            let (Some(outcome), Some(decided)) = (outcomes.get_mut(at), decided.get_mut(at)) else { continue };
            match *decided {
                true => {}
                false if rule.arguments.is_empty() => (outcome.last, *decided) = (action, true),
                false => outcome.conditions.push((&rule.arguments, action)),
            }
        }
    }
    for Outcome { conditions, last } in &mut outcomes {
        // Conditions that end in the same answer as everything after them decide nothing.
        while conditions.pop_if(|(_, action)| action == last).is_some() {}
    }
    Ok(outcomes)
}

fn encode(action: SeccompAction) -> Result<u32, String> {
    Ok(match action {
        SeccompAction::Allow => answer::ALLOW,
        SeccompAction::Errno(errno) if errno <= MAX_ERRNO => answer::ERRNO | u32::from(errno),
        SeccompAction::Errno(errno) => return Err(format!("errno {errno} is above {MAX_ERRNO}")),
        SeccompAction::KillThread => answer::KILL_THREAD,
        SeccompAction::KillProcess => answer::KILL_PROCESS,
        SeccompAction::Trap => answer::TRAP,
        SeccompAction::Trace(data) => answer::TRACE | u32::from(data),
        SeccompAction::Log => answer::LOG,
        SeccompAction::Notify => answer::NOTIFY,
    })
}

/// A balanced binary search over the ranges. The call number is in the accumulator.
fn tree(ranges: &[(u32, Outcome<'_>)], code: &mut Vec<Instruction>) {
    match ranges {
        [] => {}
        [(_, outcome)] => {
            for (arguments, answer) in &outcome.conditions {
                code.extend(when(arguments, *answer));
            }
            code.push(ret(outcome.last));
        }
        several => {
            let (low, high) = several.split_at(several.len() / 2);
            let pivot = high.first().map_or(0, |(first, _)| *first);
            let jump = code.len();
            code.push(Instruction { code: op::JUMP_GREATER_EQUAL, jt: 0, jf: 0, k: pivot });
            tree(low, code);
            let distance = code.len() - jump - 1;
            match (u8::try_from(distance), code.get_mut(jump)) {
                (Ok(near), Some(instruction)) => instruction.jt = near,
                // Conditional jumps reach 255 instructions, plain ones everywhere.
                (_, Some(instruction)) => {
                    instruction.jf = 1;
                    code.insert(jump + 1, Instruction { code: op::JUMP, jt: 0, jf: 0, k: distance as u32 });
                }
                (_, None) => {}
            }
            tree(high, code);
        }
    }
}

/// Answers when all arguments match, otherwise falls through to what follows.
fn when(arguments: &[SeccompArgument], answer: u32) -> Vec<Instruction> {
    let mut code = vec![ret(answer)];
    // From the back, so that the distance to the end is known.
    for argument in arguments.iter().rev() {
        let mut test = test(argument, code.len());
        test.append(&mut code);
        code = test;
    }
    code
}

/// Tests one argument. A failed test skips the rest of the test and `rest` more instructions; a passed one falls
/// through to the instruction after it.
fn test(argument: &SeccompArgument, rest: usize) -> Vec<Instruction> {
    use op::{AND, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL};
    let at = ARGUMENTS + 8 * u32::from(argument.index);
    let (low_at, high_at) = if cfg!(target_endian = "little") { (at, at + 4) } else { (at + 4, at) };
    let (high, low) = ((argument.value >> 32) as u32, argument.value as u32);
    let (high_two, low_two) = ((argument.value_two >> 32) as u32, argument.value_two as u32);
    // Jumps as (when true, when false); FAIL and PASS are patched to distances below.
    let steps: Vec<(u16, Go, Go, u32)> = match argument.op {
        SeccompOp::Equal => vec![
            (op::LOAD, Go::On, Go::On, high_at),
            (JUMP_EQUAL, Go::On, Go::Fail, high),
            (op::LOAD, Go::On, Go::On, low_at),
            (JUMP_EQUAL, Go::On, Go::Fail, low),
        ],
        SeccompOp::NotEqual => vec![
            (op::LOAD, Go::On, Go::On, high_at),
            (JUMP_EQUAL, Go::On, Go::Pass, high),
            (op::LOAD, Go::On, Go::On, low_at),
            (JUMP_EQUAL, Go::Fail, Go::On, low),
        ],
        SeccompOp::Greater | SeccompOp::GreaterEqual => vec![
            (op::LOAD, Go::On, Go::On, high_at),
            (JUMP_GREATER, Go::Pass, Go::On, high),
            (JUMP_EQUAL, Go::On, Go::Fail, high),
            (op::LOAD, Go::On, Go::On, low_at),
            (if argument.op == SeccompOp::Greater { JUMP_GREATER } else { JUMP_GREATER_EQUAL }, Go::On, Go::Fail, low),
        ],
        SeccompOp::Less | SeccompOp::LessEqual => vec![
            (op::LOAD, Go::On, Go::On, high_at),
            (JUMP_GREATER, Go::Fail, Go::On, high),
            (JUMP_EQUAL, Go::On, Go::Pass, high),
            (op::LOAD, Go::On, Go::On, low_at),
            (if argument.op == SeccompOp::Less { JUMP_GREATER_EQUAL } else { JUMP_GREATER }, Go::Fail, Go::On, low),
        ],
        SeccompOp::MaskedEqual => {
            let low_half = [
                (op::LOAD, Go::On, Go::On, low_at),
                (AND, Go::On, Go::On, low),
                (JUMP_EQUAL, Go::On, Go::Fail, low_two),
            ];
            let high_half = [
                (op::LOAD, Go::On, Go::On, high_at),
                (AND, Go::On, Go::On, high),
                (JUMP_EQUAL, Go::On, Go::Fail, high_two),
            ];
            let high_matters = high != 0 || high_two != 0;
            high_half.into_iter().filter(|_| high_matters).chain(low_half).collect()
        }
    };
    let length = steps.len();
    let steps = steps.into_iter().enumerate();
    steps
        .map(|(at, (code, jt, jf, k))| {
            let distance = |go| match go {
                Go::On => 0,
                Go::Pass => length - at - 1,
                Go::Fail => length - at - 1 + rest,
            };
            // Fits by MAX_CONDITIONS.
            let near = |go| u8::try_from(distance(go)).unwrap_or(u8::MAX);
            Instruction { code, jt: near(jt), jf: near(jf), k }
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Go {
    On,
    Pass,
    Fail,
}

const fn load(offset: u32) -> Instruction {
    Instruction { code: op::LOAD, jt: 0, jf: 0, k: offset }
}

const fn ret(answer: u32) -> Instruction {
    Instruction { code: op::RETURN, jt: 0, jf: 0, k: answer }
}

#[cfg(test)]
mod tests {
    use super::super::interpreter::{Call, evaluate};
    use super::super::{equals, rule, rule_if};
    use super::*;
    use crate::{SeccompOp, SeccompRule};
    use proptest::prelude::*;

    const EPERM: u32 = answer::ERRNO | 1;

    fn policy(rules: Vec<SeccompRule>) -> SeccompPolicy {
        SeccompPolicy {
            name: "test".into(),
            default_action: SeccompAction::Errno(1),
            rules,
            extra: crate::SeccompExtra::default(),
        }
    }

    fn ask(policy: &SeccompPolicy, call: &str, args: [u64; 6]) -> u32 {
        evaluate(&compile(policy).unwrap(), &Call::native(table::number(call).unwrap(), args))
    }

    #[test]
    fn the_first_matching_rule_wins() {
        let p = policy(vec![
            rule_if("socket", SeccompAction::Errno(97), &[equals(0, 40)]),
            rule(&["socket"], SeccompAction::Allow),
            rule(&["socket"], SeccompAction::KillProcess),
        ]);
        assert_eq!(ask(&p, "socket", [40, 0, 0, 0, 0, 0]), answer::ERRNO | 97);
        assert_eq!(ask(&p, "socket", [2, 0, 0, 0, 0, 0]), answer::ALLOW);
        assert_eq!(ask(&p, "bpf", [0; 6]), EPERM);
    }

    #[test]
    fn foreign_abis_and_future_calls_are_refused() {
        let p = policy(vec![rule(&["read"], SeccompAction::Allow)]);
        let program = compile(&p).unwrap();
        let foreign = Call { arch: 0x4000_0003, ..Call::native(0, [0; 6]) };
        assert_eq!(evaluate(&program, &foreign), answer::KILL_PROCESS);
        assert_eq!(evaluate(&program, &Call::native(X32, [0; 6])), answer::ERRNO | ENOSYS);
        assert_eq!(evaluate(&program, &Call::native(u32::MAX, [0; 6])), answer::ERRNO | ENOSYS);
        assert_eq!(evaluate(&program, &Call::native(LAST_KNOWN_CALL + 1, [0; 6])), answer::ERRNO | ENOSYS);
        assert_eq!(evaluate(&program, &Call::native(LAST_KNOWN_CALL, [0; 6])), EPERM);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn thirty_two_bit_programs_are_judged_by_their_own_numbers() {
        let mut p = policy(vec![rule(&["read", "socketcall"], SeccompAction::Allow)]);
        p.extra.compat = true;
        let program = compile(&p).unwrap();
        let ask = |arch, number| evaluate(&program, &Call { arch, ..Call::native(number, [0; 6]) });
        assert_eq!(ask(super::super::i386::AUDIT_ARCH, 3), answer::ALLOW);
        assert_eq!(ask(super::super::i386::AUDIT_ARCH, 102), answer::ALLOW);
        assert_eq!(ask(super::super::i386::AUDIT_ARCH, 0), EPERM);
        assert_eq!(ask(table::AUDIT_ARCH, 0), answer::ALLOW);
        assert_eq!(ask(0x1234, 0), answer::KILL_PROCESS);
    }

    #[test]
    fn a_denylist_lets_future_calls_pass() {
        let p = SeccompPolicy { default_action: SeccompAction::Allow, ..policy(vec![]) };
        let program = compile(&p).unwrap();
        assert_eq!(evaluate(&program, &Call::native(5000, [0; 6])), answer::ALLOW);
    }

    #[test]
    fn bad_policies_are_errors_that_name_them() {
        let bad_index = policy(vec![rule_if("read", SeccompAction::Allow, &[equals(6, 0)])]);
        assert!(compile(&bad_index).unwrap_err().to_string().contains("`test`"));
        let bad_errno = policy(vec![rule(&["read"], SeccompAction::Errno(5000))]);
        assert!(compile(&bad_errno).unwrap_err().to_string().contains("5000"));
    }

    #[test]
    fn a_policy_that_is_too_long_is_an_error() {
        let many = (0..700).map(|v| rule_if("read", SeccompAction::Allow, &[equals(0, v), equals(1, v)]));
        assert!(compile(&policy(many.collect())).unwrap_err().to_string().contains("4096"));
    }

    fn any_op() -> impl Strategy<Value = SeccompOp> {
        use SeccompOp::*;
        prop::sample::select(vec![Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, MaskedEqual])
    }

    fn interesting() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), 0..4u64, Just(u64::from(u32::MAX)), Just(1 << 32), (0..4u64).prop_map(|v| v << 32)]
    }

    fn holds(a: &SeccompArgument, args: &[u64; 6]) -> bool {
        let have = args[a.index as usize];
        match a.op {
            SeccompOp::Equal => have == a.value,
            SeccompOp::NotEqual => have != a.value,
            SeccompOp::Less => have < a.value,
            SeccompOp::LessEqual => have <= a.value,
            SeccompOp::Greater => have > a.value,
            SeccompOp::GreaterEqual => have >= a.value,
            SeccompOp::MaskedEqual => have & a.value == a.value_two,
        }
    }

    proptest! {
        /// The program decides as the rules read, for any rules over a few calls and any arguments.
        #[test]
        fn the_program_means_what_the_policy_says(
            rules in prop::collection::vec(
                (0..6usize, prop::collection::vec((0..6u8, any_op(), interesting(), interesting()), 0..4), 0..5u16),
                0..12,
            ),
            call in 0..7usize,
            args in prop::array::uniform6(interesting()),
        ) {
            let names = ["read", "write", "ptrace", "socket", "clone", "statx", "bpf"];
            let rules: Vec<SeccompRule> = rules
                .into_iter()
                .map(|(call, arguments, action)| {
                    let arguments: Vec<SeccompArgument> = arguments
                        .into_iter()
                        .map(|(index, op, value, value_two)| SeccompArgument { index, op, value, value_two })
                        .collect();
                    let action = if action == 0 { SeccompAction::Allow } else { SeccompAction::Errno(action + 1) };
                    rule_if(names[call], action, &arguments)
                })
                .collect();
            let policy = policy(rules);
            let first = policy.rules.iter().find(|r| r.calls[0] == names[call] && r.arguments.iter().all(|a| holds(a, &args)));
            let expected = encode(first.map_or(policy.default_action, |r| r.action)).unwrap();
            prop_assert_eq!(ask(&policy, names[call], args), expected);
        }
    }
}
