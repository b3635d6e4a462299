//! Submodules: repositories within a repository, told by `.gitmodules` (gitmodules(5)).

use std::path::{Path, PathBuf};

use super::address::Address;
use super::checkout::Link;
use super::wire::Wire;
use super::{Session, Trouble, fetch_into, words};

/// Longest `.gitmodules` that is read, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// Fetches each of `links` into its place below `root`.
pub(super) fn fetch_all(
    address: &Address,
    root: &Path,
    links: &[Link],
    session: &Session<'_>,
    depth: u32,
) -> Result<(), Trouble> {
    let path = root.join(".gitmodules");
    let is_file = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= MAX_TEXT);
    let text = if is_file { std::fs::read_to_string(&path)? } else { String::new() };
    let known = parse(&text);
    for link in links {
        session.check()?;
        // A directory without an entry is what Git leaves empty.
        let Some((_, url)) = known.iter().find(|(path, _)| Path::new(path) == link.path) else { continue };
        let blame = |trouble: Trouble| match trouble {
            Trouble::Words(why) => words(format!("the submodule `{}`: {why}", link.path.display())),
            other => other,
        };
        let inner = address.beside(url, &link.commit.to_string()).map_err(blame)?;
        (session.status)(&format!("fetching the submodule {}", link.path.display()));
        let place: PathBuf = root.join(&link.path);
        std::fs::remove_dir(&place)?;
        let mut wire = Wire::connect(&inner, session).map_err(blame)?;
        fetch_into(&mut wire, &inner, link.commit, &place, session, depth + 1).map_err(blame)?;
    }
    Ok(())
}

/// (path, url) of every section that has both.
fn parse(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let (mut path, mut url) = (None, None);
    let mut finish = |path: &mut Option<String>, url: &mut Option<String>| {
        if let (Some(path), Some(url)) = (path.take(), url.take()) {
            out.push((path, url));
        }
    };
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            finish(&mut path, &mut url);
            (path, url) = (None, None);
        } else if let Some((key, value)) = line.split_once('=') {
            let value = value.trim().trim_matches('"').to_owned();
            match key.trim().to_ascii_lowercase().as_str() {
                "path" => path = Some(value),
                "url" => url = Some(value),
                _ => {}
            }
        }
    }
    finish(&mut path, &mut url);
    out
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sections_give_paths_and_urls() {
        let text =
            "# x\n[submodule \"a\"]\n\tpath = libs/a\n\turl = ../a.git\n\tbranch=main\n[submodule \"b\"]\n path=b\n";
        assert_eq!(parse(text), [("libs/a".to_owned(), "../a.git".to_owned())]);
    }
}
