//! Compares our answers with hadolint's, rule by rule, on the Dockerfiles of a directory.
//!
//!     cargo run -p stockade-lint --example agree -- DIR FACTS [RULE | --settings]
//!
//! FACTS has hadolint's answers (`benches/lint.sh agree` asks for them). Prints a table: for each rule the files in which
//! either names it, and in how many of those both name it on the same instructions, with `--as-hadolint` and without. With
//! RULE, the files that differ with it; with `--settings`, the rules that need the settings of `tests/corpus/settings.yaml`;
//! with `--shell`, why each shell rule differs by default, with an example.
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
    if rest.first().is_some_and(|r| r == "--shell") {
        shell_differences(dir, &theirs);
        return Ok(());
    }
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

/// How a shell rule's answers differ by default, counted by instruction.
#[derive(Default)]
struct Difference {
    files: u32,
    differing: u32,
    /// We name it, and hadolint keeps another shell finding of the same instruction.
    hidden: u32,
    /// We name it, and hadolint names no shell rule there.
    more: u32,
    /// hadolint names it alone.
    fewer: u32,
    examples: BTreeMap<&'static str, String>,
}

/// Prints a row for each shell rule that agrees in less than 99 % of its files by default.
fn shell_differences(dir: &str, theirs: &BTreeMap<String, agreement::Lines>) {
    let mut rows: BTreeMap<String, Difference> = BTreeMap::new();
    for (name, expected) in theirs.iter().filter(|(_, e)| !e.contains_key("DL1000")) {
        let Ok(bytes) = std::fs::read(format!("{dir}/{name}.Dockerfile")) else { continue };
        let ours = agreement::ours(&bytes, &Options::default());
        let empty = std::collections::BTreeSet::new();
        let other = |rule: &str, line: u32| {
            expected.iter().any(|(r, lines)| r.starts_with("SC") && r != rule && lines.contains(&line))
        };
        for rule in expected
            .keys()
            .chain(ours.keys())
            .filter(|r| r.starts_with("SC"))
            .collect::<std::collections::BTreeSet<_>>()
        {
            let (a, b) = (expected.get(rule).unwrap_or(&empty), ours.get(rule).unwrap_or(&empty));
            let row = rows.entry(rule.clone()).or_default();
            row.files += 1;
            row.differing += u32::from(a != b);
            for line in a.symmetric_difference(b) {
                let kind = match (b.contains(line), other(rule, *line)) {
                    (true, true) => "hidden",
                    (true, false) => "more",
                    (false, _) => "fewer",
                };
                *match kind {
                    "hidden" => &mut row.hidden,
                    "more" => &mut row.more,
                    _ => &mut row.fewer,
                } += 1;
                let kept =
                    expected.iter().filter(|(r, l)| r.starts_with("SC") && l.contains(line)).map(|(r, _)| r.as_str());
                let kept = kept.collect::<Vec<_>>().join(", ");
                let said = format!("{} ({kept})", instruction(&bytes, *line));
                let best = row.examples.entry(kind).or_insert_with(|| said.clone());
                if said.len() < best.len() {
                    *best = said;
                }
            }
        }
    }
    println!(
        "| rule | hidden | ours alone | hadolint's alone | the shortest example, and what hadolint says of it |\n|---|---|---|---|---|"
    );
    for (rule, row) in rows.iter().filter(|(_, r)| f64::from(r.differing) > 0.01 * f64::from(r.files)) {
        let examples: Vec<String> = row.examples.iter().map(|(kind, e)| format!("{kind}: {e}")).collect();
        println!("| {rule} | {} | {} | {} | {} |", row.hidden, row.more, row.fewer, examples.join("; "));
    }
}

/// The instruction that begins on a line, in one line, as code of Markdown.
fn instruction(bytes: &[u8], line: u32) -> String {
    let parsed = stockade_dockerfile::parse_fragment(bytes, "f").dockerfile;
    let text = String::from_utf8_lossy(bytes);
    let found = parsed.instructions.iter().map(|i| i.span).find(|s| s.start.line == line);
    let lines =
        text.lines().skip(line as usize - 1).take(found.map_or(1, |s| (s.end.line - s.start.line + 1) as usize));
    let one =
        lines.map(|l| l.trim().trim_end_matches('\\').trim_end()).collect::<Vec<_>>().join(" ").replace('|', "\\|");
    if one.contains('`') { format!("`` {one} ``") } else { format!("`{one}`") }
}
