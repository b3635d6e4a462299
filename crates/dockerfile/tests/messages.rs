//! What a person sees: whole messages, as snapshots.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use stockade_dockerfile::parse;

fn messages(text: &str) -> String {
    match parse(text.as_bytes(), "Dockerfile") {
        Ok(file) => file.warnings.iter().map(|w| w.render(&file.file, &file.text)).collect(),
        Err(d) => d.items.iter().map(|i| i.render(&d.file, &d.text)).collect(),
    }
}

#[test]
fn all_errors_at_once() {
    insta::assert_snapshot!(messages(
        "FROM debian:12\nRUNN apt-get update\nCOPY --chwon=www:www site /var/www\nENV PATH\nENTRYPONT [\"x\"]\nHEALTHCHECK --interval=5 CMD true\n"
    ));
}

#[test]
fn from_mistakes() {
    insta::assert_snapshot!(messages("RUN before\nFROM a b c d\nFROM x AS 9lives\nFROM y OS z\n"));
}

#[test]
fn mounts_and_flags() {
    insta::assert_snapshot!(messages(
        "FROM x\nRUN --mount=type=cahce,target=/c make\nRUN --mount=type=cache,tarket=/c make\nRUN --netwrk=none make\nRUN --network=hots make\n"
    ));
}

#[test]
fn heredoc_and_json() {
    insta::assert_snapshot!(messages("FROM x\nCMD [\"a\", 1]\nSHELL bash -c\nRUN <<EOF\necho never ends\n"));
}

#[test]
fn warnings() {
    insta::assert_snapshot!(messages(
        "FROM x\nMAINTAINER me\nENV old form\nCMD ['single', 'quotes']\nRUN a \\\n\n  b\n"
    ));
}

#[test]
fn far_into_a_long_line() {
    let text = format!("FROM x\nLABEL {} broken\n", "k=v ".repeat(100));
    insta::assert_snapshot!(messages(&text));
}
