//! The build context: which files a build may see.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use stockade_dockerfile::ignore::IgnoreFile;
use stockade_image::{Digest, Staging, Store};

use crate::error::BuildError;
use crate::git::{self, Address, Checkout};
use crate::merged::Tree;
use crate::request::{BuildContext, DockerfileSource};
use crate::statcache::StatCache;

/// Largest Dockerfile or ignore file that is read, in bytes.
const MAX_TEXT: u64 = 64 << 20;

/// A directory of files with its ignore rules.
pub(crate) struct Context {
    pub(crate) dir: PathBuf,
    pub(crate) ignore: IgnoreFile,
    cache_file: Option<PathBuf>,
    cache: OnceLock<StatCache>,
    /// Keeps an unpacked archive alive.
    _unpacked: Option<Staging>,
    /// The commit of a Git context, kept on disk while this lives.
    pub(crate) checkout: Option<(Address, Checkout)>,
}

/// The Dockerfile's bytes and its name for messages.
pub(crate) struct Recipe {
    pub(crate) bytes: Vec<u8>,
    pub(crate) name: String,
    /// Its path, when it is a file.
    pub(crate) path: Option<PathBuf>,
}

impl Context {
    /// Opens what the request names.
    pub(crate) fn open(
        store: &Store,
        context: &BuildContext,
        session: &git::Session<'_>,
    ) -> Result<Context, BuildError> {
        match context {
            BuildContext::Dir(dir) => Context::directory(store, dir),
            BuildContext::Tar { file, name } => Context::archive(store, file, name),
            BuildContext::Git(text) => Context::git(store, text, session),
            BuildContext::Empty => {
                let staging = store.staging_dir()?;
                Ok(Context::new(staging.path().to_owned(), None, Some(staging)))
            }
        }
    }

    fn new(dir: PathBuf, cache_file: Option<PathBuf>, unpacked: Option<Staging>) -> Context {
        Context {
            dir,
            ignore: IgnoreFile::default(),
            cache_file,
            cache: OnceLock::new(),
            _unpacked: unpacked,
            checkout: None,
        }
    }

    /// A directory of a Git repository.
    pub(crate) fn git(store: &Store, text: &str, session: &git::Session<'_>) -> Result<Context, BuildError> {
        let refuse = |why: String| BuildError::Git { url: text.split('@').next_back().unwrap_or(text).to_owned(), why };
        let address = Address::parse(text).map_err(|trouble| match trouble {
            git::Trouble::Words(why) => refuse(why),
            git::Trouble::Cancelled => BuildError::Cancelled,
        })?;
        let checkout = git::checkout(store, &address, session)?;
        // Symlinks of the repository are followed within it.
        let wanted = address.subdirectory.clone().unwrap_or_default();
        let found = Tree::plain(checkout.dir.clone()).resolve(wanted.as_bytes(), true)?.node;
        let Some(node) = found.filter(crate::merged::Node::is_dir) else {
            return Err(refuse(format!("it has no directory `{wanted}`")));
        };
        let mut context = Context::directory(store, &node.real)?;
        context.checkout = Some((address, checkout));
        Ok(context)
    }

