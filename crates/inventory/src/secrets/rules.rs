//! The rules: tokens with a form of their own, and files whose name says that they hold credentials.

/// What a rule saw.
pub struct Hit<'a> {
    /// Name of the rule.
    pub rule: &'static str,
    /// What it is.
    pub title: &'static str,
    /// Where the value begins.
    pub at: usize,
    /// The secret itself; not to be kept.
    pub value: &'a [u8],
}

/// A token that begins with something unmistakable.
struct Token {
    rule: &'static str,
    title: &'static str,
    prefix: &'static str,
    /// Characters after the prefix.
    alphabet: fn(u8) -> bool,
    min: usize,
    max: usize,
}

fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}
fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}
fn slug(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}
fn dotted(b: u8) -> bool {
    slug(b) || b == b'.'
}
fn upper(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}
fn hex(b: u8) -> bool {
    b.is_ascii_hexdigit()
}
fn base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')
}

macro_rules! tokens {
    ($($rule:literal, $title:literal, $prefix:literal, $alphabet:ident, $min:literal ..= $max:literal;)*) => {
        &[$(Token { rule: $rule, title: $title, prefix: $prefix, alphabet: $alphabet, min: $min, max: $max },)*]
    };
}

/// Forms as their issuers document them.
const TOKENS: &[Token] = tokens! {
    "aws-access-key", "AWS access key id", "AKIA", upper, 16..=16;
    "aws-access-key", "AWS temporary access key id", "ASIA", upper, 16..=16;
    "github-token", "GitHub personal access token", "ghp_", alnum, 36..=255;
    "github-token", "GitHub OAuth token", "gho_", alnum, 36..=255;
    "github-token", "GitHub user-to-server token", "ghu_", alnum, 36..=255;
    "github-token", "GitHub server-to-server token", "ghs_", alnum, 36..=255;
    "github-token", "GitHub refresh token", "ghr_", alnum, 36..=255;
    "github-token", "GitHub fine-grained access token", "github_pat_", word, 70..=255;
    "gitlab-token", "GitLab access token", "glpat-", slug, 20..=64;
    "slack-token", "Slack bot token", "xoxb-", slug, 20..=120;
    "slack-token", "Slack user token", "xoxp-", slug, 20..=120;
    "slack-token", "Slack app token", "xapp-", slug, 20..=160;
    "stripe-key", "Stripe live secret key", "sk_live_", alnum, 24..=128;
    "stripe-key", "Stripe live restricted key", "rk_live_", alnum, 24..=128;
    "google-api-key", "Google API key", "AIza", slug, 35..=35;
    "npm-token", "npm access token", "npm_", alnum, 36..=36;
    "pypi-token", "PyPI upload token", "pypi-AgEIcHlwaS5vcmc", slug, 50..=300;
    "sendgrid-key", "SendGrid API key", "SG.", dotted, 66..=66;
    "openai-key", "OpenAI API key", "sk-proj-", slug, 40..=200;
    "anthropic-key", "Anthropic API key", "sk-ant-", slug, 80..=200;
    "huggingface-token", "Hugging Face access token", "hf_", alnum, 34..=40;
    "digitalocean-token", "DigitalOcean access token", "dop_v1_", hex, 64..=64;
    "docker-token", "Docker Hub access token", "dckr_pat_", slug, 27..=40;
    "age-key", "age secret key", "AGE-SECRET-KEY-1", upper, 58..=58;
    "vault-token", "HashiCorp Vault service token", "hvs.", slug, 24..=200;
    "shopify-token", "Shopify access token", "shpat_", hex, 32..=32;
    "azure-storage-key", "Azure storage account key", "AccountKey=", base64, 86..=88;
    "slack-webhook", "Slack webhook address", "hooks.slack.com/services/T", webhook, 30..=80;
};

fn webhook(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'/'
}

/// Looks for tokens and private keys anywhere.
pub fn tokens<'a>(bytes: &'a [u8], add: &mut dyn FnMut(Hit<'a>)) {
    private_keys(bytes, add);
    for token in TOKENS {
        for at in memchr::memmem::find_iter(bytes, token.prefix.as_bytes()) {
            let before = at.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(b' ');
            if word(before) && token.prefix.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            let rest = bytes.get(at + token.prefix.len()..).unwrap_or_default();
            let length = rest.iter().take(token.max + 1).take_while(|b| (token.alphabet)(**b)).count();
            let value = bytes.get(at..at + token.prefix.len() + length).unwrap_or_default();
            if (token.min..=token.max).contains(&length) && is_random(rest.get(..length).unwrap_or_default()) {
                add(Hit { rule: token.rule, title: token.title, at, value });
            }
        }
    }
    aws_secret(bytes, add);
}

