//! `RUN --mount=…`

use crate::ast::Word;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::suggest::nearest;
use crate::units::{parse_bool, parse_size_bytes};

/// The flag as written: values may hold variables, so its meaning is known only at build time ([`MountFlag::resolve`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// The whole value.
    pub raw: Word,
    /// The fields between commas: key in lower case, and the value after `=`.
    pub fields: Vec<(String, Option<String>)>,
}

/// What is mounted for the time of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountType {
    /// Files of the context, a stage or an image.
    Bind,
    /// A directory that lives on between builds.
    Cache,
    /// Memory.
    Tmpfs,
    /// One secret file.
    Secret,
    /// The ssh agent's socket.
    Ssh,
}

impl MountType {
    const ALL: [(&'static str, MountType); 5] = [
        ("bind", MountType::Bind),
        ("cache", MountType::Cache),
        ("tmpfs", MountType::Tmpfs),
        ("secret", MountType::Secret),
        ("ssh", MountType::Ssh),
    ];

    /// As written in a Dockerfile.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, t)| *t == self).map_or("", |(n, _)| n)
    }
}

/// Who may use a cache mount at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Several steps at once.
    #[default]
    Shared,
    /// A second step gets another directory.
    Private,
    /// A second step waits.
    Locked,
}

/// A mount with everything known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Kind.
    pub kind: MountType,
    /// Stage, image or context.
    pub from: Option<String>,
    /// Path within `from`; for secrets, the id.
    pub source: Option<String>,
    /// Path in the step.
    pub target: Option<String>,
    /// No writing.
    pub readonly: bool,
    /// The step fails without it (secret, ssh).
    pub required: bool,
    /// tmpfs limit in bytes.
    pub size_bytes: Option<u64>,
    /// Name of the cache, secret or agent.
    pub id: Option<String>,
    /// Cache sharing.
    pub sharing: Sharing,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// The secret goes into this environment variable (too).
    pub env: Option<String>,
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];

impl MountFlag {
    /// Splits the flag's value into fields, as comma-separated values with `"` quoting.
    pub(crate) fn read(raw: Word) -> Result<MountFlag, Diagnostic> {
        let fields = split_csv(&raw.value)
            .ok_or_else(|| Diagnostic::error("mount-syntax", raw.span, "the quotes in `--mount` do not match"))?;
        let fields = fields
            .into_iter()
            .map(|field| match field.split_once('=') {
                Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
                None => (field.to_ascii_lowercase(), None),
            })
            .collect();
        Ok(MountFlag { raw, fields })
    }

    /// The place in the file.
    pub fn span(&self) -> Span {
        self.raw.span
    }

    /// A field's value as written.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(k, _)| k == key).and_then(|(_, v)| v.as_deref())
    }

    /// The mount, with every value given to `expand` first. Errors are for people, in one line.
    pub fn resolve(&self, expand: &mut dyn FnMut(&str) -> Result<String, String>) -> Result<Mount, String> {
        let mut mount = Mount {
            kind: MountType::Bind,
            from: None,
            source: None,
            target: None,
            readonly: false,
            required: false,
            size_bytes: None,
            id: None,
            sharing: Sharing::default(),
            mode: None,
            uid: None,
            gid: None,
            env: None,
        };
        let mut readonly = None;
        let mut sharing = None;
        for (key, value) in &self.fields {
            let value = match value {
                Some(v) if key == "from" && v.contains('$') => {
                    return Err(format!(
                        "`from={v}` cannot hold variables; give the image a name with `FROM {v} AS name`"
                    ));
                }
                Some(v) => Some(expand(v)?),
                None => None,
            };
            set_field(&mut mount, &mut readonly, &mut sharing, key, value)?;
        }
        mount.readonly = readonly.unwrap_or(!matches!(mount.kind, MountType::Cache | MountType::Tmpfs));
        mount.sharing = sharing.unwrap_or_default();
        check(&mount, sharing.is_some())?;
        Ok(mount)
    }
}

