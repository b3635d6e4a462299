//! The host's apt configuration: where its packages come from, and through which proxy.
//!
//! Formats: sources.list(5), apt.conf(5). Only what we need is read, and what is not understood is passed over: the
//! host's file is a hint for us, never an order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::name::Distro;

/// No configuration file of apt is this large, in bytes; a larger one is not read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One binary package source of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The archive's address.
    pub uri: String,
    /// The suite as written ("bookworm-security", "stable").
    pub suite: String,
    /// Components.
    pub components: Vec<String>,
    /// The file that says so.
    pub file: PathBuf,
}

impl Source {
    /// Whose archive it is, judged by the last part of the address; `None` for third parties.
    pub fn distro(&self) -> Option<Distro> {
        let path = self.uri.trim_end_matches('/');
        // A snapshot's address ends with its time; the part before says whose it is.
        let part = path.rsplit('/').find(|p| !looks_like_snapshot_time(p))?;
        match part {
            "debian" | "debian-security" => Some(Distro::Debian),
            "ubuntu" | "ubuntu-ports" => Some(Distro::Ubuntu),
            "security.debian.org" => Some(Distro::Debian),
            _ if path.contains("//security.debian.org") => Some(Distro::Debian),
            _ => None,
        }
    }

    /// Whether it is a security suite.
    pub fn is_security(&self) -> bool {
        self.suite.ends_with("-security") || self.suite.ends_with("/updates") || self.uri.contains("debian-security")
    }
}

fn looks_like_snapshot_time(part: &str) -> bool {
    part.len() == 16 && part.ends_with('Z') && part.as_bytes().get(8) == Some(&b'T')
}

/// What apt on the host is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AptSettings {
    /// `deb` sources, in the order in which apt reads them.
    pub sources: Vec<Source>,
    /// `Acquire::http::Proxy`, if set; may be "DIRECT".
    pub proxy: Option<String>,
    /// `Acquire::https::Proxy`, likewise.
    pub https_proxy: Option<String>,
    /// `Acquire::Check-Valid-Until`.
    pub check_valid_until: bool,
}

/// Reads `etc/apt` beneath `host_root`. Unreadable files count as empty.
pub fn read_apt(host_root: &Path) -> AptSettings {
    let apt = host_root.join("etc/apt");
    let mut sources = Vec::new();
    let shown = |path: &Path| Path::new("/").join(path.strip_prefix(host_root).unwrap_or(path));
    let mut files = vec![apt.join("sources.list")];
    files.extend(listing(&apt.join("sources.list.d")));
    for file in files {
        let Some(text) = read(&file) else { continue };
        if file.extension().is_some_and(|e| e == "sources") {
            sources.extend(parse_deb822(&text, &shown(&file)));
        } else if file.extension().is_some_and(|e| e == "list") {
            sources.extend(parse_one_line(&text, &shown(&file)));
        }
    }
    let mut options = BTreeMap::new();
    let mut conf = listing(&apt.join("apt.conf.d"));
    conf.push(apt.join("apt.conf"));
    for file in conf {
        if let Some(text) = read(&file) {
            parse_conf(&text, &mut options);
        }
    }
    let proxy = |key: &str| options.get(key).filter(|p| !p.is_empty() && *p != "false").cloned();
    let no = ["false", "no", "0", "off", "without", "disable"];
    AptSettings {
        sources,
        proxy: proxy("acquire::http::proxy"),
        https_proxy: proxy("acquire::https::proxy"),
        check_valid_until: !options.get("acquire::check-valid-until").is_some_and(|v| no.contains(&v.as_str())),
    }
}

fn listing(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > MAX_FILE_BYTES {
        return None;
    }
    String::from_utf8(std::fs::read(path).ok()?).ok()
}

/// `deb [option=value …] uri suite component…`, one a line.
fn parse_one_line(text: &str, file: &Path) -> Vec<Source> {
    text.lines().filter_map(|line| parse_line(line.split('#').next().unwrap_or(""), file)).collect()
}

fn parse_line(line: &str, file: &Path) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    is_web(uri).then(|| Source {
        uri: uri.trim_end_matches('/').to_owned(),
        suite: suite.to_owned(),
        components: words.map(str::to_owned).collect(),
        file: file.to_owned(),
    })
}

fn parse_deb822(text: &str, file: &Path) -> Vec<Source> {
    let mut out = Vec::new();
    // A comment may stand between the lines of a stanza; dropping them first leaves plain stanzas.
    let plain: String = text.lines().filter(|l| !l.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
    for stanza in plain.split("\n\n") {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut last = None;
        for line in stanza.lines() {
            if line.starts_with([' ', '\t']) {
                if let Some(value) = last.as_ref().and_then(|name| fields.get_mut(name)) {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                let name = name.trim().to_ascii_lowercase();
                fields.insert(name.clone(), value.trim().to_owned());
                last = Some(name);
            }
        }
        let words = |name: &str| fields.get(name).map(String::as_str).unwrap_or("").split_whitespace();
        let disabled = fields.get("enabled").is_some_and(|v| matches!(v.as_str(), "no" | "false"));
        if disabled || !words("types").any(|t| t == "deb") {
            continue;
        }
        for uri in words("uris").filter(|u| is_web(u)) {
            for suite in words("suites") {
                out.push(Source {
                    uri: uri.trim_end_matches('/').to_owned(),
                    suite: suite.to_owned(),
                    components: words("components").map(str::to_owned).collect(),
                    file: file.to_owned(),
                });
            }
        }
    }
    out
}

fn is_web(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

/// Collects `Name::Sub "value";` and nested `Name { Sub "value"; };` into `name::sub` keys, lower-cased.
fn parse_conf(text: &str, options: &mut BTreeMap<String, String>) {
    let mut scope: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for token in tokens(text) {
        match token.as_str() {
            "{" => scope.push(words.first().cloned().unwrap_or_default()),
            "}" => {
                scope.pop();
            }
            ";" => {
                if let [name, value] = words.as_slice() {
                    let mut key: Vec<&str> = scope.iter().map(String::as_str).collect();
                    key.push(name);
                    options.insert(key.join("::").to_ascii_lowercase(), value.clone());
                }
            }
            _ => {
                words.push(token);
                continue;
            }
        }
        words.clear();
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                // A quoted word may be empty, which is a value too.
                out.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                out.push(chars.by_ref().take_while(|&c| c != '"').collect());
            }
            '/' if word.is_empty() && chars.peek() == Some(&'/') => while chars.next_if(|&c| c != '\n').is_some() {},
            '/' if word.is_empty() && chars.peek() == Some(&'*') => {
                let mut last = ' ';
                for c in chars.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            '#' if word.is_empty() => while chars.next_if(|&c| c != '\n').is_some() {},
            '{' | '}' | ';' => {
                out.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                out.push(c.to_string());
            }
            c if c.is_whitespace() => out.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            c => word.push(c),
        }
    }
    out
}
