//! The parser against tables: what instructions become, and exactly where they stand.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use stockade_dockerfile::ast::{CommandLine, Healthcheck, Kind, Source};
use stockade_dockerfile::mount::{MountType, Sharing};
use stockade_dockerfile::{Dockerfile, Instruction, Span, parse, parse_fragment};

fn ok(text: &str) -> Dockerfile {
    parse(text.as_bytes(), "Dockerfile").unwrap_or_else(|e| panic!("{e}"))
}

fn one(line: &str) -> Instruction {
    let mut file = ok(&format!("FROM x\n{line}\n"));
    file.instructions.remove(1)
}

fn errors(text: &str) -> Vec<&'static str> {
    parse(text.as_bytes(), "Dockerfile").map_or_else(|d| d.errors().map(|e| e.code).collect(), |_| Vec::new())
}

fn at(span: Span) -> (u32, u32, u32, u32) {
    (span.start.line, span.start.column, span.end.line, span.end.column)
}

#[test]
fn spans_are_exact() {
    let file = ok("# c\nFROM --platform=linux/amd64 debian:12 AS base\n  COPY --from=base \\\n    a b/ \\\n    /dst\n");
    let from = &file.instructions[0];
    assert_eq!(at(from.keyword.span), (2, 1, 2, 5));
    assert_eq!(at(from.flags[0].span), (2, 6, 2, 28));
    assert_eq!(at(from.flags[0].value.as_ref().unwrap().span), (2, 17, 2, 28));
    let Kind::From(f) = &from.kind else { panic!() };
    assert_eq!(at(f.image.span), (2, 29, 2, 38));
    assert_eq!(at(f.name.as_ref().unwrap().span), (2, 42, 2, 46));
    let copy = &file.instructions[1];
    assert_eq!(at(copy.keyword.span), (3, 3, 3, 7));
    assert_eq!(at(copy.span), (3, 3, 5, 9));
    let Kind::Copy(c) = &copy.kind else { panic!() };
    let Source::Path(first) = &c.sources[0] else { panic!() };
    assert_eq!(at(first.span), (4, 5, 4, 6));
    assert_eq!(at(c.destination.span), (5, 5, 5, 9));
    assert_eq!(file.stages.len(), 1);
    assert_eq!(file.stages[0].name.as_deref(), Some("base"));
    for i in &file.instructions {
        let raw = &file.text[i.keyword.span.start.offset..i.keyword.span.end.offset];
        assert_eq!(raw, i.keyword.value);
    }
}

#[test]
fn continuations_comments_and_blank_lines_join_as_buildkit_does() {
    let file = ok("FROM x\nRUN a \\\n# comment\n\n   b \\  \n  # indented\n  c\nRUN d\n");
    let Kind::Run(run) = &file.instructions[1].kind else { panic!() };
    assert_eq!(run.command, CommandLine::Shell(file.instructions[1].arguments.clone()));
    assert_eq!(file.instructions[1].arguments.value, "a    b   c");
    assert_eq!(file.instructions.len(), 3);
    assert_eq!(file.comments.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["comment", "indented"]);
    assert_eq!(file.warnings[0].code, "empty-continuation");
    // An escaped escape character continues nothing.
    assert_eq!(ok("FROM x\nRUN a\\\\\nRUN b\n").instructions.len(), 3);
    // At the end of the file a continuation ends.
    assert_eq!(ok("FROM x\nRUN a \\").instructions[1].arguments.value, "a");
    assert_eq!(ok("FROM x\r\nRUN a \\\r\n b\r\n").instructions[1].arguments.value, "a  b");
}

#[test]
fn directives_stand_at_the_top_only() {
    let file =
        ok("# syntax=docker/dockerfile:1\n# escape=`\n# check = skip=all\nFROM x\nRUN a `\n b\nRUN c\\\nRUN d\n");
    assert_eq!(file.escape, '`');
    assert_eq!(file.instructions.len(), 4);
    assert_eq!(file.directive("syntax").unwrap().value.value, "docker/dockerfile:1");
    assert_eq!(file.directive("check").unwrap().value.value, "skip=all");
    assert_eq!(ok("# a comment\n# escape=`\nFROM x\n").escape, '\\');
    assert_eq!(ok("#!/usr/bin/env x\n# escape=`\nFROM x\n").escape, '`');
    assert_eq!(errors("# escape=x\nFROM x\n"), ["invalid-escape"]);
    assert_eq!(errors("# escape=`\n# escape=`\nFROM x\n"), ["duplicate-directive"]);
    assert_eq!(ok("\u{feff}# escape=`\nFROM x\n").escape, '`');
}

