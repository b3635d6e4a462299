//! Flags whose values are lists of fields: `type=local,dest=DIR` and the like.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use stockade_build::{Attest, CacheFrom, CacheMode, CacheTo, NamedContext, Output, Provenance, Secret, SecretSource};
use stockade_image::Reference;

use crate::failure::Failure;

/// `KEY=VALUE`
pub fn pair(flag: &str, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("`{flag} {text}`: expected KEY=VALUE"))),
    }
}

/// A list of `KEY=VALUE`, where docker takes one without a value as an empty one.
pub fn pairs(flag: &str, list: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    list.iter()
        .map(|text| match text.split_once('=') {
            None if !text.is_empty() => Ok((text.clone(), String::new())),
            _ => pair(flag, text),
        })
        .collect()
}

/// The fields of one value, each of which must be among `known`.
fn fields(flag: &str, text: &str, known: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
    let mut out = BTreeMap::new();
    for field in text.split(',') {
        let (key, value) = pair(flag, field)?;
        if !known.contains(&key.as_str()) {
            return Err(Failure::usage(format!("`{flag} {text}`: `{key}` is not supported"))
                .hint(format!("{} are", known.join(", "))));
        }
        out.insert(key, value);
    }
    Ok(out)
}

/// `--secret`
pub fn secret(text: &str) -> Result<(String, Secret), Failure> {
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = pair("--secret", field)?;
        match key.as_str() {
            "id" => id = Some(value),
            "src" | "source" => file = Some(value),
            "env" => variable = Some(value),
            "type" if matches!(value.as_str(), "file" | "env") => kind = Some(value),
            _ => {
                return Err(Failure::usage(format!("`--secret {text}`: `{field}` is not understood"))
                    .hint("write `id=ID,src=FILE` or `id=ID,env=NAME`"));
            }
        }
    }
    let Some(id) = id.or_else(|| variable.clone()) else {
        return Err(Failure::usage(format!("`--secret {text}`: the id is missing")).hint("write `id=ID,src=FILE`"));
    };
    if kind.as_deref() == Some("env") && variable.is_none() {
        variable = file.take().or_else(|| Some(id.clone()));
    }
    let from_environment = |name: &str| std::env::var(name).map(|v| SecretSource::Value(v.into_bytes()));
    let source = match (file, variable) {
        (Some(file), None) => SecretSource::File(PathBuf::from(file)),
        (None, Some(name)) => from_environment(&name)
            .map_err(|_| Failure::usage(format!("`--secret {text}`: the variable `{name}` is not set")))?,
        (None, None) => from_environment(&id).unwrap_or_else(|_| SecretSource::File(PathBuf::from(&id))),
        (Some(_), Some(_)) => return Err(Failure::usage(format!("`--secret {text}`: give `src` or `env`, not both"))),
    };
    if let SecretSource::File(path) = &source
        && !path.is_file()
    {
        return Err(Failure::usage(format!("`--secret {text}`: there is no file `{}`", path.display())));
    }
    Ok((id, Secret { source }))
}

/// `--ssh`: an id, and the socket of its agent.
pub fn ssh(text: &str) -> Result<(String, PathBuf), Failure> {
    let (id, path) = text.split_once('=').map_or((text, None), |(id, path)| (id, Some(path)));
    if id.is_empty() {
        return Err(Failure::usage(format!("`--ssh {text}`: the id is missing")).hint("write `default` or `ID=SOCKET`"));
    }
    let path = match path {
        Some(path) => PathBuf::from(path),
        None => std::env::var_os("SSH_AUTH_SOCK").filter(|v| !v.is_empty()).map(PathBuf::from).ok_or_else(|| {
            Failure::usage(format!("`--ssh {text}`: no ssh agent runs (SSH_AUTH_SOCK is not set)"))
                .hint("start one: `eval $(ssh-agent); ssh-add`")
        })?,
    };
    use std::os::unix::fs::FileTypeExt;
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.file_type().is_socket() => Ok((id.to_owned(), path)),
        Ok(_) => Err(Failure::usage(format!("`--ssh {text}`: `{}` is no socket of an agent", path.display())).hint(
            format!("keys go through an agent: `eval $(ssh-agent); ssh-add {}`, then `--ssh {id}`", path.display()),
        )),
        Err(e) => Err(Failure::usage(format!("`--ssh {text}`: `{}`: {e}", path.display()))),
    }
}

