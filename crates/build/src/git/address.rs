//! Where a repository is, and what of it is wanted: docker's `URL#REF:SUBDIRECTORY` and BuildKit's query form.

use super::{Trouble, words};

/// How a repository is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remote {
    /// `http://` or `https://`, without user and trailing slash.
    Http(String),
    /// `git://`
    Daemon { host: String, port: u16, path: String },
}

/// A repository, and what is wanted of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) remote: Remote,
    /// `user:password` of the URL.
    pub(crate) user: Option<String>,
    /// Branch, tag, full reference or commit; `None` is what `HEAD` names.
    pub(crate) reference: Option<String>,
    /// Directory within.
    pub(crate) subdirectory: Option<String>,
    /// Whether submodules are fetched too.
    pub(crate) submodules: bool,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The user's password is not printed by accident.
        write!(f, "{} {} {:?} {}", self.shown(), self.wanted(), self.subdirectory, self.submodules)
    }
}

impl Address {
    /// Reads what a Dockerfile or a command line says.
    pub(crate) fn parse(text: &str) -> Result<Address, Trouble> {
        if text.starts_with("git@") || text.starts_with("ssh://") {
            return Err(words(
                "repositories over ssh are not supported; give its https:// address, and for a private one the secret \
                 GIT_AUTH_TOKEN (`--secret id=GIT_AUTH_TOKEN,env=…`)",
            ));
        }
        let (url, fragment) = text.split_once('#').map_or((text, None), |(url, rest)| (url, Some(rest)));
        let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
        let with_scheme = if url.starts_with("github.com/") { format!("https://{url}") } else { url.to_owned() };
        let (scheme, rest) = with_scheme.split_once("://").ok_or_else(|| words("it is no URL"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        if host.is_empty() || path.trim_matches('/').is_empty() {
            return Err(words("its URL names no repository"));
        }
        let remote = match scheme {
            "http" | "https" => Remote::Http(format!("{scheme}://{host}/{}", path.trim_end_matches('/'))),
            "git" => daemon(host, path)?,
            other => return Err(words(format!("`{other}://` is not supported; https, http and git are"))),
        };
        let mut address = Address { remote, user, reference: None, subdirectory: None, submodules: true };
        if let Some(query) = query {
            address.read_query(query)?;
        }
        if let Some(fragment) = fragment {
            let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
            address.reference = Some(reference.to_owned()).filter(|r| !r.is_empty()).or(address.reference);
            address.subdirectory = Some(subdirectory.to_owned()).filter(|s| !s.is_empty()).or(address.subdirectory);
        }
        address.check()?;
        Ok(address)
    }

    fn read_query(&mut self, query: &str) -> Result<(), Trouble> {
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "ref" => self.reference = Some(value.to_owned()),
                "branch" => self.reference = Some(format!("refs/heads/{value}")),
                "tag" => self.reference = Some(format!("refs/tags/{value}")),
                "commit" => self.reference = Some(value.to_owned()),
                "subdir" => self.subdirectory = Some(value.to_owned()),
                "submodules" => self.submodules = value != "false" && value != "0",
                other => return Err(words(format!("the query `{other}` is not supported"))),
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Trouble> {
        let control = |text: &str| text.chars().any(|c| c.is_control() || c == ' ');
        if self.reference.as_deref().is_some_and(|r| control(r) || r.starts_with('-')) {
            return Err(words("its reference is none that Git would take"));
        }
        let text = match &self.remote {
            Remote::Http(base) => base,
            Remote::Daemon { path, .. } => path,
        };
        if control(text) { Err(words("its URL has spaces or control characters")) } else { Ok(()) }
    }

    /// The repository's URL, without user and reference.
    pub(crate) fn shown(&self) -> String {
        match &self.remote {
            Remote::Http(base) => base.clone(),
            Remote::Daemon { host, port, path } => format!("git://{host}:{port}{path}"),
        }
    }

    /// The host, for progress.
    pub(crate) fn host(&self) -> String {
        let shown = self.shown();
        shown.split('/').nth(2).unwrap_or_default().to_owned()
    }

    /// The reference, for progress.
    pub(crate) fn wanted(&self) -> &str {
        self.reference.as_deref().unwrap_or("HEAD")
    }

    /// Another repository, named as `.gitmodules` does: a URL, or a path relative to this one.
    pub(crate) fn beside(&self, url: &str, commit: &str) -> Result<Address, Trouble> {
        let mut address = if url.starts_with("./") || url.starts_with("../") {
            let mut base = self.shown();
            let mut rest = url;
            loop {
                if let Some(tail) = rest.strip_prefix("../") {
                    base.truncate(base.rfind('/').unwrap_or(0));
                    rest = tail;
                } else if let Some(tail) = rest.strip_prefix("./") {
                    rest = tail;
                } else {
                    break;
                }
            }
            Address::parse(&format!("{base}/{rest}"))?
        } else {
            Address::parse(url)?
        };
        if address.host() == self.host() {
            address.user.clone_from(&self.user);
        }
        address.reference = Some(commit.to_owned());
        address.subdirectory = None;
        Ok(address)
    }
}

fn daemon(authority: &str, path: &str) -> Result<Remote, Trouble> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, port.parse::<u16>().map_err(|_| words("the port of its URL is no number"))?)
        }
        _ => (authority, 9418),
    };
    Ok(Remote::Daemon { host: host.to_owned(), port, path: format!("/{}", path.trim_end_matches('/')) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_does() {
        let read = |text: &str| Address::parse(text).unwrap();
        let a = read("https://user:pw@example.org/a/b.git#main:sub/dir");
        assert_eq!(a.remote, Remote::Http("https://example.org/a/b.git".into()));
        assert_eq!((a.reference.as_deref(), a.subdirectory.as_deref()), (Some("main"), Some("sub/dir")));
        assert!(a.user.as_deref() == Some("user:pw") && !format!("{a:?}").contains("pw"));
        assert_eq!(read("https://example.org/a.git#:docs").reference, None);
        assert_eq!(read("github.com/a/b").shown(), "https://github.com/a/b");
        assert_eq!(read("git://h/x.git").shown(), "git://h:9418/x.git");
        let b = read("https://h/x.git?branch=dev&subdir=d&submodules=false");
        assert_eq!(b.reference.as_deref(), Some("refs/heads/dev"));
        assert!(!b.submodules);
        for bad in ["git@github.com:a/b.git", "ssh://git@h/x", "https://h", "ftp://h/x.git", "https://h/x.git#a b"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn submodules_may_be_relative() {
        let a = Address::parse("https://example.org/team/main.git").unwrap();
        let b = a.beside("../lib.git", "abc").unwrap();
        assert_eq!((b.shown().as_str(), b.wanted()), ("https://example.org/team/lib.git", "abc"));
        assert_eq!(a.beside("https://other/x.git", "abc").unwrap().shown(), "https://other/x.git");
        assert!(a.beside("ext::sh -c touch", "abc").is_err());
    }
}
