//! `stockade cp`

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stockade_engine::{CopyOut, Engine};

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Arguments of `stockade cp`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep user and group ids
    #[arg(short, long)]
    archive: bool,
    /// Follow the source if it is a link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Say nothing (there is nothing to say)
    #[arg(short, long)]
    quiet: bool,
    /// CONTAINER:PATH, a local path, or - for a tar on standard input
    source: String,
    /// CONTAINER:PATH, a local path, or - for a tar on standard output
    target: String,
}

/// Where one side of a copy is.
enum Place<'a> {
    Container(&'a str, &'a str),
    Local(&'a str),
    Stream,
}

fn place(text: &str) -> Place<'_> {
    if text == "-" {
        return Place::Stream;
    }
    // A path that begins like one is local, colons or not.
    if text.starts_with('/') || text.starts_with('.') {
        return Place::Local(text);
    }
    match text.split_once(':') {
        Some((container, path)) if !container.is_empty() => Place::Container(container, path),
        _ => Place::Local(text),
    }
}

/// Copies files between a container and the host.
pub fn run(args: Args, context: &Context) -> Outcome {
    context.need_root("copying files of a container")?;
    let engine = engine(context)?;
    match (place(&args.source), place(&args.target)) {
        (Place::Container(..), Place::Container(..)) => {
            return Err(Failure::usage(
                "files are not copied from container to container; go through a local directory",
            ));
        }
        (Place::Container(name, path), Place::Local(target)) => out(&engine, name, path, target, &args)?,
        (Place::Container(name, path), Place::Stream) => {
            let path = non_empty(path)?;
            let base = base_name(path);
            let what = CopyOut { path, name: &base, follow: args.follow_link };
            engine.copy_out(name, &what, &mut |tar| io::copy(tar, &mut io::stdout().lock()).map(drop))?;
        }
        (Place::Local(source), Place::Container(name, path)) => into(&engine, source, name, path, &args)?,
        (Place::Stream, Place::Container(name, path)) => {
            let path = non_empty(path)?;
            engine.copy_in(name, path, args.archive, &mut |tar| io::copy(&mut io::stdin().lock(), tar).map(drop))?;
        }
        _ => return Err(Failure::usage("one side must be a container: CONTAINER:PATH")),
    }
    Ok(Exit::DONE)
}

fn non_empty(path: &str) -> Result<&str, Failure> {
    if path.is_empty() { Err(Failure::usage("the path in the container is empty")) } else { Ok(path) }
}

/// Last part of a path; empty for `dir/.` and `/`: their content is meant.
fn base_name(path: &str) -> String {
    if path == "." || path.ends_with("/.") {
        return String::new();
    }
    let trimmed = path.trim_end_matches('/');
    trimmed.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The target's directory, and the name that the source gets there (empty: its content goes into the directory).
/// Docker's rules; `None` in `exists` means that nothing is at the target.
fn arrange(
    source: &str,
    source_is_dir: bool,
    target: &str,
    exists: Option<bool>,
) -> Result<(PathBuf, String), Failure> {
    let split = |path: &str| {
        let path = Path::new(path.trim_end_matches('/'));
        let parent = match path.parent() {
            Some(p) if p.as_os_str().is_empty() => PathBuf::from("."),
            Some(p) => p.to_owned(),
            None => PathBuf::from("/"),
        };
        (parent, path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default())
    };
    match exists {
        Some(true) => Ok((PathBuf::from(target), base_name(source))),
        Some(false) if source_is_dir => Err(Failure::new(format!("cannot copy a directory onto the file `{target}`"))),
        Some(false) if target.ends_with('/') => Err(Failure::new(format!("`{target}` is not a directory"))),
        None if !source_is_dir && target.ends_with('/') => {
            Err(Failure::new(format!("the directory `{target}` does not exist")))
        }
        _ => Ok(split(target)),
    }
}

fn out(engine: &Engine, name: &str, path: &str, target: &str, args: &Args) -> Result<(), Failure> {
    let path = non_empty(path)?;
    let stat = engine.path_stat(name, path)?;
    // A link that leads nowhere is copied as a link.
    let source_is_dir = stat.is_some_and(|s| s.is_dir);
    let exists = fs::metadata(target).ok().map(|m| m.is_dir());
    let (dir, as_name) = arrange(path, source_is_dir, target, exists)?;
    if !dir.is_dir() {
        return Err(Failure::new(format!("the directory `{}` does not exist", dir.display())));
    }
    let what = CopyOut { path, name: &as_name, follow: args.follow_link };
    engine.copy_out(name, &what, &mut |tar| unpack(tar, &dir, args.archive))?;
    Ok(())
}

/// Unpacks what came from a container: never outside `dir`, whatever links it holds.
fn unpack(tar: &mut dyn Read, dir: &Path, keep_owner: bool) -> io::Result<()> {
    let mut archive = tar::Archive::new(&mut *tar);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(keep_owner);
    archive.set_overwrite(true);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        // Devices on the host are not a container's to make.
        if kind.is_character_special() || kind.is_block_special() {
            continue;
        }
        if !entry.unpack_in(dir)? {
            return Err(io::Error::other("a path in the archive leads out of the target"));
        }
    }
    io::copy(tar, &mut io::sink()).map(drop)
}