/// `--build-context`
pub fn build_context(text: &str) -> Result<(String, NamedContext), Failure> {
    let (name, value) = pair("--build-context", text)?;
    if let Some(image) = value.strip_prefix("docker-image://") {
        return Ok((name, NamedContext::Image(image.to_owned())));
    }
    if super::source::is_git(&value) {
        return Ok((name, NamedContext::Git(value)));
    }
    if value.contains("://") {
        return Err(Failure::usage(format!("`--build-context {text}`: this kind of address is not supported"))
            .hint("a directory, `docker-image://IMAGE` and the URL of a Git repository are"));
    }
    Ok((name, NamedContext::Dir(PathBuf::from(value))))
}

/// `--output`. The flag says that the result is to be pushed, too.
pub fn output(text: &str) -> Result<(Output, bool), Failure> {
    if text == "-" {
        return Ok((Output::Tar(standard_output(text)?), false));
    }
    if !text.contains('=') {
        return Ok((Output::Local(PathBuf::from(text)), false));
    }
    let fields = fields("--output", text, &["type", "dest", "destination", "push"])?;
    let dest = fields.get("dest").or_else(|| fields.get("destination"));
    let needed = || match dest.map(String::as_str) {
        Some("-") => standard_output(text),
        Some(path) => Ok(PathBuf::from(path)),
        None => {
            Err(Failure::usage(format!("`--output {text}`: the destination is missing")).hint("add `,dest=PATH`"))
        }
    };
    let push = match fields.get("push").map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(Failure::usage(format!("`--output {text}`: push is true or false, not `{other}`"))),
    };
    let kind = fields.get("type").map(String::as_str);
    let output = match kind {
        Some("image" | "registry") if dest.is_some() => {
            return Err(Failure::usage(format!("`--output {text}`: an image goes into the store, not to `dest`"))
                .hint("`type=oci` and `type=docker` write archives"));
        }
        Some("image" | "registry") => Output::Image,
        Some("docker") if dest.is_none() => Output::Image,
        Some("docker") => Output::Docker(needed()?),
        Some("oci") => Output::Oci(needed()?),
        Some("tar") => Output::Tar(needed()?),
        Some("local") if dest.map(String::as_str) == Some("-") => {
            return Err(Failure::usage(format!("`--output {text}`: a directory cannot go to standard output"))
                .hint("`type=tar,dest=-` can"));
        }
        Some("local") => Output::Local(needed()?),
        Some("cacheonly") => Output::CacheOnly,
        Some(other) => {
            return Err(Failure::usage(format!("`--output type={other}` is not supported"))
                .hint("image, registry, docker, oci, tar, local and cacheonly are"));
        }
        None => return Err(Failure::usage(format!("`--output {text}`: the type is missing"))),
    };
    if push && output != Output::Image {
        return Err(Failure::usage(format!("`--output {text}`: only images are pushed")));
    }
    Ok((output, push || kind == Some("registry")))
}

/// An archive is not written to a terminal.
fn standard_output(text: &str) -> Result<PathBuf, Failure> {
    if std::io::stdout().is_terminal() {
        return Err(Failure::usage(format!("`--output {text}`: an archive is not written to a terminal"))
            .hint("redirect standard output, or give `dest=FILE`"));
    }
    Ok(PathBuf::from("/dev/stdout"))
}

