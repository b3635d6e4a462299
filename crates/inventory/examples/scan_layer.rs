//! Reads a gzip-compressed layer twice: decompression alone, then with the scan, and compares.
//!
//! `cargo run --release -p stockade-inventory --example scan_layer -- layer.tar.gz`

use std::fs::File;
use std::io::{BufReader, Read};
use std::process::ExitCode;
use std::time::Instant;

use stockade_inventory::{Options, merge, scan_layer};

fn open(path: &str) -> std::io::Result<flate2::bufread::MultiGzDecoder<BufReader<File>>> {
    Ok(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(256 << 10, File::open(path)?)))
}

fn run(path: &str) -> std::io::Result<()> {
    let mut buffer = vec![0u8; 256 << 10];
    let start = Instant::now();
    let mut raw = open(path)?;
    let mut bytes = 0u64;
    loop {
        match raw.read(&mut buffer)? {
            0 => break,
            got => bytes += got as u64,
        }
    }
    let decompress = start.elapsed();
    let start = Instant::now();
    let options = Options::default();
    let layer = scan_layer(open(path)?, "layer", None, &options);
    let inventory = merge(&[layer], &options);
    let scan = start.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    eprintln!(
        "{bytes} bytes: decompression {decompress:?}, scan {scan:?} ({:.2} of its speed), {} packages, {} unknown, {peak}",
        decompress.as_secs_f64() / scan.as_secs_f64(),
        inventory.packages.len(),
        inventory.unknown.len(),
    );
    Ok(())
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: scan_layer LAYER.tar.gz");
        return ExitCode::from(2);
    };
    match run(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
