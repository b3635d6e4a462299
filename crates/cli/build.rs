//! Links `stockade-oci` statically, which needs neither another target nor flags for the whole workspace.
//!
//! A container costs two starts of this program, and the dynamic loader is the larger part of a start. `rustc` asks the
//! linker for the shared libraries of C by name; in a directory that is searched first, linker scripts of these names lead
//! to the static ones. The compiler's own unwinder, of which only `libgcc_s` is shared, is `libgcc_eh` then.

#![allow(clippy::expect_used)] // A build that cannot write its files has nothing better to do than to stop.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CC");
    let target = |key: &str| std::env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    // Without the static C library (Debian has it in libc6-dev) it is an ordinary program, only slower to start.
    let Some([libc, libm, unwinder, builtins]) = archives(["libc.a", "libm.a", "libgcc_eh.a", "libgcc.a"]) else {
        return;
    };
    let dir = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("static");
    std::fs::create_dir_all(&dir).expect("a directory for the linker scripts");
    for (name, archives) in [
        ("libc.so", format!("{libc} {unwinder} {builtins}")),
        ("libm.so", libm),
        ("libgcc_s.so", format!("{unwinder} {builtins}")),
    ] {
        std::fs::write(dir.join(name), format!("GROUP({archives})\n")).expect("a linker script");
    }
    let mut arguments = vec![format!("-L{}", dir.display()), "-static-pie".to_owned(), "-Wl,-z,norelro".to_owned()];
    if target("ARCH") == "x86_64" {
        // See the sandbox room's `sys/entry.rs`.
        arguments.push("-Wl,-e,stockade_start".to_owned());
    }
    for argument in arguments {
        println!("cargo:rustc-link-arg-bin=stockade-oci={argument}");
    }
}

/// Absolute paths of the compiler's static libraries, if it has them all.
fn archives<const N: usize>(names: [&str; N]) -> Option<[String; N]> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let path = |name: &str| {
        let output = std::process::Command::new(&compiler).arg(format!("-print-file-name={name}")).output().ok()?;
        // A name that is not found comes back as it is.
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|path| path.starts_with('/'))
    };
    let found: Vec<String> = names.iter().map_while(|name| path(name)).collect();
    found.try_into().ok()
}
