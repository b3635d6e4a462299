//! Version 2 of Git's protocol (gitprotocol-v2(5)), over http (gitprotocol-http(5)) and over TCP (`git://`).

use std::io::{BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use base64::Engine as _;
use ureq::ResponseExt;

use super::address::{Address, Remote};
use super::object::{Id, Objects};
use super::pkt::{self, Pkt, Sideband};
use super::{Session, Trouble, pack, words};

/// Longest pack, in bytes.
const MAX_PACK: u64 = 16 << 30;
/// Longest list of references, in bytes.
const MAX_LIST: u64 = 64 << 20;
/// A connection that stands still for this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a repository.
pub(super) enum Wire {
    Http { agent: ureq::Agent, base: String, authorization: Option<String> },
    Daemon { stream: BufReader<TcpStream> },
}

impl Wire {
    /// Connects, and makes sure that the server speaks version 2.
    pub(super) fn connect(address: &Address, session: &Session<'_>) -> Result<Wire, Trouble> {
        session.check()?;
        let mut wire = match &address.remote {
            Remote::Http(base) => return connect_http(base, address, session),
            Remote::Daemon { host, port, path } => connect_daemon(host, *port, path)?,
        };
        let Wire::Daemon { stream } = &mut wire else { return Ok(wire) };
        capabilities(stream)?;
        Ok(wire)
    }

    /// Sends a command, and gives its answer.
    fn command(&mut self, body: &[u8], limit: u64) -> Result<Box<dyn Read + '_>, Trouble> {
        match self {
            Wire::Http { agent, base, authorization } => {
                let mut ask = agent
                    .post(format!("{base}/git-upload-pack"))
                    .header("git-protocol", "version=2")
                    .header("content-type", "application/x-git-upload-pack-request")
                    .header("accept", "application/x-git-upload-pack-result");
                if let Some(value) = authorization {
                    ask = ask.header("authorization", value.as_str());
                }
                let answer = ask.send(body).map_err(|e| http_words(&e))?;
                Ok(Box::new(answer.into_body().into_with_config().limit(limit).reader()))
            }
            Wire::Daemon { stream } => {
                stream.get_mut().write_all(body)?;
                Ok(Box::new(stream.by_ref().take(limit)))
            }
        }
    }

    /// The commit that the address names.
    pub(super) fn resolve(&mut self, address: &Address) -> Result<Id, Trouble> {
        let wanted = address.wanted();
        if let Some(id) = Id::parse(wanted) {
            return Ok(id);
        }
        let candidates = match wanted {
            "HEAD" => vec!["HEAD".to_owned()],
            full if full.starts_with("refs/") => vec![full.to_owned()],
            short => vec![format!("refs/heads/{short}"), format!("refs/tags/{short}"), format!("refs/{short}")],
        };
        let mut body = Vec::new();
        pkt::put(&mut body, "command=ls-refs\n");
        body.extend_from_slice(b"0001");
        pkt::put(&mut body, "peel\n");
        for name in &candidates {
            pkt::put(&mut body, &format!("ref-prefix {name}\n"));
        }
        body.extend_from_slice(b"0000");
        let mut answer = self.command(&body, MAX_LIST)?;
        let mut found: Vec<Option<Id>> = vec![None; candidates.len()];
        while let Pkt::Data(line) = pkt::read(&mut *answer)? {
            let text = String::from_utf8_lossy(&line).into_owned();
            let mut fields = text.trim_end().split(' ');
            let (Some(id), Some(name)) = (fields.next(), fields.next()) else { continue };
            let peeled = fields.find_map(|f| f.strip_prefix("peeled:"));
            let at = candidates.iter().position(|c| c == name);
            if let Some(slot) = at.and_then(|at| found.get_mut(at)) {
                *slot = Id::parse(peeled.unwrap_or(id));
            }
        }
        found.into_iter().flatten().next().ok_or_else(|| match wanted {
            "HEAD" => words("it has no commit yet"),
            _ => words(format!(
                "it has no branch, tag or reference `{wanted}` (a commit must be given by all its 40 digits)"
            )),
        })
    }

    /// Fetches one commit with its files.
    pub(super) fn fetch(&mut self, commit: Id, objects: &mut Objects, session: &Session<'_>) -> Result<(), Trouble> {
        let mut body = Vec::new();
        pkt::put(&mut body, "command=fetch");
        body.extend_from_slice(b"0001");
        for line in ["no-progress", "ofs-delta", "deepen 1", &format!("want {commit}\n"), "done\n"] {
            pkt::put(&mut body, line);
        }
        body.extend_from_slice(b"0000");
        let mut answer = self.command(&body, MAX_PACK)?;
        loop {
            match pkt::read(&mut *answer)? {
                Pkt::Data(line) if line.starts_with(b"packfile") => break,
                // What is shallow, and which objects both sides have, does not matter here.
                Pkt::Data(_) | Pkt::Delimiter => {}
                Pkt::Flush => return Err(words(format!("the server has nothing for {commit}"))),
            }
        }
        let mut band = Sideband::new(&mut *answer);
        let read = pack::read(&mut band, objects, &|| session.check());
        match band.trouble.take() {
            Some(trouble) => Err(trouble),
            None => read,
        }
    }
}

