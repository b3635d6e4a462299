//! Makes the embedded database from `data/advisories`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let data = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../data/advisories");
    println!("cargo::rerun-if-changed={}", data.display());
    let bytes = stockade_advisory_db::starter::build(&data)?;
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("starter.db"), bytes)?;
    Ok(())
}
