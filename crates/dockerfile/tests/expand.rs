//! The expansion engine against tables. Cases follow the Dockerfile reference and the shell rules it cites.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use stockade_dockerfile::expand::{Expander, MAX_RESULT_BYTES};

fn lookup(name: &str) -> Option<String> {
    Some(
        match name {
            "a" => "value",
            "empty" => "",
            "path" => "/usr/local/bin/tool.tar.gz",
            "spaces" => "one two  three",
            "é" => "accent",
            "lines" => "ab\ncd",
            _ => return None,
        }
        .to_owned(),
    )
}

fn word(text: &str) -> Result<String, String> {
    Expander::new('\\', &lookup).word(text).map_err(|e| e.message)
}

#[test]
fn every_form_of_a_variable() {
    for (text, expected) in [
        ("plain", "plain"),
        ("$a", "value"),
        ("${a}", "value"),
        ("x${a}y", "xvaluey"),
        ("$a/$a", "value/value"),
        ("$unset", ""),
        ("${unset}", ""),
        ("$", "$"),
        ("a$", "a$"),
        ("$/", "$/"),
        ("$é", "accent"),
        ("$1x", "x"),
        ("${unset:-word}", "word"),
        ("${empty:-word}", "word"),
        ("${empty-word}", ""),
        ("${unset-word}", "word"),
        ("${a:-word}", "value"),
        ("${a:+word}", "word"),
        ("${empty:+word}", ""),
        ("${empty+word}", "word"),
        ("${unset+word}", ""),
        ("${a:?no}", "value"),
        ("${empty?no}", ""),
        ("${unset:-${a}}", "value"),
        ("${unset:-${empty:-deep}}", "deep"),
        ("${unset:-a b}", "a b"),
        ("${unset:-\"q\"}", "q"),
        ("${unset:-}", ""),
        ("${path#*/}", "usr/local/bin/tool.tar.gz"),
        ("${path##*/}", "tool.tar.gz"),
        ("${path%.*}", "/usr/local/bin/tool.tar"),
        ("${path%%.*}", "/usr/local/bin/tool"),
        ("${path%/*}", "/usr/local/bin"),
        ("${path#nomatch}", "/usr/local/bin/tool.tar.gz"),
        ("${path#?}", "usr/local/bin/tool.tar.gz"),
        ("${a#val}", "ue"),
        ("${a%ue}", "val"),
        ("${a%%*}", ""),
        ("${a##*}", ""),
        ("${a#*}", "value"),
        ("${path/local/global}", "/usr/global/bin/tool.tar.gz"),
        ("${path//\\//-}", "-usr-local-bin-tool.tar.gz"),
        ("${path/\\/usr/}", "/local/bin/tool.tar.gz"),
        ("${a//[ab]/x}", "value"),
        ("${spaces// /_}", "one_two__three"),
        ("${a/l*/X}", "vaX"),
        ("${lines%b*}", "ab\ncd"),
        ("${a//?/x}", "xxxxx"),
        ("${empty//a/b}", ""),
        ("${unset/a/b}", ""),
    ] {
        assert_eq!(word(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn quotes_and_escapes() {
    for (text, expected) in [
        ("'$a'", "$a"),
        ("\"$a\"", "value"),
        ("\"'$a'\"", "'value'"),
        ("'\"'", "\""),
        ("\\$a", "$a"),
        ("\"\\$a\"", "$a"),
        ("\"\\n\"", "\\n"),
        ("\"\\\\\"", "\\"),
        ("\\n", "n"),
        ("'\\n'", "\\n"),
        ("\\'x\\'", "'x'"),
        ("a\\ b", "a b"),
        ("\"a b\"c", "a bc"),
        ("\"\"", ""),
        ("trailing\\", "trailing"),
        ("it\\'s", "it's"),
    ] {
        assert_eq!(word(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn the_other_escape_character() {
    let with = |text: &str| Expander::new('`', &lookup).word(text).unwrap();
    assert_eq!(with("c:\\dir\\$a"), "c:\\dir\\value");
    assert_eq!(with("`$a"), "$a");
    assert_eq!(with("\"`\"\""), "\"");
}

#[test]
fn words_split_at_unquoted_white_space_also_from_variables() {
    let split = |text: &str| Expander::new('\\', &lookup).words(text).unwrap();
    assert_eq!(split("$spaces"), ["one", "two", "three"]);
    assert_eq!(split("\"$spaces\""), ["one two  three"]);
    assert_eq!(split("x$spaces"), ["xone", "two", "three"]);
    assert_eq!(split("80 443"), ["80", "443"]);
    assert_eq!(split("a\\ b c"), ["a b", "c"]);
    assert_eq!(split("$unset"), Vec::<String>::new());
    assert_eq!(split("''"), Vec::<String>::new());
}

#[test]
fn heredoc_bodies_keep_their_quotes() {
    let body = Expander::for_heredoc(&lookup).word("say \"$a\" 'and' \\$a\n").unwrap();
    assert_eq!(body, "say \"value\" 'and' $a\n");
}

#[test]
fn unset_variables_are_reported_with_their_place() {
    let expansion = Expander::new('\\', &lookup).process("x$unset ${other:-d} $a").unwrap();
    assert_eq!(expansion.unset, [("unset".to_owned(), 1), ("other".to_owned(), 8)]);
    assert_eq!(expansion.used, ["a"]);
}

#[test]
fn errors_say_what_is_wrong() {
    for (text, part) in [
        ("${", "`}` is missing"),
        ("${a", "`}` is missing"),
        ("${}", "name is missing"),
        ("${:x}", "name is missing"),
        ("${{a}", "name is missing"),
        ("${a:-x", "`}` is missing"),
        ("${a!x}", "no modifier"),
        ("${a:x}", "no modifier"),
        ("${unset:?give it}", "unset: give it"),
        ("${unset?}", "not allowed to be unset"),
        ("${empty:?}", "not allowed to be empty"),
        ("'open", "closing `'`"),
        ("\"open", "closing `\"`"),
        ("${a/x}", "`/` is missing"),
        ("${a//x/y", "`}` is missing"),
        ("${a#\\q}", "invalid escape"),
    ] {
        let error = word(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn expansion_is_bounded() {
    let big = "x".repeat(700_000);
    let lookup = |name: &str| (name == "b").then(|| big.clone());
    let error = Expander::new('\\', &lookup).word("$b$b").unwrap_err();
    assert!(error.message.contains("1024 KiB"), "{error}");
    assert!(Expander::new('\\', &lookup).word("${b//x/yy}").is_err());
    assert!(big.len() < MAX_RESULT_BYTES);
    let deep = format!("{}x{}", "${u:-".repeat(100_000), "}".repeat(100_000));
    assert!(word(&deep).unwrap_err().contains("nested"));
}

#[test]
fn costly_patterns_end_with_an_error() {
    let long = "a".repeat(900_000);
    let lookup = |_: &str| Some(long.clone());
    let pattern = format!("${{x//{}b/y}}", "*a".repeat(200));
    assert!(Expander::new('\\', &lookup).word(&pattern).is_err());
}

proptest::proptest! {
    #[test]
    fn any_word_is_answered(text in "[ a-z$\\\\{}:#%/?+'\"*-]{0,40}", any: String) {
        let _ = Expander::new('\\', &lookup).process(&text);
        let _ = Expander::new('`', &lookup).process(&any);
    }

    #[test]
    fn text_without_special_characters_stays(text in "[a-zA-Z0-9 ._/-]{0,60}") {
        proptest::prop_assert_eq!(Expander::new('\\', &lookup).word(&text).unwrap(), text);
    }

    #[test]
    fn quoting_protects_everything_but_the_quote(text in "[^']{0,40}") {
        proptest::prop_assert_eq!(Expander::new('\\', &lookup).word(&format!("'{text}'")).unwrap(), text);
    }
}