fn cache_reference(flag: &str, text: &str, value: Option<&String>) -> Result<Reference, Failure> {
    let name = value.ok_or_else(|| Failure::usage(format!("`{flag} {text}`: the reference is missing")).hint("add `,ref=NAME`"))?;
    name.parse::<Reference>().map_err(|e| Failure::usage(format!("`{flag} {text}`: {e}")))
}

/// `--cache-from`
pub fn cache_from(text: &str) -> Result<CacheFrom, Failure> {
    const FLAG: &str = "--cache-from";
    if !text.contains('=') {
        return cache_reference(FLAG, text, Some(&text.to_owned())).map(CacheFrom::Registry);
    }
    let fields = fields(FLAG, text, &["type", "src", "ref"])?;
    match fields.get("type").map(String::as_str) {
        Some("local") => {
            let src = fields.get("src").ok_or_else(|| {
                Failure::usage(format!("`{FLAG} {text}`: the directory is missing")).hint("add `,src=DIR`")
            })?;
            Ok(CacheFrom::Local(PathBuf::from(src)))
        }
        Some("registry") => cache_reference(FLAG, text, fields.get("ref")).map(CacheFrom::Registry),
        other => Err(cache_type(FLAG, other.unwrap_or_default(), "local and registry")),
    }
}

/// `--cache-to`
pub fn cache_to(text: &str) -> Result<CacheTo, Failure> {
    const FLAG: &str = "--cache-to";
    let text_with_type = if text.contains('=') { text.to_owned() } else { format!("type={text}") };
    let fields = fields(FLAG, &text_with_type, &["type", "dest", "ref", "mode"])?;
    let mode = match fields.get("mode").map(String::as_str) {
        None | Some("min") => CacheMode::Min,
        Some("max") => CacheMode::Max,
        Some(other) => return Err(Failure::usage(format!("`{FLAG} {text}`: the mode is min or max, not `{other}`"))),
    };
    match fields.get("type").map(String::as_str) {
        Some("local") => {
            let dest = fields.get("dest").ok_or_else(|| {
                Failure::usage(format!("`{FLAG} {text}`: the directory is missing")).hint("add `,dest=DIR`")
            })?;
            Ok(CacheTo::Local { dir: PathBuf::from(dest), mode })
        }
        Some("registry") => {
            Ok(CacheTo::Registry { reference: cache_reference(FLAG, text, fields.get("ref"))?, mode })
        }
        Some("inline") if mode == CacheMode::Max => {
            Err(Failure::usage(format!("`{FLAG} {text}`: an image holds its own layers only"))
                .hint("`type=registry,mode=max` keeps those of all stages"))
        }
        Some("inline") => Ok(CacheTo::Inline),
        other => Err(cache_type(FLAG, other.unwrap_or_default(), "local, registry and inline")),
    }
}

fn cache_type(flag: &str, kind: &str, known: &str) -> Failure {
    Failure::usage(format!("`{flag} type={kind}` is not supported")).hint(format!("{known} are"))
}

/// `--sbom`, `--provenance` and `--attest` together; the last word on each counts.
pub fn attest(sbom: Option<&str>, provenance: Option<&str>, attest: &[String]) -> Result<Attest, Failure> {
    let mut out = Attest::default();
    if let Some(text) = sbom {
        out.sbom = match text {
            "true" | "1" => true,
            "false" | "0" => false,
            other => {
                return Err(Failure::usage(format!("`--sbom={other}`: true or false"))
                    .hint("the list is made by this program; other generators are not supported"));
            }
        };
    }
    if let Some(text) = provenance {
        out.provenance = provenance_of("--provenance=", text)?;
    }
    for text in attest {
        let fields = fields("--attest", text, &["type", "disabled", "mode"])?;
        let off = matches!(fields.get("disabled").map(String::as_str), Some("true" | "1"));
        match fields.get("type").map(String::as_str) {
            Some("sbom") => out.sbom = !off,
            Some("provenance") if off => out.provenance = Provenance::Off,
            Some("provenance") => {
                let mode = fields.get("mode").map_or("min", String::as_str);
                out.provenance = provenance_of("--attest type=provenance,", &format!("mode={mode}"))?;
            }
            _ => {
                return Err(Failure::usage(format!("`--attest {text}`: the type is missing or not supported"))
                    .hint("sbom and provenance are"));
            }
        }
    }
    Ok(out)
}

