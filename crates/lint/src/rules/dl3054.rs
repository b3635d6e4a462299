//! `label-not-spdx`

use super::{Rule, Severity, labels};
use crate::options::LabelType;

pub(super) static RULE: Rule = Rule {
    id: "label-not-spdx",
    refs: &["DL3054"],
    severity: Severity::Warning,
    default: true,
    finds: "A label that must be an SPDX licence expression and cannot be one.",
    why: "Tools that read labels expect one.",
    instead: "Write an identifier of the SPDX list, such as Apache-2.0.",
    bad: &["FROM a:1\nLABEL licence=\"my own\"\n", "FROM a:1\nLABEL licence=\"(MIT\"\n"],
    good: &["FROM a:1\nLABEL licence=MIT\n", "FROM a:1\nLABEL licence=\"Apache-2.0 OR (MIT AND BSD-3-Clause)\"\n"],
    test: |file, out| labels::of_type(file, out, LabelType::Spdx, "no SPDX expression", |text| {
        // hadolint takes identifiers of the list, and no expressions.
        if file.options.as_hadolint { KNOWN.split(' ').any(|id| id == text) } else { is_expression(text) }
    }),
};

/// The grammar of expressions (SPDX 2.3, annex D): identifiers joined by AND, OR, WITH, with parentheses.
fn is_expression(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let (mut depth, mut wants_identifier) = (0i32, true);
    for word in spaced.split_whitespace() {
        match word {
            "(" if wants_identifier => depth += 1,
            ")" if !wants_identifier && depth > 0 => depth -= 1,
            "AND" | "OR" | "WITH" if !wants_identifier => wants_identifier = true,
            w if wants_identifier && w.chars().all(|c| c.is_ascii_alphanumeric() || "-.+:".contains(c)) && !["AND", "OR", "WITH"].contains(&w) => wants_identifier = false,
            _ => return false,
        }
    }
    depth == 0 && !wants_identifier
}

/// Identifiers that nearly all images use (SPDX License List).
const KNOWN: &str = "\
    0BSD AFL-2.1 AFL-3.0 AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-1.0 Artistic-2.0 \
    BSD-1-Clause BSD-2-Clause BSD-3-Clause BSD-4-Clause BSL-1.0 BlueOak-1.0.0 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 \
    CC-BY-SA-4.0 CC0-1.0 CDDL-1.0 CDDL-1.1 CPL-1.0 EPL-1.0 EPL-2.0 EUPL-1.2 GFDL-1.3-or-later GPL-1.0 GPL-1.0-only \
    GPL-1.0-or-later GPL-2.0 GPL-2.0-only GPL-2.0-or-later GPL-3.0 GPL-3.0-only GPL-3.0-or-later HPND ICU IJG ISC \
    LGPL-2.0 LGPL-2.0-only LGPL-2.0-or-later LGPL-2.1 LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0 LGPL-3.0-only \
    LGPL-3.0-or-later Libpng MIT MIT-0 MPL-1.1 MPL-2.0 MS-PL NCSA OFL-1.1 OLDAP-2.8 OpenSSL PHP-3.01 PSF-2.0 \
    PostgreSQL Python-2.0 Ruby UPL-1.0 Unicode-3.0 Unicode-DFS-2016 Unlicense Vim W3C WTFPL X11 ZPL-2.1 Zlib blessing \
    bzip2-1.0.6 curl";