    /// A plain directory: the main context, or one of `--build-context`.
    pub(crate) fn directory(store: &Store, dir: &Path) -> Result<Context, BuildError> {
        let refuse = |why: &str| BuildError::Context { path: dir.to_owned(), why: why.to_owned() };
        let real = dir.canonicalize().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => refuse("there is no such directory"),
            _ => refuse(&e.to_string()),
        })?;
        if !real.is_dir() {
            return Err(refuse("it is a file; give the directory, or a tar archive on standard input (`-`)"));
        }
        let name = Digest::of(real.as_os_str().as_encoded_bytes()).hex();
        let cache = store.root().join("build/stat").join(name);
        Ok(Context::new(real, Some(cache), None))
    }

    fn archive(store: &Store, file: &Path, name: &str) -> Result<Context, BuildError> {
        let staging = store.staging_dir()?;
        let reader = crate::archive::open(file)?.ok_or_else(|| BuildError::Context {
            path: file.to_owned(),
            why: "it is neither a tar archive nor a Dockerfile".to_owned(),
        })?;
        crate::archive::unpack_plain(reader, staging.path()).map_err(|e| match e {
            BuildError::Image(e) if !e.is_no_space() => {
                BuildError::Archive { name: name.to_owned(), why: BuildError::Image(e).chain() }
            }
            e => e,
        })?;
        Ok(Context::new(staging.path().to_owned(), None, Some(staging)))
    }

    /// The files, ignore rules not applied.
    pub(crate) fn tree(&self) -> Tree {
        Tree::plain(self.dir.clone())
    }

    /// Digests of files hashed before.
    pub(crate) fn stat_cache(&self) -> &StatCache {
        self.cache.get_or_init(|| self.cache_file.as_deref().map_or_else(StatCache::none, StatCache::load))
    }

    /// Writes the stat cache, if it was used.
    pub(crate) fn save(&self) {
        if let Some(cache) = self.cache.get() {
            cache.save();
        }
    }

    /// Where a file of the context is. What others made (an archive, a repository) may have links as its Dockerfile:
    /// they are followed within it, and never to files of this machine.
    fn inside(&self, path: &Path) -> Result<PathBuf, BuildError> {
        use std::os::unix::ffi::OsStrExt;
        if self._unpacked.is_none() && self.checkout.is_none() {
            return Ok(self.dir.join(path));
        }
        let root = self.checkout.as_ref().map_or(&self.dir, |(_, checkout)| &checkout.dir);
        let below = self.dir.strip_prefix(root).unwrap_or(Path::new("")).join(path);
        let resolved = Tree::plain(root.clone()).resolve(below.as_os_str().as_bytes(), true)?;
        Ok(root.join(crate::merged::join(&resolved.parts)))
    }

    /// Reads the Dockerfile.
    pub(crate) fn recipe(&self, source: &DockerfileSource) -> Result<Recipe, BuildError> {
        let (path, name) = match source {
            DockerfileSource::Bytes(bytes) => {
                return Ok(Recipe { bytes: bytes.clone(), name: "Dockerfile".to_owned(), path: None });
            }
            DockerfileSource::Default => (self.inside(Path::new("Dockerfile"))?, "Dockerfile".to_owned()),
            DockerfileSource::Path(path) => {
                let inside = self.inside(path)?;
                let own = self.checkout.is_none() && path.exists();
                let found = if own || !inside.exists() { path.clone() } else { inside };
                (found, path.display().to_string())
            }
        };
        match read_limited(&path)? {
            Some(bytes) => Ok(Recipe { bytes, name, path: Some(path) }),
            None => Err(BuildError::NoDockerfile(path)),
        }
    }

    /// Reads `NAME.dockerignore` beside the Dockerfile, or `.dockerignore` in the context.
    pub(crate) fn read_ignore(&mut self, recipe: &Recipe) -> Result<(), BuildError> {
        let beside = recipe.path.as_ref().map(|path| {
            let mut name = path.clone().into_os_string();
            name.push(".dockerignore");
            let name = PathBuf::from(name);
            match name.strip_prefix(&self.dir) {
                Ok(below) => self.inside(below),
                Err(_) => Ok(name),
            }
        });
        for path in beside.into_iter().chain(std::iter::once(self.inside(Path::new(".dockerignore")))) {
            let path = path?;
            let Some(bytes) = read_limited(&path)? else { continue };
            self.ignore = IgnoreFile::parse(&bytes).map_err(|source| BuildError::Ignore { path, source })?;
            return Ok(());
        }
        Ok(())
    }
}

/// A file's bytes; `None` when there is none.
fn read_limited(path: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    use std::io::Read;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(BuildError::io("open", path)(e)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(BuildError::io("read", path))?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(BuildError::Usage(format!("`{}` is longer than {} MiB", path.display(), MAX_TEXT >> 20)));
    }
    Ok(Some(bytes))
}
