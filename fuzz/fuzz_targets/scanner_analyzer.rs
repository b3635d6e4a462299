//! Any bytes as any file that an analyser of packages wants; the first byte chooses which.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_inventory::{Limits, Options, scan_bytes};

const NAMES: [&str; 64] = [
    "etc/os-release", "etc/debian_version", "var/lib/dpkg/status", "var/lib/dpkg/info/a.list",
    "usr/share/doc/a/copyright", "lib/apk/db/installed", "var/lib/rpm/Packages", "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages.db", "var/lib/rpmmanifest/container-manifest-2", "var/lib/pacman/local/a/desc",
    "var/lib/pacman/local/a/files", "usr/lib/opkg/status", "a.dist-info/METADATA", "conda-meta/a.json", "poetry.lock",
    "Pipfile.lock", "requirements.txt", "node_modules/a/package.json", "package-lock.json", "yarn.lock",
    "pnpm-lock.yaml", "bun.lock", "go.mod", "Cargo.lock", "a.jar", "gradle.lockfile", "build.sbt.lock", "pom.xml",
    "specifications/a.gemspec", "Gemfile.lock", "composer/installed.json", "composer.lock", "a.deps.json",
    "packages.lock.json", "packages.config", "pubspec.lock", "mix.lock", "rebar.lock", "Package.resolved",
    "Podfile.lock", "renv.lock", "library/a/DESCRIPTION", "Manifest.toml", "cabal.project.freeze", "stack.yaml.lock",
    ".meta/a/install.json", "cpanfile.snapshot", "conan.lock", "a/release", "go/VERSION", "wp-includes/version.php",
    "opt/bitnami/a/.spdx-a.spdx", "var/lib/chisel/manifest.wall", "program", "uv.lock", "pdm.lock", "libx.so",
    "var/lib/dpkg/status.d/a", "a.egg-info/PKG-INFO", "a.war", "bin/node", "bin/busybox", "bin/python3.11",
];

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let name = NAMES[usize::from(*first) % NAMES.len()];
    let limits = Limits { inflated_bytes: 4 << 20, ..Limits::default() };
    let options = Options { limits, secrets: true, checks: true, ..Options::default() };
    let _ = scan_bytes(name, rest, &options);
});