/// Reads the server's first words: it must offer version 2, and objects that are named by SHA-1.
fn capabilities(input: &mut dyn Read) -> Result<(), Trouble> {
    let mut first = true;
    let mut version_2 = false;
    loop {
        match pkt::read(input)? {
            // http servers begin with the service's name and a flush.
            Pkt::Data(line) if first && line.starts_with(b"# service=") => {
                let _ = pkt::read(input)?;
            }
            Pkt::Data(line) => {
                version_2 |= line.starts_with(b"version 2");
                let format = line.strip_prefix(b"object-format=").map(pkt::printable);
                if let Some(format) = format.filter(|f| f != "sha1") {
                    return Err(words(format!("its objects are named by {format}, which is not supported")));
                }
                if !version_2 {
                    return Err(words("the server is older than version 2 of Git's protocol (Git 2.18)"));
                }
            }
            Pkt::Delimiter => {}
            Pkt::Flush => break,
        }
        first = false;
    }
    if version_2 { Ok(()) } else { Err(words("the server does not speak version 2 of Git's protocol")) }
}

fn connect_daemon(host: &str, port: u16, path: &str) -> Result<Wire, Trouble> {
    let unreachable = |e: std::io::Error| words(format!("{host}:{port} cannot be reached: {e}"));
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut last = words(format!("{host} has no address"));
    for address in (bare, port).to_socket_addrs().map_err(unreachable)? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(30)) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                let mut hello = Vec::new();
                pkt::put(&mut hello, &format!("git-upload-pack {path}\0host={host}:{port}\0\0version=2\0"));
                stream.write_all(&hello)?;
                return Ok(Wire::Daemon { stream: BufReader::new(stream) });
            }
            Err(e) => last = unreachable(e),
        }
    }
    Err(last)
}

fn connect_http(base: &str, address: &Address, session: &Session<'_>) -> Result<Wire, Trouble> {
    let agent = crate::fetch::agent();
    let authorization = authorization(base, address, session)?;
    let url = format!("{base}/info/refs?service=git-upload-pack");
    let mut ask = agent.get(&url).header("git-protocol", "version=2");
    if let Some(value) = &authorization {
        ask = ask.header("authorization", value.as_str());
    }
    let answer = ask.call().map_err(|e| http_words(&e))?;
    // As Git does: where the list was found, there the rest is. Credentials do not follow to another host.
    let found = answer.get_uri().to_string();
    let moved = found.strip_suffix("/info/refs?service=git-upload-pack").unwrap_or(base).to_owned();
    let same_host = moved.split('/').take(3).eq(base.split('/').take(3));
    let mut body = answer.into_body().into_with_config().limit(MAX_LIST).reader();
    capabilities(&mut body)?;
    Ok(Wire::Http { agent, base: moved, authorization: authorization.filter(|_| same_host) })
}

/// The `Authorization` header: of the URL's user, else of the secrets. Never sent in the clear to other machines.
fn authorization(base: &str, address: &Address, session: &Session<'_>) -> Result<Option<String>, Trouble> {
    let basic = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let token = |t: &String| basic(&format!("x-access-token:{}", t.trim()));
    let access = session.access;
    let value = address.user.as_deref().map(basic);
    let value = value.or_else(|| access.header.as_ref().map(|h| h.trim().to_owned()));
    let value = value.or_else(|| access.token.as_ref().map(token));
    let host = base.split('/').nth(2).unwrap_or_default();
    let local = ["localhost", "127.0.0.1", "[::1]"].iter().any(|l| host == *l || host.starts_with(&format!("{l}:")));
    if value.is_some() && address.user.is_some() && !base.starts_with("https://") && !local {
        return Err(words("its URL has a password, which is not sent unencrypted; use https://"));
    }
    // A secret that is meant for other repositories stays home, too.
    Ok(value.filter(|_| base.starts_with("https://") || local))
}

fn http_words(error: &ureq::Error) -> Trouble {
    match error {
        ureq::Error::StatusCode(401 | 403) => {
            words("the server wants to know who asks; give a token: `--secret id=GIT_AUTH_TOKEN,env=NAME`")
        }
        ureq::Error::StatusCode(404) => words("the server knows no such repository, or hides it from us"),
        ureq::Error::StatusCode(code) => words(format!("the server answered with status {code}")),
        other => words(other.to_string()),
    }
}
