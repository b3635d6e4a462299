//! Which variables an instruction sees.

use std::collections::BTreeMap;

/// Arguments that need no `ARG`: steps see them when given, but neither the image nor the cache does.
pub(crate) const PROXY_ARGS: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Values visible before the first `FROM`, and to `ARG NAME` in stages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globals {
    values: BTreeMap<String, String>,
}

/// Go's name for this machine's architecture, and its variant.
pub(crate) fn machine() -> (&'static str, &'static str) {
    match std::env::consts::ARCH {
        "x86_64" => ("amd64", ""),
        "aarch64" => ("arm64", ""),
        "arm" => ("arm", "v7"),
        "x86" => ("386", ""),
        "powerpc64" => ("ppc64le", ""),
        other => (other, ""),
    }
}

/// `linux/amd64` and the like.
pub(crate) fn machine_platform() -> String {
    format!("linux/{}", machine().0)
}

impl Globals {
    /// The platform arguments of this machine.
    pub(crate) fn new(target_stage: &str) -> Globals {
        let (arch, variant) = machine();
        let platform = machine_platform();
        let mut values = BTreeMap::new();
        for prefix in ["TARGET", "BUILD"] {
            values.insert(format!("{prefix}PLATFORM"), platform.clone());
            values.insert(format!("{prefix}OS"), "linux".to_owned());
            values.insert(format!("{prefix}ARCH"), arch.to_owned());
            values.insert(format!("{prefix}VARIANT"), variant.to_owned());
        }
        values.insert("TARGETSTAGE".to_owned(), target_stage.to_owned());
        Globals { values }
    }

    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), value);
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }
}

/// `NAME=value` pairs in order, as an image's `Env` keeps them.
pub(crate) fn env_get<'e>(env: &'e [String], name: &str) -> Option<&'e str> {
    env.iter().rev().find_map(|pair| pair.split_once('=').filter(|(k, _)| *k == name).map(|(_, v)| v))
}

/// Sets a variable, in its old place if it had one.
pub(crate) fn env_set(env: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    match env.iter_mut().find(|p| p.split_once('=').is_some_and(|(k, _)| k == name)) {
        Some(old) => *old = pair,
        None => env.push(pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_their_place() {
        let mut env = vec!["A=1".to_owned(), "B=2".to_owned()];
        env_set(&mut env, "A", "3");
        env_set(&mut env, "C", "");
        assert_eq!(env, ["A=3", "B=2", "C="]);
        assert_eq!(env_get(&env, "C"), Some(""));
        assert_eq!(env_get(&env, "D"), None);
    }
}
