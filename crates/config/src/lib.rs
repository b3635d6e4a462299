//! `stockade.toml`, environment and directories, resolved once.
//!
//! A project's `[gate]` can only make the gate stricter: its file comes with the code that the gate is for.
//!
//! One rule for all settings: an argument wins over the environment, the environment over the project's
//! `stockade.toml`, that over the user's, that over the system's, and all over the built-in default.
//! Libraries get a [`Settings`] and never read the environment themselves.
#![forbid(unsafe_code)]

mod dirs;
mod file;
mod gate;
mod nearest;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use dirs::Dirs;
pub use file::{ConfigError, GateException, GateMode, Registry, UnknownMode, VerifyMode};
pub use gate::GateSettings;
pub use nearest::nearest;

/// Everything that is set, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where state lives.
    pub dirs: Dirs,
    /// `[base]`: image name as a Dockerfile writes it → name to use instead.
    pub base: BTreeMap<String, String>,
    /// `[mirror]`: package archives.
    pub mirror: Mirrors,
    /// `[[registry]]`, in the order in which short names are tried.
    pub registries: Vec<Registry>,
    /// `[gate]`: what an image may not have when it is run.
    pub gate: GateSettings,
    /// `[network]`.
    pub network: NetworkSettings,
    /// `[db]`.
    pub db: DbSettings,
    /// `[image] verify`: how layers are verified before a container starts from them. A project can only ask for more.
    pub verify: VerifyMode,
    /// The files that were read, weakest first.
    pub sources: Vec<PathBuf>,
    /// What a person should know about them: settings of a project that were not taken.
    pub remarks: Vec<String>,
    /// The machine's or the person's own files set `[gate]`.
    gate_is_set: bool,
}

/// Whose file it is. A project's file comes with code that somebody else wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The machine's, the person's, or one named on the command line.
    Owner,
    /// Of the working directory or a build's context.
    Project,
}

/// Package archives to make base images from; `None` lets the host's apt sources decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Debian's main archive, as a URL without `/dists`.
    pub debian: Option<String>,
    /// Debian's security archive.
    pub debian_security: Option<String>,
    /// Ubuntu's archive.
    pub ubuntu: Option<String>,
    /// An OpenPGP keyring file that replaces the known ones.
    pub keyring: Option<PathBuf>,
}

/// `[network]`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Name of the bridge interface.
    pub bridge: String,
    /// IPv4 subnet in CIDR form; `None` chooses one that the host does not use.
    pub subnet: Option<String>,
    /// Name servers for containers; empty takes the host's.
    pub dns: Vec<String>,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        NetworkSettings { bridge: "stockade0".to_owned(), subnet: None, dns: Vec::new() }
    }
}

/// `[db]`, resolved. A project's file cannot set it: whoever chooses the facts chooses the findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DbSettings {
    /// What `stockade db update` reads without `--from`: files, directories, URLs.
    pub sources: Vec<String>,
    /// File of the public keys that databases must be signed by.
    pub keys: Option<PathBuf>,
}

/// What a caller gives to [`Settings::resolve`].
#[derive(Debug, Default)]
pub struct Inputs<'a> {
    /// `--root`
    pub root: Option<&'a Path>,
    /// `--run-root`
    pub run: Option<&'a Path>,
    /// `--config`: read this file instead of the system's and the user's.
    pub config: Option<&'a Path>,
    /// Directory that may hold the project's `stockade.toml`.
    pub project: Option<&'a Path>,
    /// The environment.
    pub environment: &'a dyn Environment,
    /// Whether the process is root: decides the default directories.
    pub root_user: bool,
}

/// Read access to environment variables, so that tests need not change the process's own.
pub trait Environment: std::fmt::Debug {
    /// The value of `name`, if set and not empty.
    fn get(&self, name: &str) -> Option<String>;
}

/// The process's environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|v| !v.is_empty())
    }
}

impl Default for &dyn Environment {
    fn default() -> Self {
        &ProcessEnvironment
    }
}

/// Every environment variable that Stockade reads for its settings, with its meaning.
pub const ENVIRONMENT_VARIABLES: &[(&str, &str)] = &[
    ("STOCKADE_ROOT", "directory of images and containers"),
    ("STOCKADE_RUN", "directory of volatile state"),
    ("STOCKADE_CONFIG", "configuration file, instead of the system's and the user's"),
    ("STOCKADE_DEBIAN_MIRROR", "Debian archive for base images"),
    ("STOCKADE_DEBIAN_SECURITY_MIRROR", "Debian security archive for base images"),
    ("STOCKADE_UBUNTU_MIRROR", "Ubuntu archive for base images"),
    ("STOCKADE_KEYRING", "OpenPGP keyring that archives are verified with"),
    ("STOCKADE_BRIDGE", "name of the bridge interface"),
    ("STOCKADE_SUBNET", "IPv4 subnet of the bridge"),
    ("STOCKADE_GATE", "off, warn or deny: the gate before a run"),
];

