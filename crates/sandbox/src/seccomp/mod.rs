//! System call filters: policies as data, and a compiler to classic BPF.
//!
//! A policy is a list of rules by call name ([`SeccompPolicy`]); the first rule that matches decides. [`compile()`] turns it
//! into a balanced tree over call numbers, so that any call costs about eight comparisons, and the kernel's own cache
//! (which asks the filter once for every number when it is installed) is filled quickly.

mod calls;
mod compile;
#[cfg(target_arch = "x86_64")]
mod i386;
#[cfg(test)]
mod interpreter;
mod policy;
mod strict;
mod table;

pub use compile::{Instruction, compile};
pub use policy::{build_step, compat, compat_with, standard, standard_with};
pub use strict::strict;

use crate::{SeccompAction, SeccompArgument, SeccompOp, SeccompPolicy, SeccompRule};

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
pub(crate) const NEW_LISTENER: u32 = 1 << 3;

/// Flags of seccomp(2) for a policy.
pub(crate) fn flags(policy: &SeccompPolicy) -> u32 {
    const LOG: u32 = 1 << 1;
    const SPEC_ALLOW: u32 = 1 << 2;
    const WAIT_KILLABLE_RECV: u32 = 1 << 5;
    let asks = |action| action == SeccompAction::Notify;
    let listens = asks(policy.default_action) || policy.rules.iter().any(|rule| asks(rule.action));
    [
        (policy.extra.log, LOG),
        (policy.extra.spec_allow, SPEC_ALLOW),
        (listens, NEW_LISTENER),
        (listens && policy.extra.wait_killable, WAIT_KILLABLE_RECV),
    ]
    .iter()
    .filter(|(on, _)| *on)
    .fold(0, |bits, (_, bit)| bits | bit)
}

/// Whether this architecture has a call of this name.
pub fn is_known_call(name: &str) -> bool {
    table::number(name).is_some()
}

/// The calls that `policy` lets pass at least with some arguments, by name; for `explain`.
pub fn allowed_calls(policy: &SeccompPolicy) -> Vec<&str> {
    let mut names: Vec<&str> = policy
        .rules
        .iter()
        .filter(|rule| matches!(rule.action, SeccompAction::Allow | SeccompAction::Log))
        .flat_map(|rule| rule.calls.iter().map(String::as_str))
        .filter(|name| is_known_call(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The name of a system call number on this architecture.
pub fn call_name(number: u32) -> Option<&'static str> {
    table::name(number)
}

fn rule(calls: &[&str], action: SeccompAction) -> SeccompRule {
    SeccompRule { calls: calls.iter().map(|c| (*c).to_owned()).collect(), action, arguments: Vec::new() }
}

fn rule_if(call: &str, action: SeccompAction, arguments: &[SeccompArgument]) -> SeccompRule {
    SeccompRule { calls: vec![call.to_owned()], action, arguments: arguments.to_vec() }
}

/// A whole 64-bit register equals `value`.
#[cfg(test)]
const fn equals(index: u8, value: u64) -> SeccompArgument {
    SeccompArgument { index, op: SeccompOp::Equal, value, value_two: 0 }
}

/// The register's bits in `mask` are `value`.
const fn masked(index: u8, mask: u64, value: u64) -> SeccompArgument {
    SeccompArgument { index, op: SeccompOp::MaskedEqual, value: mask, value_two: value }
}

/// The low half of the register equals `value`: for parameters that the kernel reads as `int`, whatever is above.
const fn int_is(index: u8, value: u32) -> SeccompArgument {
    masked(index, 0xffff_ffff, value as u64)
}
