//! Which licence names are identifiers of the SPDX License List. SBOM schemas accept only those as identifiers.

/// The identifiers that nearly all packages use. Others are written as names, which every schema allows.
const KNOWN: &[&str] = &[
    "0BSD",
    "AFL-2.1",
    "AFL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-1.0",
    "Artistic-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "CDDL-1.1",
    "CPL-1.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.2",
    "GFDL-1.3-or-later",
    "GPL-1.0-only",
    "GPL-1.0-or-later",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "HPND",
    "ICU",
    "IJG",
    "ISC",
    "LGPL-2.0-only",
    "LGPL-2.0-or-later",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "Libpng",
    "MIT",
    "MIT-0",
    "MPL-1.1",
    "MPL-2.0",
    "MS-PL",
    "NCSA",
    "OFL-1.1",
    "OLDAP-2.8",
    "OpenSSL",
    "PHP-3.01",
    "PSF-2.0",
    "PostgreSQL",
    "Python-2.0",
    "Ruby",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "UPL-1.0",
    "Vim",
    "W3C",
    "WTFPL",
    "X11",
    "ZPL-2.1",
    "Zlib",
    "blessing",
    "bzip2-1.0.6",
    "curl",
];

/// Whether the name is an identifier.
pub fn is_identifier(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Whether the text is an expression of known identifiers only.
pub fn is_expression(text: &str) -> bool {
    let mut expect_operand = true;
    let mut words = 0;
    for word in text.split_whitespace() {
        let plain = word.trim_matches(['(', ')']);
        words += 1;
        if expect_operand != is_identifier(plain) || (!expect_operand && !matches!(plain, "AND" | "OR")) {
            return false;
        }
        expect_operand = !expect_operand;
    }
    words > 0 && !expect_operand && text.matches('(').count() == text.matches(')').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for (text, yes) in [
            ("MIT", true),
            ("MIT OR Apache-2.0", true),
            ("(MIT OR Apache-2.0) AND Zlib", true),
            ("MIT Apache-2.0", false),
            ("GPL-2+", false),
            ("MIT AND", false),
            ("", false),
        ] {
            assert_eq!(is_expression(text), yes, "{text}");
        }
        assert!(KNOWN.windows(2).all(|w| w[0] != w[1]));
    }
}
