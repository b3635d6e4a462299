//! Writes the Dockerfiles of `tests/corpus` for comparisons with other linters.
//!
//!     cargo run -p stockade-lint --example corpus -- DIR COUNT
#[path = "../tests/corpus/mod.rs"]
mod corpus;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(count)) = (arguments.next(), arguments.next().and_then(|n| n.parse::<usize>().ok())) else {
        return Err(std::io::Error::other("usage: corpus DIR COUNT"));
    };
    std::fs::create_dir_all(&dir)?;
    for text in corpus::files(count) {
        std::fs::write(format!("{dir}/{:016x}.Dockerfile", corpus::hash(&text)), text)?;
    }
    Ok(())
}
