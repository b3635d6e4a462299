//! Scans a directory and says what was found, how long it took and how much memory it needed.
//!
//! `cargo run --release -p stockade-inventory --example scan_dir -- / [--json]`

use std::process::ExitCode;
use std::time::Instant;

use stockade_inventory::{Options, scan_dir};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(root) = args.next() else {
        eprintln!("usage: scan_dir ROOT [--json]");
        return ExitCode::from(2);
    };
    let start = Instant::now();
    let inventory = match scan_dir(root.as_ref(), &Options::default()) {
        Ok(inventory) => inventory,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let took = start.elapsed();
    if args.next().is_some() {
        match serde_json::to_string_pretty(&inventory) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("error: {error}"),
        }
    }
    let mut kinds = std::collections::BTreeMap::new();
    for package in &inventory.packages {
        *kinds.entry(package.kind.purl_type()).or_insert(0usize) += 1;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    eprintln!("{} packages {kinds:?}, {} unknown, {took:?}, {peak}", inventory.packages.len(), inventory.unknown.len());
    ExitCode::SUCCESS
}
