//! Prints `docs/rules.md`.
fn main() {
    print!("{}", stockade_lint::docs::markdown());
}
