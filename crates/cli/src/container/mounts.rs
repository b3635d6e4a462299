//! `-v`, `--mount` and `--tmpfs`.

use stockade_engine::spec::{MountSpec, MountType};

use super::values::bytes;
use crate::failure::Failure;
use crate::output;

/// Words that docker on a Mac needs and Linux ignores.
const CONSISTENCY: &[&str] = &["cached", "delegated", "consistent", "default"];
const PROPAGATION: &[&str] = &["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// `-v [SOURCE:]TARGET[:OPTIONS]`
pub fn volume(text: &str) -> Result<MountSpec, Failure> {
    let bad = |why: &str| {
        Failure::usage(format!("-v {text}: {why}; write NAME:/path, /host/path:/path or /host/path:/path:ro"))
    };
    let fields: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match fields.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(bad("there are too many colons")),
    };
    if !target.starts_with('/') {
        return Err(bad("the path inside must be absolute"));
    }
    let mut mount = MountSpec { target: target.to_owned(), options: options.to_owned(), ..MountSpec::default() };
    if fields.len() == 1 {
        mount.kind = MountType::Volume;
    } else if source.is_empty() {
        return Err(bad("the source is empty"));
    } else if source.starts_with('/') || source.starts_with('.') || source == "~" || source.starts_with("~/") {
        mount.kind = MountType::Bind;
        mount.source = absolute(source)?;
        mount.create_source = true;
    } else {
        mount.kind = MountType::Volume;
        source.clone_into(&mut mount.source);
    }
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option {
            "ro" | "readonly" => mount.readonly = true,
            "rw" => mount.readonly = false,
            "nocopy" => mount.no_copy = true,
            "z" | "Z" => relabel(option)?,
            o if PROPAGATION.contains(&o) => o.clone_into(&mut mount.propagation),
            o if CONSISTENCY.contains(&o) => {}
            o => return Err(bad(&format!("unknown option `{o}`"))),
        }
    }
    Ok(mount)
}

/// SELinux labels: nothing to do where there is no SELinux.
fn relabel(option: &str) -> Result<(), Failure> {
    if std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(Failure::usage(format!(
            "the volume option `{option}` relabels files for SELinux, which is not supported yet; set the label with chcon"
        )));
    }
    output::warn(&format!("the volume option `{option}` does nothing here: this host has no SELinux"));
    Ok(())
}

fn absolute(path: &str) -> Result<String, Failure> {
    if path.starts_with('/') {
        return Ok(path.to_owned());
    }
    if path.starts_with('~') {
        return Err(Failure::usage(format!("the shell did not expand `{path}`; write the whole path")));
    }
    let path = std::path::absolute(path)?;
    let text = path.to_str().ok_or_else(|| Failure::usage("the source of a mount must be UTF-8"))?;
    // `.` and `..` are taken away by the kernel's own resolution.
    Ok(text.to_owned())
}

