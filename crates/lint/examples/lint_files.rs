//! Lints the files named and prints `FILE<TAB>LINE<TAB>ID,REFERENCES` for each finding: a way to time the room without the
//! command line.
fn main() {
    let options = stockade_lint::Options::default();
    for path in std::env::args().skip(1) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for f in stockade_lint::lint(&bytes, &path, &options).findings {
            println!("{path}\t{}\t{},{}", f.line, f.id, f.refs.join(","));
        }
    }
}