#[test]
fn comments_before_an_instruction_belong_to_it() {
    let file = ok("# far\n\n# one\n# two\nFROM x\n");
    let range = file.instructions[0].comments.clone();
    assert_eq!(file.comments[range].iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn json_or_shell_as_buildkit_decides() {
    let exec = |line: &str| match one(line).kind {
        Kind::Cmd(CommandLine::Exec(words)) => Some(words.into_iter().map(|w| w.value).collect::<Vec<_>>()),
        _ => None,
    };
    assert_eq!(exec(r#"CMD ["a", "b c"]"#).unwrap(), ["a", "b c"]);
    assert_eq!(exec(r#"CMD [ "\u0061\n\"" ]"#).unwrap(), ["a\n\""]);
    assert_eq!(exec("CMD []").unwrap(), Vec::<String>::new());
    assert_eq!(exec(r#"CMD ["\ud83d\ude00", "\ud800"]"#).unwrap(), ["😀", "\u{fffd}"]);
    for shell in ["CMD ['a']", r#"CMD ["a""#, r#"CMD ["a"] && b"#, r#"CMD ["a",]"#, "CMD [ -f x ]", r#"CMD ["\x"]"#] {
        assert_eq!(exec(shell), None, "{shell}");
    }
    assert_eq!(errors("FROM x\nCMD [1]\nRUN [\"a\", null]\n"), ["json-not-strings", "json-not-strings"]);
    assert_eq!(errors("FROM x\nSHELL /bin/sh -c\n"), ["shell-not-json"]);
    assert_eq!(ok("FROM x\nCMD ['a']\n").warnings[0].code, "invalid-json");
}

#[test]
fn key_value_forms() {
    let pairs = |line: &str| match one(line).kind {
        Kind::Env(pairs) | Kind::Label(pairs) => {
            pairs.into_iter().map(|p| (p.key.value, p.value.value)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let p = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    assert_eq!(pairs("ENV a=b c=\"d e\" f=g\\ h"), [p("a", "b"), p("c", "\"d e\""), p("f", "g\\ h")]);
    assert_eq!(pairs("ENV a=b=c"), [p("a", "b=c")]);
    assert_eq!(pairs("ENV a="), [p("a", "")]);
    assert_eq!(pairs("ENV key some value"), [p("key", "some value")]);
    assert_eq!(pairs("LABEL \"a b\"=c"), [p("\"a b\"", "c")]);
    assert_eq!(pairs("LABEL a='x y' b=\"\""), [p("a", "'x y'"), p("b", "\"\"")]);
    assert_eq!(errors("FROM x\nENV a\n"), ["missing-value"]);
    assert_eq!(errors("FROM x\nENV a=b c\n"), ["missing-equals"]);
    assert_eq!(errors("FROM x\nENV =b\n"), ["blank-name"]);
    assert_eq!(errors("FROM x\nLABEL\n"), ["missing-argument"]);
    let Kind::Arg(args) = one("ARG a b=c d=\"e f\"").kind else { panic!() };
    let args: Vec<_> = args.into_iter().map(|a| (a.name.value, a.value.map(|v| v.value))).collect();
    assert_eq!(args, [("a".into(), None), ("b".into(), Some("c".into())), ("d".into(), Some("\"e f\"".into()))]);
}

#[test]
fn heredocs_of_all_kinds() {
    let text = "FROM x\nRUN <<EOF\necho \"$a\"\n  EOF\nEOF\nCOPY <<a.txt <<-'B' /dst/\nA $x\na.txt\n\tb1\n\t\tb2\n\tB\nRUN 3<<X cat\nx\nX\nRUN cat <<<word\nCMD [\"x\"]\n";
    let file = ok(text);
    let run = &file.instructions[1];
    assert_eq!(run.heredocs[0].content, "echo \"$a\"\n  EOF\n");
    assert!(run.heredocs[0].expand);
    assert_eq!(at(run.heredocs[0].body), (3, 1, 5, 1));
    assert_eq!(at(run.heredocs[0].marker.span), (2, 5, 2, 10));
    let copy = &file.instructions[2];
    let Kind::Copy(c) = &copy.kind else { panic!() };
    assert_eq!(c.sources, [Source::Heredoc(0), Source::Heredoc(1)]);
    assert_eq!(copy.heredocs[0].content, "A $x\n");
    assert_eq!(copy.heredocs[1].data(), "b1\nb2\n");
    assert!(copy.heredocs[1].chomp && !copy.heredocs[1].expand);
    assert_eq!(file.instructions[3].heredocs[0].descriptor, 3);
    assert!(file.instructions[4].heredocs.is_empty(), "a here-string is the shell's");
    assert_eq!(file.instructions.len(), 6);
    assert_eq!(errors("FROM x\nRUN <<EOF\nRUN y\n"), ["unterminated-heredoc"]);
    assert_eq!(errors("FROM x\nCOPY a <<EOF\nEOF\n"), ["heredoc-destination"]);
    // Unbalanced quotes: the shell's business.
    assert!(one("RUN echo \"it's <<EOF").heredocs.is_empty());
    assert!(one("CMD cat <<EOF").heredocs.is_empty());
    let nested = ok("FROM x\nONBUILD RUN <<E\nbody\nE\n");
    let Kind::Onbuild(inner) = &nested.instructions[1].kind else { panic!() };
    assert_eq!(inner.heredocs[0].content, "body\n");
}

#[test]
fn flags_are_typed_and_checked() {
    let Kind::Copy(c) =
        one("COPY --from=0 --chown=a:b --chmod=u+x --link --parents --exclude=*.o --exclude=t a b /d/").kind
    else {
        panic!()
    };
    assert_eq!(c.from.unwrap().value, "0");
    assert!(c.link && c.parents);
    assert_eq!(c.exclude.len(), 2);
    let Kind::Add(a) = one("ADD --checksum=sha256:00 --keep-git-dir=true --unpack=false https://x/y /d").kind else {
        panic!()
    };
    assert!(a.keep_git_dir);
    assert_eq!(a.unpack, Some(false));
    let quoted = one("COPY \"--chown=a b\" x y");
    assert_eq!(quoted.flags.len(), 0, "a quote before the dashes is no flag");
    assert_eq!(one("COPY --chown=\"a b\" x y").flags[0].value.as_ref().unwrap().value, "a b");
    for (line, code) in [
        ("COPY --form=x a b", "unknown-flag"),
        ("COPY --link=maybe a b", "flag-value"),
        ("COPY --chown a b", "flag-value"),
        ("COPY --from=a --from=b c d", "duplicate-flag"),
        ("ENV --x=y a=b", "unknown-flag"),
        ("RUN --network=none2 a", "flag-value"),
        ("RUN --mount=type=cash,target=/x a", "mount"),
        ("RUN --mount=type=cache a", "mount"),
        ("RUN --mount=type=bind,target=/x,mode=0755 a", "mount"),
        ("RUN --mount=type=secret,target=/x,sharing=locked a", "mount"),
        ("RUN --mount=type=bind,from=$x,target=/y a", "mount"),
        ("RUN --mount=\"type=bind,\" a", "mount"),
        ("COPY a", "missing-destination"),
        ("COPY", "missing-argument"),
        ("HEALTHCHECK --interval=5 CMD x", "duration"),
        ("HEALTHCHECK --interval=1us CMD x", "duration"),
        ("HEALTHCHECK --retries=-1 CMD x", "retries"),
        ("HEALTHCHECK NONE x", "healthcheck-none"),
        ("HEALTHCHECK CDM x", "healthcheck-type"),
        ("HEALTHCHECK CMD", "missing-argument"),
        ("ONBUILD ONBUILD RUN x", "onbuild-chain"),
        ("ONBUILD FROM x", "onbuild-trigger"),
        ("ONBUILD", "missing-argument"),
        ("ONBUILD RUNN x", "unknown-instruction"),
        ("RUN", "missing-argument"),
        ("WORKDIR", "missing-argument"),
        ("VOLUME []", "missing-argument"),
        ("SHELL []", "missing-argument"),
        ("EXPOSE", "missing-argument"),
        ("FROM a b", "from-arguments"),
        ("FROM a IS b", "from-arguments"),
        ("FROM a AS 1b", "stage-name"),
    ] {
        assert_eq!(errors(&format!("FROM x\n{line}\n")), [code], "{line}");
    }
}

#[test]
fn mounts_are_typed() {
    let Kind::Run(run) = one(
        "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked,id=apt --mount=type=secret,id=k,required --mount=type=tmpfs,target=/t,size=64m --mount=from=b,source=/s,target=/d,rw x",
    )
    .kind
    else {
        panic!()
    };
    let mut same = |v: &str| Ok(v.to_owned());
    let m: Vec<_> = run.mounts.iter().map(|m| m.resolve(&mut same).unwrap()).collect();
    assert_eq!((m[0].kind, m[0].sharing, m[0].readonly), (MountType::Cache, Sharing::Locked, false));
    assert_eq!((m[1].kind, m[1].required, m[1].readonly), (MountType::Secret, true, true));
    assert_eq!((m[2].kind, m[2].size_bytes), (MountType::Tmpfs, Some(64 << 20)));
    assert_eq!((m[3].kind, m[3].readonly, m[3].from.as_deref()), (MountType::Bind, false, Some("b")));
    let Kind::Run(late) = one("RUN --mount=type=$t,target=/x y").kind else { panic!() };
    assert!(late.mounts[0].resolve(&mut |v| Ok(v.replace("$t", "cache"))).is_ok());
}

#[test]
fn healthcheck_values() {
    let Kind::Healthcheck(Healthcheck::Check { interval_ns, retries, command, .. }) =
        one("HEALTHCHECK --interval=1m30s --retries=3 CMD [\"curl\", \"x\"]").kind
    else {
        panic!()
    };
    assert_eq!((interval_ns, retries), (90_000_000_000, 3));
    assert!(matches!(command, CommandLine::Exec(words) if words.len() == 2));
    assert!(matches!(one("HEALTHCHECK none").kind, Kind::Healthcheck(Healthcheck::None)));
}

#[test]
fn the_file_as_a_whole() {
    assert_eq!(errors(""), ["no-instructions"]);
    assert_eq!(errors("# only a comment\n"), ["no-instructions"]);
    assert_eq!(errors("ARG a\n"), ["no-stage"]);
    assert_eq!(errors("RUN x\nFROM y\n"), ["before-from"]);
    assert_eq!(errors("FROM x\nfoo\nRUNN y\nENV a\n"), ["unknown-instruction", "unknown-instruction", "missing-value"]);
    assert_eq!(errors("FORM x\nRUN y\n"), ["unknown-instruction"], "what follows from it is not reported");
    assert!(parse_fragment(b"RUN a\n", "f").diagnostics.is_ok());
    let file = ok("ARG v=1\nFROM a\nRUN b\nFROM c AS d\nRUN e\n");
    assert_eq!(file.preamble().len(), 1);
    assert_eq!(file.stage_instructions(&file.stages[1]).len(), 2);
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    let place = |bytes: &[u8]| {
        let d = parse(bytes, "Dockerfile").unwrap_err();
        let e = d.errors().next().unwrap();
        (e.code, e.span.start.line, e.span.start.column)
    };
    assert_eq!(place(b"FROM x\nRUN a\0b\n"), ("nul-byte", 2, 6));
    assert_eq!(place(b"FROM x\nRUN \xff\n"), ("invalid-utf8", 2, 5));
    assert_eq!(place(b"FROM x\nRUN \xc3"), ("invalid-utf8", 2, 5));
}

#[test]
fn large_files_are_read_in_reasonable_memory_and_time() {
    let many = format!("FROM x\n{}", "RUN echo hello world\n".repeat(10_000));
    assert_eq!(ok(&many).instructions.len(), 10_001);
    let long = format!("FROM x\nENV {}\n", "abcdef=ghijkl ".repeat(400_000));
    let Kind::Env(pairs) = &ok(&long).instructions[1].kind else { panic!() };
    assert_eq!(pairs.len(), 400_000);
    assert_eq!(pairs[399_999].key.span.start.column, 5 + 14 * 399_999);
    let endless = format!("FROM x\nRUN a{}", " \\\nb".repeat(500_000));
    assert_eq!(ok(&endless).instructions.len(), 2);
    let unknown = "NOPE x\n".repeat(100_000);
    assert!(errors(&unknown).len() < 500);
    let nested = format!("FROM x\nCMD {}\n", "[".repeat(1_000_000));
    assert_eq!(ok(&nested).instructions.len(), 2);
}

proptest::proptest! {
    #[test]
    fn any_bytes_parse_or_fail_but_never_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes, "Dockerfile");
        let _ = parse_fragment(&bytes, "Dockerfile").diagnostics.to_string();
    }

    #[test]
    fn anything_like_a_dockerfile_parses_or_fails(
        lines in proptest::collection::vec(
            "(FROM|RUN|COPY|ADD|ENV|ARG|LABEL|CMD|HEALTHCHECK|ONBUILD RUN|SHELL|#|)[ \t]{0,2}(--[a-z]{0,6}=?)?[ \ta-zé$'\"\\\\\\[\\]{}<>=,:/-]{0,24}",
            0..12,
        )
    ) {
        let text = lines.join("\n");
        let parsed = parse_fragment(text.as_bytes(), "Dockerfile");
        for i in &parsed.dockerfile.instructions {
            // Every span lies in the text, on character boundaries, and in order.
            for span in [i.span, i.keyword.span, i.arguments.span].into_iter().chain(i.flags.iter().map(|f| f.span)) {
                proptest::prop_assert!(parsed.dockerfile.text.get(span.start.offset..span.end.offset).is_some());
            }
        }
        let _ = parsed.diagnostics.to_string();
    }
}