fn into(engine: &Engine, source: &str, name: &str, path: &str, args: &Args) -> Result<(), Failure> {
    let path = non_empty(path)?;
    let meta = if args.follow_link || source.ends_with('/') || source.ends_with("/.") {
        fs::metadata(source)
    } else {
        fs::symlink_metadata(source)
    };
    let meta = meta.map_err(|e| Failure::new(format!("cannot read `{source}`: {e}")))?;
    let absolute = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let exists = engine.path_stat(name, &absolute)?.map(|s| s.is_dir);
    let (dir, as_name) = arrange(source, meta.is_dir(), &absolute, exists)?;
    let dir = dir.to_string_lossy().into_owned();
    engine.copy_in(name, &dir, args.archive, &mut |tar| {
        pack(tar, Path::new(source), &as_name, &meta, args.follow_link)
    })?;
    Ok(())
}

fn pack(out: &mut dyn Write, source: &Path, name: &str, meta: &fs::Metadata, follow: bool) -> io::Result<()> {
    let mut builder = tar::Builder::new(out);
    builder.follow_symlinks(false);
    let source = if follow { fs::canonicalize(source)? } else { source.to_owned() };
    if meta.is_dir() {
        // With an empty name the content goes to the top.
        builder.append_dir_all(if name.is_empty() { "." } else { name }, &source)?;
    } else if meta.nlink() > 0 {
        builder.append_path_with_name(&source, name)?;
    }
    builder.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_follow_dockers_rules() {
        let case = |s: &str, dir: bool, t: &str, e: Option<bool>| {
            arrange(s, dir, t, e).map(|(d, n)| format!("{} {n}", d.display())).unwrap_or_else(|_| "error".into())
        };
        assert_eq!(case("/a/f", false, "new", None), ". new");
        assert_eq!(case("/a/f", false, "/t/new", None), "/t new");
        assert_eq!(case("/a/f", false, "/t/new/", None), "error");
        assert_eq!(case("/a/f", false, "/t", Some(true)), "/t f");
        assert_eq!(case("/a/f", false, "/t/old", Some(false)), "/t old");
        assert_eq!(case("/a/d", true, "/t/old", Some(false)), "error");
        assert_eq!(case("/a/d", true, "/t", Some(true)), "/t d");
        assert_eq!(case("/a/d/.", true, "/t", Some(true)), "/t ");
        assert_eq!(case("/a/d", true, "/t/new", None), "/t new");
    }

    #[test]
    fn containers_and_paths_are_told_apart() {
        assert!(matches!(place("web:/etc"), Place::Container("web", "/etc")));
        assert!(matches!(place("./a:b"), Place::Local(_)));
        assert!(matches!(place("/a:b"), Place::Local(_)));
        assert!(matches!(place("plain"), Place::Local(_)));
        assert!(matches!(place("-"), Place::Stream));
    }
}
