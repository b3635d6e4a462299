//! `stockade-oci`: the OCI runtime as a program of its own, small enough that starting it twice for each container costs
//! little (the second time from a read-only mount, see [`stockade_runtime::execute`]).
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    if let Some(wrong) = args.next().and_then(|name| stockade_runtime::wrong_build(&name)) {
        eprintln!("error: {wrong}");
        return ExitCode::FAILURE;
    }
    ExitCode::from(stockade_runtime::execute(args.collect()))
}
