//! Addresses on the web: where a request goes, and where an answer may send it.

use std::fmt;

/// Longest address that is followed, in bytes: object stores sign theirs with some 2 KiB.
const MAX_ADDRESS_BYTES: usize = 16 << 10;

/// Scheme, host and port: what credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// TLS or not.
    pub https: bool,
    /// Host and port as written, lower case, without a default port.
    pub authority: String,
}

impl Origin {
    pub fn new(https: bool, authority: &str) -> Origin {
        let lower = authority.to_ascii_lowercase();
        let default = if https { ":443" } else { ":80" };
        Origin { https, authority: lower.strip_suffix(default).unwrap_or(&lower).to_owned() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }
}

/// A whole address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub origin: Origin,
    /// Path and query, from the first slash.
    pub path: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

impl Address {
    pub fn new(origin: &Origin, path: impl Into<String>) -> Address {
        Address { origin: origin.clone(), path: path.into() }
    }

    /// An absolute address. Errors are the reason, for [`crate::RegistryError::Redirect`].
    pub fn parse(text: &str) -> Result<Address, &'static str> {
        if text.len() > MAX_ADDRESS_BYTES {
            return Err("it is too long");
        }
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err("it holds spaces or control characters");
        }
        let (scheme, rest) = text.split_once("://").ok_or("it is no http or https address")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("only http and https are spoken"),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("it holds a user name");
        }
        if authority.is_empty() || authority.contains('\\') {
            return Err("it has no host");
        }
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let address = Address { origin: Origin::new(https, authority), path };
        // What the client would not accept is found out here, where the reason can be told.
        address.to_string().parse::<ureq::http::Uri>().map_err(|_| "it is no address")?;
        Ok(address)
    }

    /// Where `location`, found in the answer to this address, leads.
    pub fn join(&self, location: &str) -> Result<Address, &'static str> {
        let location = location.trim();
        if let Some(rest) = location.strip_prefix("//") {
            let scheme = if self.origin.https { "https" } else { "http" };
            return Address::parse(&format!("{scheme}://{rest}"));
        }
        // A scheme is a name before the first of these characters.
        let stop = location.find([':', '/', '?', '#']);
        if stop.is_some_and(|at| location.as_bytes().get(at) == Some(&b':')) {
            return Address::parse(location);
        }
        let path = self.path.split('?').next().unwrap_or("/");
        let joined = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') {
            format!("{path}{location}")
        } else {
            let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            format!("{dir}/{location}")
        };
        Address::parse(&format!("{}{joined}", self.origin))
    }

    /// The address with `pairs` added to its query, percent-encoded.
    pub fn with_query(&self, pairs: &[(&str, &str)]) -> Address {
        let mut path = self.path.clone();
        for (name, value) in pairs {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(name);
            path.push('=');
            path.push_str(&encode(value));
        }
        Address { origin: self.origin.clone(), path }
    }

    /// The address without its query, which may hold signatures, at most 200 characters.
    pub fn shown(&self) -> String {
        let text = self.to_string();
        text.split('?').next().unwrap_or_default().chars().take(200).collect()
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986).
pub(crate) fn encode(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_joined_as_browsers_do() {
        let base = Address::parse("https://Reg.example:443/v2/a/blobs/uploads/?x=1").unwrap();
        assert_eq!(base.origin.authority, "reg.example");
        let joined = |l: &str| base.join(l).unwrap().to_string();
        assert_eq!(joined("/v2/b?c=d"), "https://reg.example/v2/b?c=d");
        assert_eq!(joined("uuid?c=d"), "https://reg.example/v2/a/blobs/uploads/uuid?c=d");
        assert_eq!(joined("?c=d"), "https://reg.example/v2/a/blobs/uploads/?c=d");
        assert_eq!(joined("//cdn.example/x"), "https://cdn.example/x");
        assert_eq!(joined("http://o.example:80/x#frag"), "http://o.example/x");
    }

    #[test]
    fn other_schemes_users_and_controls_are_refused() {
        let base = Address::parse("https://r/v2/").unwrap();
        for bad in [
            "file:///etc/passwd",
            "FILE:/x",
            "gopher://x/",
            "javascript:1",
            "https://u:p@h/",
            "https:///x",
            "http://a b/",
            "data:,x",
            "https://[::1/x",
        ] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
        assert!(base.join("https://[::1]:5000/x").is_ok());
        assert!(base.join(&format!("/{}", "a".repeat(20_000))).is_err());
    }

    #[test]
    fn queries_are_encoded() {
        let base = Address::parse("https://r/token?a=b").unwrap();
        assert_eq!(base.with_query(&[("scope", "r:a/b:pull,push")]).path, "/token?a=b&scope=r%3Aa%2Fb%3Apull%2Cpush");
    }

    proptest::proptest! {
        #[test]
        fn any_location_joins_or_fails(text in ".*") {
            let base = Address::parse("https://r/v2/x").unwrap();
            if let Ok(address) = base.join(&text) {
                proptest::prop_assert!(address.path.starts_with('/'));
            }
        }
    }
}
