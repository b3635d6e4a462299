//! Lists of `NAME=value` from arguments and files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::Failure;

/// `-e` and `--env-file`, docker's order: files first, then arguments. `NAME` alone takes the caller's value, and
/// nothing when the caller has none.
pub fn environment(files: &[String], pairs: &[String]) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    for file in files {
        for line in lines(Path::new(file))? {
            out.extend(resolve(&line, "--env-file")?);
        }
    }
    for pair in pairs {
        out.extend(resolve(pair, "-e")?);
    }
    Ok(out)
}

fn resolve(pair: &str, option: &str) -> Result<Option<String>, Failure> {
    match pair.split_once('=') {
        Some(("", _)) => Err(Failure::usage(format!("`{pair}` of {option} has no name before the `=`"))),
        Some(_) => Ok(Some(pair.to_owned())),
        None if pair.is_empty() => Err(Failure::usage(format!("{option} was given an empty name"))),
        None => Ok(std::env::var(pair).ok().map(|value| format!("{pair}={value}"))),
    }
}

/// `-l` and `--label-file`: a label without `=` has an empty value.
pub fn labels(files: &[String], pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = Vec::new();
    for file in files {
        all.extend(lines(Path::new(file))?);
    }
    all.extend_from_slice(pairs);
    all.iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name.is_empty() {
                return Err(Failure::usage(format!("the label `{pair}` has no name")));
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Lines that are neither empty nor comments, without leading white space (docker's rule; no quotes).
fn lines(path: &Path) -> Result<Vec<String>, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("cannot read `{}`: {e}", path.display())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_first_and_comments_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        std::fs::write(&path, "# comment\n\n  A=1 2\nB=\"x\"\n").unwrap();
        let file = path.to_string_lossy().into_owned();
        let env = environment(&[file], &["C=3".into(), "STOCKADE_SURELY_UNSET".into()]).unwrap();
        assert_eq!(env, ["A=1 2", "B=\"x\"", "C=3"]);
        assert!(environment(&[], &["=x".into()]).is_err());
        assert!(environment(&["/nowhere".into()], &[]).is_err());
    }

    #[test]
    fn labels_may_lack_a_value() {
        let labels = labels(&[], &["a".into(), "b=c=d".into()]).unwrap();
        assert_eq!(labels.get("a").map(String::as_str), Some(""));
        assert_eq!(labels.get("b").map(String::as_str), Some("c=d"));
    }
}