fn set_field(
    mount: &mut Mount,
    readonly: &mut Option<bool>,
    sharing: &mut Option<Sharing>,
    key: &str,
    value: Option<String>,
) -> Result<(), String> {
    let boolean = |value: Option<&String>| match value {
        None => Ok(true),
        Some(v) => parse_bool(v).ok_or_else(|| format!("`{key}={v}`: expected `true` or `false`")),
    };
    match key {
        "readonly" | "ro" => {
            *readonly = Some(boolean(value.as_ref())?);
            return Ok(());
        }
        "readwrite" | "rw" => {
            *readonly = Some(!boolean(value.as_ref())?);
            return Ok(());
        }
        "required" => {
            if !matches!(mount.kind, MountType::Secret | MountType::Ssh) {
                return Err(format!("`required` is not for mounts of type `{}`", mount.kind.name()));
            }
            mount.required = boolean(value.as_ref())?;
            return Ok(());
        }
        _ => {}
    }
    if !KEYS.contains(&key) {
        let near = nearest(key, KEYS).map_or(String::new(), |k| format!("; did you mean `{k}`?"));
        return Err(format!("`{key}` is no field of `--mount`{near}"));
    }
    let value = value.ok_or_else(|| format!("the field `{key}` of `--mount` needs a value: `{key}=…`"))?;
    let number = |radix| u32::from_str_radix(&value, radix).map_err(|_| format!("`{key}={value}` is not a number"));
    match key {
        "type" => {
            let lower = value.to_ascii_lowercase();
            mount.kind = MountType::ALL.iter().find(|(n, _)| *n == lower).map(|(_, t)| *t).ok_or_else(|| {
                let near = nearest(&value, MountType::ALL.map(|(n, _)| n));
                let near = near.map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                format!("`{value}` is no type of mount{near}")
            })?;
        }
        "from" => mount.from = Some(value),
        "source" | "src" => mount.source = Some(value),
        "target" | "dst" | "destination" => mount.target = Some(value),
        "size" if mount.kind != MountType::Tmpfs => {
            return Err(format!("`size` is not for mounts of type `{}`", mount.kind.name()));
        }
        "size" => {
            mount.size_bytes = Some(parse_size_bytes(&value).ok_or_else(|| format!("`size={value}` is not a size"))?);
        }
        "id" => mount.id = Some(value),
        "sharing" => {
            *sharing = Some(match value.to_ascii_lowercase().as_str() {
                "shared" => Sharing::Shared,
                "private" => Sharing::Private,
                "locked" => Sharing::Locked,
                _ => return Err(format!("`sharing={value}`: expected `shared`, `private` or `locked`")),
            });
        }
        "mode" => mount.mode = Some(number(8)?),
        "uid" => mount.uid = Some(number(10)?),
        "gid" => mount.gid = Some(number(10)?),
        _ => mount.env = Some(value),
    }
    Ok(())
}

fn check(mount: &Mount, sharing_given: bool) -> Result<(), String> {
    let kind = mount.kind.name();
    if matches!(mount.kind, MountType::Bind | MountType::Tmpfs) {
        for (key, given) in [("mode", mount.mode.is_some()), ("uid", mount.uid.is_some()), ("gid", mount.gid.is_some())]
        {
            if given {
                return Err(format!("`{key}` is not for mounts of type `{kind}`"));
            }
        }
    }
    if sharing_given && mount.kind != MountType::Cache {
        return Err(format!("`sharing` is not for mounts of type `{kind}`"));
    }
    if mount.env.is_some() && mount.kind != MountType::Secret {
        return Err(format!("`env` is not for mounts of type `{kind}`"));
    }
    if mount.kind == MountType::Secret {
        if mount.from.is_some() {
            return Err("a secret mount has no `from`".to_owned());
        }
        if mount.source.is_none() && mount.target.is_none() && mount.id.is_none() {
            return Err("a secret mount needs `id`, `source` or `target`".to_owned());
        }
        if mount.source.is_some() && mount.id.is_some() {
            return Err("a secret mount has either `source` or `id`".to_owned());
        }
    }
    if mount.target.is_none() && matches!(mount.kind, MountType::Bind | MountType::Cache | MountType::Tmpfs) {
        return Err(format!("a mount of type `{kind}` needs `target`"));
    }
    Ok(())
}

/// One line of comma-separated values (RFC 4180). `None` when quotes do not match.
fn split_csv(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(',').unwrap_or(rest.len());
            let field = rest.get(..end)?;
            if field.contains('"') {
                return None;
            }
            fields.push(field.to_owned());
            match rest.get(end + 1..) {
                Some(more) => rest = more,
                None => return Some(fields),
            }
            continue;
        };
        let mut field = String::new();
        let mut characters = quoted.char_indices().peekable();
        let end = loop {
            match characters.next()? {
                (_, '"') if characters.peek().is_some_and(|(_, c)| *c == '"') => {
                    characters.next();
                    field.push('"');
                }
                (at, '"') => break at + 1,
                (_, c) => field.push(c),
            }
        };
        fields.push(field);
        let after = quoted.get(end..)?;
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Some(fields),
            None => return None,
        }
    }
}
