//! Which files may be binaries worth opening, judged by name alone.

/// Endings of files that are never programs. Only saves time: they are plentiful in source trees.
const DATA_ENDINGS: &[&[u8]] = &[
    b"a",
    b"adoc",
    b"al",
    b"am",
    b"asc",
    b"bash",
    b"bat",
    b"bz2",
    b"c",
    b"cc",
    b"cfg",
    b"cjs",
    b"class",
    b"cmake",
    b"cmd",
    b"cnf",
    b"coffee",
    b"conf",
    b"cpp",
    b"crt",
    b"cs",
    b"css",
    b"csv",
    b"cts",
    b"cxx",
    b"deb",
    b"def",
    b"desc",
    b"diff",
    b"dll",
    b"eot",
    b"erb",
    b"erl",
    b"ex",
    b"f90",
    b"flow",
    b"gem",
    b"gemspec",
    b"gif",
    b"go",
    b"gz",
    b"h",
    b"hbs",
    b"hh",
    b"hpp",
    b"hrl",
    b"hs",
    b"html",
    b"htm",
    b"i",
    b"ico",
    b"in",
    b"inc",
    b"inf",
    b"ini",
    b"ipynb",
    b"ix",
    b"jar",
    b"java",
    b"jl",
    b"jpeg",
    b"jpg",
    b"js",
    b"json",
    b"jsx",
    b"key",
    b"kt",
    b"la",
    b"less",
    b"lock",
    b"log",
    b"lst",
    b"lua",
    b"m4",
    b"map",
    b"markdown",
    b"md",
    b"md5sums",
    b"mjs",
    b"mo",
    b"mod",
    b"mts",
    b"o",
    b"otf",
    b"packlist",
    b"patch",
    b"pc",
    b"pdf",
    b"pem",
    b"php",
    b"phpt",
    b"pl",
    b"plist",
    b"pm",
    b"png",
    b"po",
    b"pod",
    b"properties",
    b"proto",
    b"ps1",
    b"pxd",
    b"py",
    b"pyc",
    b"pyi",
    b"pyx",
    b"r",
    b"rb",
    b"rbs",
    b"rd",
    b"rds",
    b"ri",
    b"rs",
    b"rst",
    b"s",
    b"sample",
    b"scss",
    b"service",
    b"sh",
    b"shlibs",
    b"snap",
    b"sql",
    b"sum",
    b"svg",
    b"swift",
    b"symbols",
    b"t",
    b"tar",
    b"tcl",
    b"tex",
    b"tgz",
    b"tiff",
    b"toml",
    b"triggers",
    b"ts",
    b"tsv",
    b"tsx",
    b"ttf",
    b"txt",
    b"vue",
    b"wasm",
    b"wav",
    b"webp",
    b"whl",
    b"woff",
    b"woff2",
    b"xml",
    b"xsd",
    b"xsl",
    b"xz",
    b"yaml",
    b"yml",
    b"zip",
    b"zst",
    b"postinst",
    b"preinst",
    b"prerm",
    b"postrm",
    b"list",
    b"conffiles",
    b"templates",
    b"d",
];

/// Whole names of files that are never programs.
const DATA_NAMES: &[&[u8]] = &[
    b"LICENSE",
    b"LICENCE",
    b"COPYING",
    b"README",
    b"NOTICE",
    b"CHANGELOG",
    b"AUTHORS",
    b"Makefile",
    b"METADATA",
    b"RECORD",
    b"WHEEL",
    b"INSTALLER",
    b"REQUESTED",
    b"copyright",
    b"changelog",
    b"CHANGES",
    b"CONTRIBUTORS",
    b"HISTORY",
    b"PATENTS",
    b"Dockerfile",
    b"Gemfile",
    b"Rakefile",
    b"MIT-LICENSE",
];

/// Directory trees without programs.
const DATA_TREES: &[&[u8]] = &[
    b"usr/share/doc/",
    b"usr/share/man/",
    b"usr/share/zoneinfo/",
    b"usr/share/locale/",
    b"usr/share/i18n/",
    b"var/lib/dpkg/",
];

/// Whether a regular file may be a program or shared library. `name` is the last component of `path`.
pub fn may_be_binary(path: &[u8], name: &[u8]) -> bool {
    match name.iter().rposition(|b| *b == b'.') {
        Some(0) => return false,
        Some(dot) => {
            let ending = name.get(dot + 1..).unwrap_or_default();
            if table().contains(&crate::pathhash::path(ending)) {
                return false;
            }
        }
        None if DATA_NAMES.contains(&name) => return false,
        None => {}
    }
    !DATA_TREES.iter().any(|tree| path.starts_with(tree)) && !within_git(path)
}

/// Whether the name is one of a shared library: `libx.so`, `libx.so.1.2`, `x.cpython-311-x86_64-linux-gnu.so`.
pub fn is_shared_object(name: &[u8]) -> bool {
    name.ends_with(b".so") || name.windows(4).any(|w| w == b".so.")
}

fn within_git(path: &[u8]) -> bool {
    path.starts_with(b".git/") || path.windows(6).any(|w| w == b"/.git/")
}

fn table() -> &'static crate::pathhash::HashSet64 {
    static TABLE: std::sync::OnceLock<crate::pathhash::HashSet64> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| DATA_ENDINGS.iter().map(|ending| crate::pathhash::path(ending)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_libraries_stay() {
        for (path, yes) in [
            ("usr/bin/node", true),
            ("usr/bin/python3.11", true),
            ("usr/bin/perl5.36.0", true),
            ("usr/lib/libssl.so.3", true),
            ("usr/lib/x.cpython-311-x86_64-linux-gnu.so", true),
            ("app/index.js", false),
            ("usr/share/man/man1/ls.1", false),
            ("app/.eslintrc", false),
            ("app/LICENSE", false),
            ("app/.git/objects/aa/bbbb", false),
            ("usr/local/bin/app.bin", true),
        ] {
            let name = path.rsplit('/').next().unwrap();
            assert_eq!(may_be_binary(path.as_bytes(), name.as_bytes()), yes, "{path}");
        }
    }
}
