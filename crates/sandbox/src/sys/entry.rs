//! The first instructions of `stockade-oci`, which its build script makes the program's entry point.
//!
//! A runtime that a container's root could overwrite through /proc/self/exe (CVE-2019-5736) executes itself again from a
//! read-only mount of its file. Done here, before the C library and the standard library start, that costs four system
//! calls and nothing that is done twice. Whatever fails is left to [`crate::process::run_from_readonly_mount`], which asks
//! the same question again later and reports.
//!
//! JUSTIFICATION: no code of Rust or C can run before relocation; this needs neither stack frames nor relocated data.
//! It only reads the arguments that the kernel put on the stack, and goes on at `_start` with the stack pointer and `rdx`
//! as the kernel left them (System V ABI, x86-64 supplement, 3.4.1).

core::arch::global_asm!(
    ".pushsection .text.stockade_start,\"ax\",@progbits",
    ".globl stockade_start",
    ".hidden stockade_start",
    ".type stockade_start,@function",
    "stockade_start:",
    "    mov rbp, rsp",
    "    mov r12, rdx",
    "    sub rsp, 160",
    // statfs("/proc/self/exe", rsp): f_flags is the eleventh word, ST_RDONLY its first bit.
    "    mov eax, 137",
    "    lea rdi, [rip + .Lstockade_exe]",
    "    mov rsi, rsp",
    "    syscall",
    "    test rax, rax",
    "    jnz 2f",
    "    test byte ptr [rsp + 80], 1",
    "    jnz 2f",
    // open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | O_CLOEXEC)
    "    mov eax, 428",
    "    mov edi, -100",
    "    lea rsi, [rip + .Lstockade_exe]",
    "    mov edx, 0x80001",
    "    syscall",
    "    test rax, rax",
    "    js 2f",
    "    mov ebx, eax",
    // mount_setattr(fd, "", AT_EMPTY_PATH, {set: RDONLY | NOSUID}, 32)
    "    xor eax, eax",
    "    mov qword ptr [rsp], 3",
    "    mov [rsp + 8], rax",
    "    mov [rsp + 16], rax",
    "    mov [rsp + 24], rax",
    "    mov eax, 442",
    "    mov edi, ebx",
    "    lea rsi, [rip + .Lstockade_empty]",
    "    mov edx, 0x1000",
    "    mov r10, rsp",
    "    mov r8d, 32",
    "    syscall",
    "    test rax, rax",
    "    jnz 1f",
    // execveat(fd, "", argv, envp, AT_EMPTY_PATH)
    "    mov eax, 322",
    "    mov edi, ebx",
    "    lea rsi, [rip + .Lstockade_empty]",
    "    lea rdx, [rbp + 8]",
    "    mov rcx, [rbp]",
    "    lea r10, [rdx + 8*rcx + 8]",
    "    mov r8d, 0x1000",
    "    syscall",
    // Refused: close the descriptor and start as usual.
    "1:  mov eax, 3",
    "    mov edi, ebx",
    "    syscall",
    "2:  mov rsp, rbp",
    "    mov rdx, r12",
    "    xor ebp, ebp",
    "    jmp _start",
    ".Lstockade_exe: .asciz \"/proc/self/exe\"",
    ".Lstockade_empty: .asciz \"\"",
    ".size stockade_start, . - stockade_start",
    ".popsection",
);
