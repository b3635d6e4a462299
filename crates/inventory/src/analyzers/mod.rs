//! One analyser a file, and the one table of all.

use std::sync::OnceLock;

use crate::analyzer::{Analyzer, Matcher};

mod dpkg;
mod dpkg_files;
mod dpkg_licenses;
pub(crate) mod os_release;

/// Every analyser. The order is of no importance.
static TABLE: &[&dyn Analyzer] =
    &[&os_release::OsRelease, &dpkg::Dpkg, &dpkg_files::DpkgFiles, &dpkg_licenses::DpkgLicenses];

/// The table, prepared for look-ups.
pub fn matcher() -> &'static Matcher {
    static MATCHER: OnceLock<Matcher> = OnceLock::new();
    MATCHER.get_or_init(|| Matcher::new(TABLE))
}
