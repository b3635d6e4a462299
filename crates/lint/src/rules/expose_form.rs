//! `expose-form`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "expose-form",
    refs: &["ExposeInvalidFormat", "ExposeProtoCasing"],
    severity: Severity::Style,
    default: true,
    finds: "EXPOSE with an address or a host port, or a protocol in capitals.",
    why: "EXPOSE only documents the container's port; the rest is ignored.",
    instead: "Write PORT/tcp or PORT/udp.",
    bad: &["FROM a:1\nEXPOSE 127.0.0.1:80:80\n", "FROM a:1\nEXPOSE 80/TCP\n"],
    good: &["FROM a:1\nEXPOSE 80 53/udp\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let Kind::Expose(words) = &instruction.kind else { continue };
            for word in words {
                let (port, protocol) = word.value.split_once('/').unwrap_or((&word.value, ""));
                if port.contains(':') && !port.contains('$') {
                    out.word(word, "an address or host port has no meaning here");
                } else if protocol.chars().any(char::is_uppercase) && !protocol.contains('$') {
                    out.word(word, format!("protocol `{protocol}` in capitals"));
                    out.replace(word.span.start.offset, word.span.end.offset, format!("{port}/{}", protocol.to_lowercase()));
                }
            }
        }
    },
};
