//! What a slim image leaves out, as rules for this program and for the image's own dpkg.

/// Directories whose content is left out.
const EXCLUDED: &[&str] = &[
    "/usr/share/doc/",
    "/usr/share/groff/",
    "/usr/share/info/",
    "/usr/share/linda/",
    "/usr/share/lintian/",
    "/usr/share/locale/",
    "/usr/share/man/",
];

/// Files that stay although they are in an excluded directory: licences, and the table of locale names.
fn is_kept(path: &str) -> bool {
    (path.starts_with("/usr/share/doc/") && path.ends_with("/copyright")) || path == "/usr/share/locale/locale.alias"
}

/// Whether a slim image leaves `path` (as in dpkg's lists) out.
pub fn is_excluded(path: &str) -> bool {
    EXCLUDED.iter().any(|dir| path.starts_with(dir)) && !is_kept(path)
}

/// The same rules for dpkg(1), so that packages installed later follow them.
pub fn dpkg_rules() -> String {
    let mut out = String::from(
        "# A slim image: no documentation, manual pages or translations. Remove this file to get them with\n\
         # every package that is installed from then on.\n",
    );
    for dir in EXCLUDED {
        out.push_str(&format!("path-exclude {dir}*\n"));
    }
    out.push_str("path-include /usr/share/doc/*/copyright\npath-include /usr/share/locale/locale.alias\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_stay() {
        assert!(is_excluded("/usr/share/doc/bash/changelog.gz"));
        assert!(is_excluded("/usr/share/man/man1"));
        assert!(!is_excluded("/usr/share/doc/bash/copyright"));
        assert!(!is_excluded("/usr/share/man"));
        assert!(!is_excluded("/usr/bin/man"));
        assert!(dpkg_rules().contains("path-exclude /usr/share/man/*\n"));
    }
}
