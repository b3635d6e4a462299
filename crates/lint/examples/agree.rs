//! Compares our answers with hadolint's, rule by rule, on the Dockerfiles of a directory.
//!
//!     cargo run -p stockade-lint --example agree -- DIR FACTS [RULE | --settings]
//!
//! FACTS has hadolint's answers (`benches/lint.sh agree` asks for them). Prints a table: for each rule the files in which
//! either names it, and in how many of those both name it on the same instructions, with `--as-hadolint` and without. With
//! RULE, the files that differ with it; with `--settings`, the rules that need the settings of `tests/corpus/settings.yaml`.
use std::collections::BTreeMap;

use stockade_lint::Options;

#[path = "../tests/corpus/agreement.rs"]
mod agreement;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, facts, rest @ ..] = arguments.as_slice() else {
        return Err(std::io::Error::other("usage: agree DIR FACTS [RULE]"));
    };
    let theirs = agreement::facts(&std::fs::read_to_string(facts)?);
    let settings = rest.first().is_some_and(|r| r == "--settings");
    let same = if settings { agreement::settings() } else { Options { as_hadolint: true, ..Options::default() } };
    let ways = Options { as_hadolint: false, ..same.clone() };
    let (mut with, mut without) = (BTreeMap::new(), BTreeMap::new());
    let mut read = 0;
    for (name, expected) in &theirs {
        read += u32::from(!expected.contains_key("DL1000"));
        let Ok(bytes) = std::fs::read(format!("{dir}/{name}.Dockerfile")) else { continue };
        let ours = agreement::ours(&bytes, &same);
        for rule in agreement::compare(expected, &ours, &mut with) {
            if rest.contains(&rule) || rest.get(1) == Some(&rule) || rest.iter().any(|r| r == "all") {
                println!("{rule} {name}: hadolint {:?}, ours {:?}", expected.get(&rule), ours.get(&rule));
            }
        }
        agreement::compare(expected, &agreement::ours(&bytes, &ways), &mut without);
    }
    if rest.is_empty() || settings {
        println!("{read} files that hadolint reads\n");
        println!("| rule | files with it | agreement with `--as-hadolint` | by default |\n|---|---|---|---|");
        let wanted = |rule: &&String| !settings || agreement::WITH_SETTINGS.contains(&rule.as_str());
        for (rule, row) in with.iter().filter(|(rule, _)| wanted(rule)) {
            let default = without.get(rule).copied().unwrap_or_default();
            println!("| {rule} | {} | {:.1} % | {:.1} % |", row.named, row.share(), default.share());
        }
    }
    Ok(())
}
