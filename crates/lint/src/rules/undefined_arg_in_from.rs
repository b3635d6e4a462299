//! `undefined-arg-in-from`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

/// Arguments that builders define by themselves.
pub(super) const PREDEFINED: [&str; 20] = [
    "TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT",
    "TARGETSTAGE", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy",
    "ALL_PROXY", "all_proxy", "SOURCE_DATE_EPOCH",
];

/// Names of the variables in a text, with whether each has a default (`${x:-y}`).
pub(super) fn variables(text: &str, escape: char) -> Vec<(String, bool)> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut single = false;
    while let Some(at) = rest.find(['$', '\'', escape]) {
        let after = rest.get(at..).unwrap_or("");
        let c = after.chars().next().unwrap_or(' ');
        let tail = after.get(c.len_utf8()..).unwrap_or("");
        rest = tail;
        if c == escape {
            rest = tail.get(tail.chars().next().map_or(0, char::len_utf8)..).unwrap_or("");
        } else if c == '\'' {
            single = !single;
        } else if !single {
            let (body, braced) = tail.strip_prefix('{').map_or((tail, false), |b| (b, true));
            let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
            let name = body.get(..end).unwrap_or("");
            let follows = body.get(end..).unwrap_or("");
            if !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) {
                out.push((name.to_owned(), braced && [":-", ":+", "-", "+", ":?", "?"].iter().any(|o| follows.starts_with(o))));
            }
            rest = follows;
        }
    }
    out
}

pub(super) static RULE: Rule = Rule {
    id: "undefined-arg-in-from",
    refs: &["UndefinedArgInFrom"],
    severity: Severity::Warning,
    default: true,
    finds: "FROM with a variable that no ARG before it declares.",
    why: "It is empty: another image is built on, or none.",
    instead: "Declare it with ARG before the first FROM.",
    bad: &["FROM a:$VERSION\n", "FROM a:1 AS x\nARG V=1\nFROM b:$V\n"],
    good: &["ARG VERSION=1\nFROM a:$VERSION\n", "FROM --platform=$BUILDPLATFORM a:1\n", "FROM a:${V:-1}\n"],
    test: |file, out| {
        let declared: Vec<&str> = file.dockerfile.preamble().iter().filter_map(|i| match &i.kind {
            Kind::Arg(list) => Some(list.iter().map(|a| a.name.value.as_str())),
            _ => None,
        }).flatten().collect();
        for (_, from, _) in file.stages() {
            for word in [Some(&from.image), from.platform.as_ref()].into_iter().flatten() {
                for (name, default) in variables(&word.value, file.dockerfile.escape) {
                    if !default && !declared.contains(&name.as_str()) && !PREDEFINED.contains(&name.as_str()) {
                        out.word(word, format!("`{name}` is not declared before FROM"));
                    }
                }
            }
        }
    },
};