/// Name of the configuration file in a project and in the configuration directories.
pub const FILE_NAME: &str = "stockade.toml";

impl Settings {
    /// Reads files and environment. Errors name the file, the line and the key.
    pub fn resolve(inputs: &Inputs<'_>) -> Result<Settings, ConfigError> {
        let env = inputs.environment;
        let mut settings = Settings {
            dirs: Dirs::resolve(inputs),
            base: BTreeMap::new(),
            mirror: Mirrors::default(),
            registries: Vec::new(),
            gate: GateSettings::default(),
            network: NetworkSettings::default(),
            db: DbSettings::default(),
            verify: VerifyMode::default(),
            sources: Vec::new(),
            remarks: Vec::new(),
            gate_is_set: false,
        };
        match inputs.config.map(Path::to_owned).or_else(|| env.get("STOCKADE_CONFIG").map(PathBuf::from)) {
            Some(named) => settings.read(&named, true, Whose::Owner)?,
            None => {
                settings.read(&Path::new("/etc/stockade").join(FILE_NAME), false, Whose::Owner)?;
                if let Some(dir) = dirs::user_config(env) {
                    settings.read(&dir.join("stockade").join(FILE_NAME), false, Whose::Owner)?;
                }
            }
        }
        if let Some(project) = inputs.project {
            settings.read(&project.join(FILE_NAME), false, Whose::Project)?;
        }
        settings.apply_environment(env)?;
        Ok(settings)
    }

    /// The same settings with the `stockade.toml` of another project directory on top, if it has one
    /// (a build's context, which need not be the working directory).
    pub fn with_project(&self, dir: &Path, env: &dyn Environment) -> Result<Settings, ConfigError> {
        let mut settings = self.clone();
        let path = dir.join(FILE_NAME);
        if !settings.sources.contains(&path) {
            settings.read(&path, false, Whose::Project)?;
            settings.apply_environment(env)?;
        }
        Ok(settings)
    }

    fn read(&mut self, path: &Path, must_exist: bool, whose: Whose) -> Result<(), ConfigError> {
        let Some(parsed) = file::read(path, must_exist)? else { return Ok(()) };
        self.base.extend(parsed.base);
        let m = parsed.mirror;
        overlay(&mut self.mirror.debian, m.debian);
        overlay(&mut self.mirror.debian_security, m.debian_security);
        overlay(&mut self.mirror.ubuntu, m.ubuntu);
        overlay(&mut self.mirror.keyring, m.keyring);
        if !parsed.registry.is_empty() {
            self.registries = parsed.registry;
        }
        if let Some(table) = parsed.gate {
            match whose {
                Whose::Owner => {
                    self.gate.apply(table);
                    self.gate_is_set = true;
                }
                Whose::Project => {
                    let refused = self.gate.tighten(table, self.gate_is_set);
                    self.remarks.extend(refused.into_iter().map(|what| format!("{}: {what}", path.display())));
                }
            }
        }
        if let Some(n) = parsed.network {
            replace(&mut self.network.bridge, n.bridge);
            overlay(&mut self.network.subnet, n.subnet);
            replace(&mut self.network.dns, n.dns);
        }
        if let Some(mode) = parsed.image.and_then(|image| image.verify) {
            self.verify = match whose {
                Whose::Owner => mode,
                Whose::Project => mode.max(self.verify),
            };
            if self.verify != mode {
                let why = "[image] verify was not taken: a project's file can only ask for more";
                self.remarks.push(format!("{}: {why}", path.display()));
            }
        }
        match (parsed.db, whose) {
            (Some(db), Whose::Owner) => {
                replace(&mut self.db.sources, db.sources);
                overlay(&mut self.db.keys, db.keys);
            }
            (Some(_), Whose::Project) => {
                let why = "[db] was not taken: it belongs into the machine's or the user's stockade.toml";
                self.remarks.push(format!("{}: {why}", path.display()));
            }
            (None, _) => {}
        }
        self.sources.push(path.to_owned());
        Ok(())
    }

    fn apply_environment(&mut self, env: &dyn Environment) -> Result<(), ConfigError> {
        // Mirrors are chosen by `base`: flag, file, environment, the host's apt sources.
        overlay(&mut self.mirror.keyring, env.get("STOCKADE_KEYRING").map(PathBuf::from));
        replace(&mut self.network.bridge, env.get("STOCKADE_BRIDGE"));
        overlay(&mut self.network.subnet, env.get("STOCKADE_SUBNET"));
        if let Some(text) = env.get("STOCKADE_GATE") {
            self.gate.mode = text.parse().map_err(|()| ConfigError::Environment {
                name: "STOCKADE_GATE",
                value: text,
                expected: "off, warn or deny",
            })?;
        }
        Ok(())
    }
}

fn overlay<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

fn replace<T>(old: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *old = new;
    }
}

#[cfg(test)]
mod tests;
