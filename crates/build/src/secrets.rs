//! Names that look like secrets: what stands in `ARG` and `ENV` can be read by everyone who has the image.

/// Parts of a name between underscores that betray a secret.
const TELLTALES: [&str; 12] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "passwd",
    "pword",
    "pwd",
    "secret",
    "secrets",
    "token",
];

/// Whether a variable of this name probably holds a secret.
pub fn looks_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    let mut parts = lower.split('_');
    // A public key is no secret, and neither is the name of one.
    if lower.split('_').any(|p| matches!(p, "public" | "file" | "path" | "url" | "id" | "name")) {
        return false;
    }
    parts.any(|part| TELLTALES.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::looks_secret;

    #[test]
    fn secrets_are_told_from_their_neighbours() {
        for secret in ["DB_PASSWORD", "token", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "APIKEY", "my_auth"] {
            assert!(looks_secret(secret), "{secret}");
        }
        for plain in ["PATH", "AUTHOR", "KEYBOARD", "SSH_PUBLIC_KEY", "TOKEN_FILE", "MONKEY", "VERSION", ""] {
            assert!(!looks_secret(plain), "{plain}");
        }
    }
}
