//! One analyser a file, and the one table of all.

use std::sync::OnceLock;

use crate::analyzer::{Analyzer, Matcher};

mod alpm;
mod apk;
mod beam;
mod bun_lock;
mod cargo_lock;
mod chisel;
mod conda;
mod dart;
mod dotnet;
mod dpkg;
mod dpkg_files;
mod dpkg_licenses;
mod embedded_sbom;
mod go_binary;
pub(crate) mod go_linked;
mod go_mod;
mod haskell;
mod java_archive;
mod java_locks;
mod known_binary;
mod known_text;
mod npm_installed;
mod npm_lock;
mod opkg;
pub(crate) mod os_release;
mod perl_conan;
mod php;
mod pnpm_lock;
mod pom;
mod python_installed;
mod python_locks;
mod requirements;
mod rpm;
mod ruby;
mod rust_binary;
mod rust_strings;
mod science;
mod swift;
mod yarn_lock;

/// Every analyser. The order is of no importance.
static TABLE: &[&dyn Analyzer] = &[
    &alpm::Alpm,
    &apk::Apk,
    &beam::Beam,
    &bun_lock::BunLock,
    &cargo_lock::CargoLock,
    &chisel::Chisel,
    &conda::Conda,
    &dart::Dart,
    &dotnet::Dotnet,
    &dpkg::Dpkg,
    &dpkg_files::DpkgFiles,
    &dpkg_licenses::DpkgLicenses,
    &embedded_sbom::EmbeddedSbom,
    &go_binary::GoBinary,
    &go_mod::GoMod,
    &haskell::Haskell,
    &java_archive::JavaArchive,
    &java_locks::JavaLocks,
    &known_binary::KnownBinary,
    &known_text::KnownText,
    &npm_installed::NpmInstalled,
    &npm_lock::NpmLock,
    &opkg::Opkg,
    &os_release::OsRelease,
    &perl_conan::PerlConan,
    &php::Php,
    &pnpm_lock::PnpmLock,
    &pom::Pom,
    &python_installed::PythonInstalled,
    &python_locks::PythonLocks,
    &requirements::Requirements,
    &rpm::Rpm,
    &ruby::Ruby,
    &rust_binary::RustBinary,
    &rust_strings::RustStrings,
    &science::Science,
    &swift::Swift,
    &yarn_lock::YarnLock,
];

/// The table, prepared for look-ups.
pub fn matcher() -> &'static Matcher {
    static MATCHER: OnceLock<Matcher> = OnceLock::new();
    MATCHER.get_or_init(|| Matcher::new(TABLE))
}

/// The analyser of zip archives, for a file whose name does not tell.
pub fn archive() -> &'static dyn Analyzer {
    &java_archive::JavaArchive
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyzer::Hook;

    #[test]
    fn names_are_unique_and_directory_hooks_short() {
        let mut names: Vec<&str> = TABLE.iter().map(|a| a.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        for hook in TABLE.iter().flat_map(|a| a.hooks()) {
            if let Hook::Dir(dir) = hook {
                assert!(dir.len() <= 64, "raise LONGEST_DIR_HOOK for {dir}");
            }
        }
    }
}
