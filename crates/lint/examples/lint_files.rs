//! Lints the files named and prints `FILE<TAB>LINE<TAB>ID,REFERENCES` for each finding: what the comparison with other
//! linters reads, and a way to time the room without the command line.
//!
//! With `--as-hadolint` first, of the findings in a shell script only one is printed for each instruction, with its
//! reference: the one that hadolint keeps (the last by place; of several there, the mildest, then the highest number).
use stockade_lint::Finding;

fn main() {
    let options = stockade_lint::Options::default();
    let mut paths = std::env::args().skip(1).peekable();
    let one = paths.next_if(|a| a == "--as-hadolint").is_some();
    for path in paths {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let findings = stockade_lint::lint(&bytes, &path, &options).findings;
        let (scripts, others): (Vec<_>, Vec<_>) = findings.iter().partition(|f| one && is_script(f));
        for f in others {
            println!("{path}\t{}\t{},{}", f.line, f.id, f.refs.join(","));
        }
        if scripts.is_empty() {
            continue;
        }
        let parsed = stockade_dockerfile::parse_fragment(&bytes, &path);
        for instruction in &parsed.dockerfile.instructions {
            let (first, last) = (instruction.span.start.line, instruction.span.end.line);
            let within = scripts.iter().filter(|f| first <= f.line && f.line <= last);
            if let Some(f) = within.max_by_key(|f| (f.line, f.column, f.severity, f.refs.first())) {
                println!("{path}\t{first}\t{}", f.refs.first().unwrap_or(&f.id));
            }
        }
    }
}

fn is_script(finding: &Finding) -> bool {
    finding.refs.first().is_some_and(|r| r.starts_with("SC"))
}
