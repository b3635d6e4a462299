//! Makes a base root with the test runner and says how long each phase took: `bootstrap NAME CACHE TARGET`.

use std::path::PathBuf;
use std::time::Instant;

use stockade_base::{BaseName, BaseRequest, Phase, Progress};

#[path = "../tests/common/mod.rs"]
mod common;

struct Watch(Instant);

impl Progress for Watch {
    fn phase(&mut self, phase: Phase, total: Option<u64>) {
        eprintln!("{:6.2} s  {} {total:?}", self.0.elapsed().as_secs_f64(), phase.describe());
    }
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, text: &str) {
        eprintln!("{:6.2} s  note: {text}", self.0.elapsed().as_secs_f64());
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, cache, target] = arguments.as_slice() else {
        return Err("usage: bootstrap NAME CACHE TARGET".into());
    };
    if !common::is_root() {
        return Ok(());
    }
    let name = BaseName::parse(name)?.ok_or("not a base name")?;
    std::fs::create_dir(target)?;
    let request = BaseRequest::new(name, PathBuf::from(cache), PathBuf::from(target));
    let mut watch = Watch(Instant::now());
    let result = stockade_base::bootstrap(&request, &mut common::UnshareRunner, &mut watch)?;
    eprintln!("{:6.2} s  done: {} packages", watch.0.elapsed().as_secs_f64(), result.packages);
    for (key, value) in &result.labels {
        eprintln!("  {key}={value}");
    }
    Ok(())
}