fn provenance_of(flag: &str, text: &str) -> Result<Provenance, Failure> {
    match text {
        "false" | "0" => Ok(Provenance::Off),
        "true" | "1" | "mode=min" => Ok(Provenance::Min),
        "mode=max" => Ok(Provenance::Max),
        other => Err(Failure::usage(format!("`{flag}{other}`: true, false, mode=min or mode=max"))),
    }
}

/// Whether two flags would write to the same place.
pub fn one_standard_output(outputs: &[Output]) -> Result<(), Failure> {
    let direct = |o: &&Output| match o {
        Output::Tar(path) | Output::Oci(path) | Output::Docker(path) => path == Path::new("/dev/stdout"),
        _ => false,
    };
    match outputs.iter().filter(direct).count() {
        0 | 1 => Ok(()),
        _ => Err(Failure::usage("only one `--output` can go to standard output")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_understood() {
        let out = |text: &str| output(text).unwrap();
        assert_eq!(out("out"), (Output::Local("out".into()), false));
        assert_eq!(out("type=oci,dest=x.tar"), (Output::Oci("x.tar".into()), false));
        assert_eq!(out("type=docker"), (Output::Image, false));
        assert_eq!(out("type=registry"), (Output::Image, true));
        assert_eq!(out("type=image,push=true"), (Output::Image, true));
        for bad in
            ["type=oci", "type=what", "dest=x", "type=tar,dest=x,compression=zstd", "type=local,dest=-", "type=tar,dest=x,push=true"]
        {
            assert!(output(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_name_one_source() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s");
        std::fs::write(&file, "x").unwrap();
        let (id, secret) = super::secret(&format!("id=a,src={}", file.display())).unwrap();
        // No `assert_eq!`: a secret's source cannot be printed, on purpose.
        assert!(id == "a" && secret.source == SecretSource::File(file.clone()));
        for bad in ["src=x", "id=a,src=/no/such", "id=a,env=NO_SUCH_VARIABLE_HERE", "id=a,color=red", "a"] {
            assert!(super::secret(bad).is_err(), "{bad}");
        }
        let words = ssh(&format!("k={}", file.display())).unwrap_err().to_string();
        assert!(words.contains("no socket"), "{words}");
    }

    #[test]
    fn caches_and_attestations_are_understood() {
        assert_eq!(cache_from("type=local,src=d").unwrap(), CacheFrom::Local("d".into()));
        assert!(matches!(cache_from("registry:5000/a:b").unwrap(), CacheFrom::Registry(_)));
        assert_eq!(cache_to("inline").unwrap(), CacheTo::Inline);
        assert_eq!(
            cache_to("type=local,dest=d,mode=max").unwrap(),
            CacheTo::Local { dir: "d".into(), mode: CacheMode::Max }
        );
        for bad in ["type=gha", "type=local", "type=local,dest=d,mode=all", "type=inline,mode=max", "type=registry"] {
            assert!(cache_to(bad).is_err(), "{bad}");
        }
        let read = |s, p, a: &[&str]| attest(s, p, &a.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).unwrap();
        assert_eq!(read(None, None, &[]), Attest { sbom: true, provenance: Provenance::Min });
        assert_eq!(read(Some("false"), Some("mode=max"), &[]), Attest { sbom: false, provenance: Provenance::Max });
        assert!(!read(None, None, &["type=sbom,disabled=true"]).sbom);
        assert!(attest(Some("generator=x"), None, &[]).is_err());
    }
}
