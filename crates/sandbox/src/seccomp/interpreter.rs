//! Runs a filter as the kernel would, for tests: the kernel's own checks (seccomp_check_filter) included.

use super::compile::{Instruction, op};

/// `struct seccomp_data`.
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) arch: u32,
    pub(super) args: [u64; 6],
}

impl Call {
    pub(super) fn native(number: u32, args: [u64; 6]) -> Self {
        Self { number, arch: super::table::AUDIT_ARCH, args }
    }

    fn load(&self, offset: u32) -> u32 {
        let mut bytes = Vec::new();
        bytes.extend(self.number.to_ne_bytes());
        bytes.extend(self.arch.to_ne_bytes());
        bytes.extend([0; 8]);
        self.args.iter().for_each(|a| bytes.extend(a.to_ne_bytes()));
        assert!(offset.is_multiple_of(4), "unaligned load");
        let at = offset as usize;
        u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
    }
}

/// The answer, with the number of instructions it took in the way of a check: no loops, all jumps inside.
pub(super) fn evaluate(program: &[Instruction], call: &Call) -> u32 {
    assert!(!program.is_empty() && program.len() <= super::compile::MAX_INSTRUCTIONS);
    let (mut at, mut accumulator) = (0usize, 0u32);
    loop {
        let i = program[at];
        at += 1;
        let branch = |holds: bool| usize::from(if holds { i.jt } else { i.jf });
        match i.code {
            op::LOAD => accumulator = call.load(i.k),
            op::AND => accumulator &= i.k,
            op::JUMP => at += i.k as usize,
            op::JUMP_EQUAL => at += branch(accumulator == i.k),
            op::JUMP_GREATER => at += branch(accumulator > i.k),
            op::JUMP_GREATER_EQUAL => at += branch(accumulator >= i.k),
            op::RETURN => return i.k,
            other => panic!("operation {other:#x} is not used by the compiler"),
        }
    }
}
