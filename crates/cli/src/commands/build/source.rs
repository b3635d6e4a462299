//! The PATH argument, `-f`, and standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use stockade_build::{BuildContext, BuildRequest, DockerfileSource};
use stockade_image::{Staging, Store};

use crate::failure::Failure;

/// Longest Dockerfile from standard input, in bytes.
const MAX_DOCKERFILE: u64 = 64 << 20;

/// Fills in context and Dockerfile. The returned directory holds an archive from standard input.
pub fn read(
    path: &str,
    file: Option<&str>,
    store: &Store,
    request: &mut BuildRequest,
) -> Result<Option<Staging>, Failure> {
    if path == "-" && file == Some("-") {
        return Err(Failure::usage("context and Dockerfile cannot both come from standard input"));
    }
    request.dockerfile = match file {
        None => DockerfileSource::Default,
        Some("-") => DockerfileSource::Bytes(read_stdin()?),
        Some(file) => DockerfileSource::Path(PathBuf::from(file)),
    };
    if is_git(path) && !Path::new(path).exists() {
        request.context = BuildContext::Git(path.to_owned());
        return Ok(None);
    }
    if let Some(archive) = is_remote(path).then(|| download(path, store)).transpose()? {
        return from_file(archive, path, file, request);
    }
    if path != "-" {
        request.context = BuildContext::Dir(PathBuf::from(path));
        return Ok(None);
    }
    let mut stdin = std::io::stdin().lock();
    let mut start = Vec::new();
    stdin.by_ref().take(512).read_to_end(&mut start)?;
    if !is_archive(&start) {
        let mut bytes = start;
        stdin.take(MAX_DOCKERFILE).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Err(Failure::usage("standard input is empty").hint("`stockade build - < Dockerfile`"));
        }
        request.context = BuildContext::Empty;
        if file.is_none() {
            request.dockerfile = DockerfileSource::Bytes(bytes);
        }
        return Ok(None);
    }
    let staging = store.staging_dir()?;
    let archive = staging.path().join("context.tar");
    let mut out = std::fs::File::create(&archive)?;
    std::io::copy(&mut start.as_slice().chain(stdin), &mut out)?;
    request.context = BuildContext::Tar { file: archive, name: "standard input".to_owned() };
    Ok(Some(staging))
}

/// A context from the web: a tar archive, or a Dockerfile and nothing else.
fn from_file(archive: Staging, url: &str, file: Option<&str>, request: &mut BuildRequest) -> Result<Option<Staging>, Failure> {
    let path = archive.path().join("context.tar");
    let mut start = Vec::new();
    std::fs::File::open(&path)?.take(512).read_to_end(&mut start)?;
    if is_archive(&start) {
        request.context = BuildContext::Tar { file: path, name: format!("`{url}`") };
        return Ok(Some(archive));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(&path)?.take(MAX_DOCKERFILE).read_to_end(&mut bytes)?;
    request.context = BuildContext::Empty;
    if file.is_none() {
        request.dockerfile = DockerfileSource::Bytes(bytes);
    }
    Ok(None)
}

fn download(url: &str, store: &Store) -> Result<Staging, Failure> {
    let staging = store.staging_dir()?;
    stockade_build::download(url, &staging.path().join("context.tar"))?;
    Ok(staging)
}

/// Whether the words name a Git repository, by docker's rules.
pub fn is_git(text: &str) -> bool {
    stockade_build::is_git(text)
}

fn is_remote(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}

/// For `--check`: the Dockerfile's bytes and name.
pub fn dockerfile_only(path: &str, file: Option<&str>) -> Result<(Vec<u8>, String), Failure> {
    if is_git(path) || is_remote(path) {
        return Err(Failure::usage(format!("`{path}`: --check reads local files"))
            .hint("download the Dockerfile first, or give it on standard input: `--check -`"));
    }
    if path == "-" || file == Some("-") {
        return Ok((read_stdin()?, "Dockerfile".to_owned()));
    }
    let path = Path::new(path);
    let (real, name) = match file {
        None if path.is_file() => (path.to_owned(), path.display().to_string()),
        None => (path.join("Dockerfile"), "Dockerfile".to_owned()),
        Some(file) if Path::new(file).exists() => (PathBuf::from(file), file.to_owned()),
        Some(file) => (path.join(file), file.to_owned()),
    };
    std::fs::read(&real).map(|bytes| (bytes, name)).map_err(|e| {
        Failure::new(format!("cannot read `{}`: {e}", real.display())).hint("name the Dockerfile with `-f FILE`")
    })
}

fn read_stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_DOCKERFILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A tar archive, plain or compressed, by its first bytes.
fn is_archive(start: &[u8]) -> bool {
    let compressed: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xFD7zXZ\0", b"\x28\xB5\x2F\xFD"];
    compressed.iter().any(|magic| start.starts_with(magic)) || start.get(257..262) == Some(b"ustar")
}
