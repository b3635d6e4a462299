//! The `WWW-Authenticate` header (RFC 9110, 11.6.1): which proof a server wants.

/// Longest header that is read, in bytes; a real one has some 300.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Most challenges and parameters that are read from one header.
const MAX_ITEMS: usize = 64;

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenge {
    /// `basic`, `bearer`: lower case.
    pub scheme: String,
    /// Parameters; names lower case, in order.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter's value; the first, if a server repeats it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Reads all challenges of one header value. Never fails: what is not understood ends the reading, and what was read
/// before counts.
pub fn parse_challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    if header.len() > MAX_HEADER_BYTES {
        return found;
    }
    let mut rest = header;
    for _ in 0..MAX_ITEMS {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((name, after)) = token(rest) else { break };
        let spaced = after.trim_start_matches([' ', '\t']);
        if let Some(value) = spaced.strip_prefix('=').filter(|_| !found.is_empty()) {
            let Some((value, after)) = parameter_value(value.trim_start_matches([' ', '\t'])) else { break };
            if let Some(challenge) = found.last_mut() {
                challenge.parameters.push((name.to_ascii_lowercase(), value));
            }
            rest = after;
        } else {
            found.push(Challenge { scheme: name.to_ascii_lowercase(), parameters: Vec::new() });
            rest = after;
        }
    }
    found
}

/// A token (RFC 9110, 5.6.2) and what follows.
fn token(text: &str) -> Option<(&str, &str)> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let end = text.bytes().position(|b| !good(b)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A quoted string or a token. Tokens are read up to a comma or a space: servers write unquoted addresses.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hubs_challenge_is_read() {
        let all = parse_challenges(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
        );
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].scheme, "bearer");
        assert_eq!(all[0].get("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(all[0].get("scope"), Some("repository:a/b:pull,push"));
    }

    #[test]
    fn several_challenges_share_a_header() {
        let all = parse_challenges(r#"Negotiate, Basic realm="a \"b\", c" , BEARER Realm = https://x/y , service=z"#);
        let schemes: Vec<_> = all.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!(all[1].get("realm"), Some(r#"a "b", c"#));
        assert_eq!(all[2].get("realm"), Some("https://x/y"));
        assert_eq!(all[2].get("service"), Some("z"));
    }

    #[test]
    fn garbage_gives_little() {
        assert!(parse_challenges("").is_empty());
        assert!(parse_challenges("=x").is_empty());
        assert!(parse_challenges(&"a ".repeat(20_000)).is_empty());
        assert_eq!(parse_challenges(r#"Bearer realm="never ends"#)[0].parameters, []);
        assert!(parse_challenges(&"a ".repeat(1000)).len() <= MAX_ITEMS);
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(text in ".{0,200}") {
            let _ = parse_challenges(&text);
        }

        #[test]
        fn quoted_values_come_back(value in "[ -~]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let all = parse_challenges(&format!("Bearer realm=\"{quoted}\",x=y"));
            proptest::prop_assert_eq!(all[0].get("realm"), Some(value.as_str()));
            proptest::prop_assert_eq!(all[0].get("x"), Some("y"));
        }
    }
}
