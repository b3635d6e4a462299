//! Debian's `docker-registry` as a child of a test.
#![allow(dead_code)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::World;

/// A running registry with plain HTTP; it ends when dropped.
pub struct Registry {
    pub host: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// `None`, with a word why, without the package.
    pub fn start(password: bool) -> Option<Registry> {
        let program = Path::new("/usr/bin/docker-registry");
        if !program.exists() {
            eprintln!("skipped: the package docker-registry is not installed");
            return None;
        }
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let host = format!("127.0.0.1:{port}");
            let path = |name: &str| dir.path().join(name).display().to_string();
            let mut config = format!(
                "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
                path("data")
            );
            if password {
                // bcrypt of `correct horse`.
                let line = "me:$2b$04$Nvf3BiAftPN74gvLLM8i2uUvivCgh1FCN46xOXczJKwVFdPFCp9Xy\n";
                std::fs::write(path("htpasswd"), line).unwrap();
                config.push_str(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path("htpasswd")));
            }
            std::fs::write(path("config.yml"), config).unwrap();
            let mut command = Command::new(program);
            command.arg("serve").arg(path("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
            let mut registry = Registry { host, child: command.spawn().unwrap(), _dir: dir };
            if registry.answers() {
                return Some(registry);
            }
        }
        panic!("docker-registry does not start");
    }

    /// Waits until it listens; `false` if it ended, as when another process took the port.
    fn answers(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end && self.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(&self.host).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host)
    }
}

/// Allows plain HTTP for the registry in the world's settings.
pub fn trust(world: &World, registry: &Registry, more: &str) {
    let file = world.root().parent().unwrap().join("stockade.toml");
    std::fs::write(file, format!("[[registry]]\nhost = \"{}\"\ninsecure = true\n{more}", registry.host)).unwrap();
}