/// `--mount type=…,source=…,target=…`
pub fn mount(text: &str) -> Result<MountSpec, Failure> {
    let bad = |why: String| Failure::usage(format!("--mount {text}: {why}"));
    let mut mount = MountSpec { kind: MountType::Volume, options: text.to_owned(), ..MountSpec::default() };
    let pairs: Vec<(&str, Option<&str>)> =
        text.split(',').map(|f| f.split_once('=').map_or((f, None), |(k, v)| (k, Some(v)))).collect();
    if let Some((_, kind)) = pairs.iter().find(|(k, _)| k.eq_ignore_ascii_case("type")) {
        mount.kind = match kind.unwrap_or_default() {
            "bind" => MountType::Bind,
            "volume" => MountType::Volume,
            "tmpfs" => MountType::Tmpfs,
            other => return Err(bad(format!("unknown type `{other}`; use bind, volume or tmpfs"))),
        };
    }
    for (key, value) in pairs {
        let text_value = || value.filter(|v| !v.is_empty()).ok_or_else(|| bad(format!("`{key}` needs a value")));
        let truth = || match value {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(v) => Err(bad(format!("`{key}={v}`: write true or false"))),
        };
        match key.to_ascii_lowercase().as_str() {
            "type" | "consistency" => {}
            "source" | "src" => text_value()?.clone_into(&mut mount.source),
            "target" | "dst" | "destination" => text_value()?.clone_into(&mut mount.target),
            "readonly" | "ro" => mount.readonly = truth()?,
            "bind-propagation" if mount.kind == MountType::Bind => {
                let value = text_value()?;
                if !PROPAGATION.contains(&value) {
                    return Err(bad(format!("unknown propagation `{value}`; use one of {}", PROPAGATION.join(", "))));
                }
                value.clone_into(&mut mount.propagation);
            }
            "bind-nonrecursive" if mount.kind == MountType::Bind => mount.non_recursive = truth()?,
            "bind-create-src" if mount.kind == MountType::Bind => mount.create_source = truth()?,
            "volume-nocopy" if mount.kind == MountType::Volume => mount.no_copy = truth()?,
            "volume-driver" if value == Some("local") => {}
            "tmpfs-size" if mount.kind == MountType::Tmpfs => {
                mount.size_bytes = Some(bytes("--mount tmpfs-size", text_value()?)?);
            }
            "tmpfs-mode" if mount.kind == MountType::Tmpfs => {
                let value = text_value()?;
                let mode = u32::from_str_radix(value, 8).ok().filter(|m| *m <= 0o7777);
                mount.mode = Some(mode.ok_or_else(|| bad(format!("`{value}` is no octal mode")))?);
            }
            _ => return Err(bad(format!("`{key}` is unknown, or does not go with type {}", mount.kind.name()))),
        }
    }
    if !mount.target.starts_with('/') {
        return Err(bad("target must be an absolute path".into()));
    }
    match mount.kind {
        MountType::Bind if mount.source.is_empty() => return Err(bad("a bind mount needs a source".into())),
        MountType::Bind => mount.source = absolute(&mount.source)?,
        MountType::Tmpfs if !mount.source.is_empty() => return Err(bad("a tmpfs has no source".into())),
        MountType::Tmpfs => mount.exec = false,
        MountType::Volume => {}
    }
    Ok(mount)
}

/// `--tmpfs TARGET[:OPTIONS]`
pub fn tmpfs(text: &str) -> Result<MountSpec, Failure> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let bad = |why: String| Failure::usage(format!("--tmpfs {text}: {why}"));
    if !target.starts_with('/') {
        return Err(bad("the path inside must be absolute".into()));
    }
    let mut mount = MountSpec {
        kind: MountType::Tmpfs,
        target: target.to_owned(),
        options: options.to_owned(),
        ..MountSpec::default()
    };
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => mount.size_bytes = Some(bytes("--tmpfs size", value)?),
            Some(("mode", value)) => {
                let mode = u32::from_str_radix(value, 8).ok().filter(|m| *m <= 0o7777);
                mount.mode = Some(mode.ok_or_else(|| bad(format!("`{value}` is no octal mode")))?);
            }
            None => match option {
                "ro" => mount.readonly = true,
                "exec" => mount.exec = true,
                "rw" | "noexec" | "nosuid" | "nodev" => {}
                other => return Err(bad(format!("option `{other}` is not supported; use size, mode, ro and exec"))),
            },
            Some((key, _)) => {
                return Err(bad(format!("option `{key}` is not supported; use size, mode, ro and exec")));
            }
        }
    }
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_names_paths_or_anonymous() {
        let v = volume("data:/var/data:ro").unwrap();
        assert_eq!((v.kind, v.source.as_str(), v.readonly), (MountType::Volume, "data", true));
        let v = volume("/srv:/srv").unwrap();
        assert_eq!((v.kind, v.create_source), (MountType::Bind, true));
        let v = volume("/only").unwrap();
        assert_eq!((v.kind, v.source.as_str(), v.target.as_str()), (MountType::Volume, "", "/only"));
        assert!(volume("./x:/x").unwrap().source.starts_with('/'));
        for bad in ["", "a:b", ":/x", "a:/b:c:d", "/a:/b:what", "relative"] {
            assert!(volume(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mounts_in_words() {
        let m = mount("type=bind,src=/etc,dst=/e,readonly").unwrap();
        assert!(m.kind == MountType::Bind && m.readonly && !m.create_source);
        let m = mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700").unwrap();
        assert_eq!((m.size_bytes, m.mode), (Some(1 << 20), Some(0o700)));
        for bad in
            ["type=x,target=/t", "type=bind,target=/t", "target=t", "type=tmpfs,target=/t,src=/x", "target=/t,zzz=1"]
        {
            assert!(mount(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tmpfs_options() {
        let t = tmpfs("/run:size=64k,mode=755,exec,rw").unwrap();
        assert_eq!((t.size_bytes, t.mode, t.exec), (Some(65_536), Some(0o755), true));
        assert!(tmpfs("/run:uid=5").is_err() && tmpfs("run").is_err());
    }
}
