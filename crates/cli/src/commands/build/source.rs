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
    refuse_remote(path)?;
    request.dockerfile = match file {
        None => DockerfileSource::Default,
        Some("-") => DockerfileSource::Bytes(read_stdin()?),
        Some(file) => DockerfileSource::Path(PathBuf::from(file)),
    };
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
    request.context = BuildContext::Tar(archive);
    Ok(Some(staging))
}

/// For `--check`: the Dockerfile's bytes and name.
pub fn dockerfile_only(path: &str, file: Option<&str>) -> Result<(Vec<u8>, String), Failure> {
    refuse_remote(path)?;
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

fn refuse_remote(path: &str) -> Result<(), Failure> {
    let remote = ["http://", "https://", "git://", "ssh://", "git@", "github.com/"].iter().any(|p| path.starts_with(p));
    if remote && !Path::new(path).exists() {
        return Err(Failure::usage(format!("`{path}`: a context from the network is not supported"))
            .hint("clone or download it first, and give the directory"));
    }
    Ok(())
}

/// A tar archive, plain or compressed, by its first bytes.
fn is_archive(start: &[u8]) -> bool {
    let compressed: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xFD7zXZ\0", b"\x28\xB5\x2F\xFD"];
    compressed.iter().any(|magic| start.starts_with(magic)) || start.get(257..262) == Some(b"ustar")
}
