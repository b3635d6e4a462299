//! `secret-file-copied`

use stockade_dockerfile::ast::{Kind, Source};

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "secret-file-copied",
    refs: &["CIS-4.10"],
    severity: Severity::Error,
    default: true,
    finds: "COPY or ADD of a file that holds secrets by its name.",
    why: "It stays in its layer, also when a later step deletes it.",
    instead: "Use RUN --mount=type=secret, and name the file in .dockerignore.",
    bad: &["FROM a:1\nCOPY .env /app/\n", "FROM a:1\nCOPY keys/id_rsa /root/.ssh/\n", "FROM a:1\nADD server.key /etc/\n"],
    good: &["FROM a:1\nCOPY id_rsa.pub /x/\n", "FROM a:1\nCOPY .env.example /x/\n", "FROM a:1\nCOPY --from=b /x/server.key /y/\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let sources = match &instruction.kind {
                Kind::Copy(c) if c.from.is_none() => &c.sources,
                Kind::Add(a) => &a.sources,
                _ => continue,
            };
            for source in sources {
                let Source::Path(word) = source else { continue };
                let name = word.value.trim_matches(['"', '\'']).rsplit('/').next().unwrap_or("").to_ascii_lowercase();
                let exact = [".env", ".npmrc", ".pypirc", ".netrc", ".git-credentials", ".htpasswd", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "credentials.json", "service-account.json", ".dockercfg", "kubeconfig"];
                let endings = [".key", ".p12", ".pfx", ".keystore", ".jks", ".kdbx"];
                if exact.contains(&name.as_str()) || endings.iter().any(|e| name.ends_with(e)) {
                    out.word(word, format!("`{name}` holds secrets by its name"));
                }
            }
        }
    },
};