/// PEM blocks that really hold a key: a line of base64 follows.
fn private_keys<'a>(bytes: &'a [u8], add: &mut dyn FnMut(Hit<'a>)) {
    for at in memchr::memmem::find_iter(bytes, b"-----BEGIN ") {
        let rest = bytes.get(at + 11..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(rest.get(..rest.len().min(60)).unwrap_or_default(), b"-----") else {
            continue;
        };
        let label = rest.get(..end).unwrap_or_default();
        if !(label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK")) {
            continue;
        }
        // JSON holds the newlines as `\n`; PGP and old PEM have header lines first.
        let body = rest.get(end + 5..).unwrap_or_default();
        let body = body.get(..body.len().min(600)).unwrap_or_default();
        let is_body = body.split(|b| matches!(b, b'\n' | b'\\')).any(|line| {
            let line = line.strip_prefix(b"n").unwrap_or(line).trim_ascii();
            line.len() >= 40 && line.iter().all(|b| base64(*b))
        });
        if is_body {
            let encrypted = label.starts_with(b"ENCRYPTED") || memchr::memmem::find(body, b"ENCRYPTED").is_some();
            let title = if encrypted { "private key, protected by a passphrase" } else { "private key" };
            add(Hit { rule: "private-key", title, at, value: label });
        }
    }
}

fn aws_secret<'a>(bytes: &'a [u8], add: &mut dyn FnMut(Hit<'a>)) {
    for name in [b"aws_secret_access_key".as_slice(), b"AWS_SECRET_ACCESS_KEY"] {
        for at in memchr::memmem::find_iter(bytes, name) {
            let rest = bytes.get(at + name.len()..).unwrap_or_default();
            let skip = rest.iter().take(8).take_while(|b| matches!(b, b' ' | b'=' | b':' | b'"' | b'\'')).count();
            let value = rest.get(skip..).unwrap_or_default();
            let length = value.iter().take(41).take_while(|b| base64(**b)).count();
            let value = value.get(..length).unwrap_or_default();
            if skip > 0 && length == 40 && is_random(value) {
                add(Hit { rule: "aws-secret-key", title: "AWS secret access key", at: at + name.len() + skip, value });
            }
        }
    }
}

/// Placeholders repeat themselves or say what they are.
fn is_random(value: &[u8]) -> bool {
    let mut seen = [false; 256];
    let mut distinct = 0;
    for byte in value {
        if let Some(slot) = seen.get_mut(usize::from(*byte)) {
            distinct += usize::from(!*slot);
            *slot = true;
        }
    }
    distinct >= 8 && !is_placeholder(value)
}

fn is_placeholder(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    const WORDS: &[&[u8]] = &[
        b"example",
        b"changeme",
        b"change_me",
        b"placeholder",
        b"your",
        b"xxxx",
        b"dummy",
        b"redacted",
        b"****",
        b"1234567",
    ];
    WORDS.iter().any(|word| memchr::memmem::find(&lower, word).is_some())
}

/// A search through a whole file.
pub type FileRule = for<'a> fn(&'a [u8], &mut dyn FnMut(Hit<'a>));

/// The rule for files that hold credentials by their nature.
pub fn by_file_name(path: &str) -> Option<FileRule> {
    let name = path.rsplit('/').next().unwrap_or_default();
    match name {
        ".npmrc" | "npmrc" | ".yarnrc" | ".yarnrc.yml" => Some(npmrc),
        ".netrc" | "_netrc" => Some(netrc),
        ".git-credentials" => Some(url_passwords),
        "config.json" if path.ends_with(".docker/config.json") => Some(docker_auth),
        ".dockercfg" => Some(docker_auth),
        ".env" => Some(assignments),
        name if (name.starts_with(".env.") || name.ends_with(".env"))
            && !is_placeholder(name.as_bytes())
            && !name.ends_with(".sample") =>
        {
            Some(assignments)
        }
        ".pypirc" | ".pgpass" | ".my.cnf" => Some(assignments),
        _ => None,
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    bytes.split(|b| *b == b'\n').map(move |line| {
        let at = start;
        start += line.len() + 1;
        (at, line)
    })
}

/// `NAME=value` where the name speaks of a secret and the value is one, not a reference to it.
pub fn assignments<'a>(bytes: &'a [u8], add: &mut dyn FnMut(Hit<'a>)) {
    const WORDS: &[&[u8]] = &[
        b"PASSWORD",
        b"PASSWD",
        b"SECRET",
        b"TOKEN",
        b"API_KEY",
        b"APIKEY",
        b"PRIVATE_KEY",
        b"ACCESS_KEY",
        b"CREDENTIAL",
    ];
    for (at, line) in lines(bytes) {
        let Some(equals) = memchr::memchr2(b'=', b':', line) else { continue };
        let name = line.get(..equals).unwrap_or_default().to_ascii_uppercase();
        let name = name.trim_ascii();
        let is_reference = [b"_FILE".as_slice(), b"_PATH", b"_DIR", b"_NAME", b"_URL", b"_TTL", b"_LENGTH"]
            .iter()
            .any(|end| name.ends_with(end));
        if is_reference
            || name.starts_with(b"#")
            || !WORDS.iter().any(|word| memchr::memmem::find(name, word).is_some())
        {
            continue;
        }
        let raw = line.get(equals + 1..).unwrap_or_default();
        let trimmed = raw.trim_ascii();
        let value = trimmed.strip_prefix(b"\"").or_else(|| trimmed.strip_prefix(b"'")).unwrap_or(trimmed);
        let value = value.strip_suffix(b"\"").or_else(|| value.strip_suffix(b"'")).unwrap_or(value);
        let refers = matches!(value.first(), None | Some(b'$' | b'<' | b'{' | b'/' | b'%'));
        if value.len() >= 6
            && !refers
            && !is_placeholder(value)
            && !matches!(value, b"password" | b"secret" | b"postgres" | b"disabled")
        {
            add(Hit { rule: "assigned-secret", title: "value of a variable that is named like a secret", at, value });
        }
    }
}

fn npmrc<'a>(bytes: &'a [u8], add: &mut dyn FnMut(Hit<'a>)) {
    for (at, line) in lines(bytes) {
        for key in [b"_authToken=".as_slice(), b"_password=", b"_auth=", b"npmAuthToken:"] {
            let Some(found) = memchr::memmem::find(line, key) else { continue };
            let value = line.get(found + key.len()..).unwrap_or_default().trim_ascii();
            if value.len() >= 8 && !value.starts_with(b"$") && !is_placeholder(value) {
                add(Hit { rule: "npmrc-token", title: "registry credential of npm", at, value });
                break;
            }
        }
    }
}

fn netrc<'a>(bytes: &'a [u8], add: &mut dyn FnMut(Hit<'a>)) {
    for (at, line) in lines(bytes) {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
        while let Some(word) = words.next() {
            if word == b"password"
                && let Some(value) = words.next().filter(|v| !is_placeholder(v))
            {
                add(Hit { rule: "netrc-password", title: "password of a remote machine", at, value });
            }
        }
    }
}

/// `scheme://user:password@host`
pub fn url_passwords<'a>(bytes: &'a [u8], add: &mut dyn FnMut(Hit<'a>)) {
    for (at, line) in lines(bytes) {
        let Some(start) = memchr::memmem::find(line, b"://") else { continue };
        let rest = line.get(start + 3..).unwrap_or_default();
        let authority = rest.split(|b| matches!(b, b'/' | b'?' | b' ')).next().unwrap_or_default();
        let Some(end) = memchr::memrchr(b'@', authority) else { continue };
        let user = authority.get(..end).unwrap_or_default();
        if let Some(colon) = memchr::memchr(b':', user) {
            let value = user.get(colon + 1..).unwrap_or_default();
            if value.len() >= 4 && !is_placeholder(value) {
                add(Hit { rule: "url-password", title: "password in an address", at, value });
            }
        }
    }
}

fn docker_auth<'a>(bytes: &'a [u8], add: &mut dyn FnMut(Hit<'a>)) {
    for at in memchr::memmem::find_iter(bytes, b"\"auth\"") {
        let rest = bytes.get(at + 6..).unwrap_or_default();
        let skip = rest.iter().take(10).take_while(|b| matches!(b, b' ' | b':' | b'"' | b'\n' | b'\t')).count();
        let value = rest.get(skip..).unwrap_or_default();
        let length = value.iter().take(4096).take_while(|b| base64(**b)).count();
        if length >= 8 {
            add(Hit {
                rule: "docker-auth",
                title: "registry credential of Docker",
                at,
                value: value.get(..length).unwrap_or_default(),
            });
        }
    }
}
