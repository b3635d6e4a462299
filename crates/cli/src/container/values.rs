//! Values of single options, as docker writes them.

use stockade_engine::spec::{LimitSpec, Shared};

use super::flags::ResourceFlags;
use crate::failure::Failure;
use crate::human::{parse_bytes, parse_duration_ms};

/// A size, with the option's name in the error.
pub fn bytes(option: &str, text: &str) -> Result<u64, Failure> {
    parse_bytes(text).map_err(|e| Failure::usage(format!("{option}: {e}")))
}

/// A duration in nanoseconds, with the option's name in the error.
pub fn nanoseconds(option: &str, text: &str) -> Result<u64, Failure> {
    let ms = parse_duration_ms(text).map_err(|e| Failure::usage(format!("{option}: {e}")))?;
    Ok(ms.saturating_mul(1_000_000))
}

/// `--memory` and its kin.
pub fn limits(flags: &ResourceFlags) -> Result<LimitSpec, Failure> {
    let size = |option, text: &Option<String>| text.as_deref().map(|t| bytes(option, t)).transpose();
    let memory_swap_bytes = match flags.memory_swap.as_deref() {
        Some("-1") => Some(u64::MAX),
        Some(text) => Some(bytes("--memory-swap", text)?),
        None => None,
    };
    Ok(LimitSpec {
        memory_bytes: size("--memory", &flags.memory)?,
        memory_swap_bytes,
        memory_reservation_bytes: size("--memory-reservation", &flags.memory_reservation)?,
        cpu_millis: cpu(flags)?,
        cpu_shares: flags.cpu_shares,
        // -1 and 0 are no limit.
        pids: flags.pids_limit.map(|n| u64::try_from(n).unwrap_or(0)),
    })
}

fn cpu(flags: &ResourceFlags) -> Result<Option<u64>, Failure> {
    /// The kernel's default period, in microseconds.
    const PERIOD: u64 = 100_000;
    match (&flags.cpus, flags.cpu_quota, flags.cpu_period) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            Err(Failure::usage("--cpus and --cpu-quota or --cpu-period say the same in two ways; leave out one"))
        }
        (Some(text), None, None) => {
            let bad = || Failure::usage(format!("--cpus: `{text}` is no number of cores; write 0.5 or 2"));
            let cores: f64 = text.parse().map_err(|_| bad())?;
            if !(0.0..=65_536.0).contains(&cores) {
                return Err(bad());
            }
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within bounds, see above
            Ok(Some((cores * 1000.0).round() as u64))
        }
        (None, Some(quota), period) => {
            // A negative quota is none.
            let quota = u64::try_from(quota).unwrap_or(0);
            let period = period.unwrap_or(PERIOD);
            if period == 0 {
                return Err(Failure::usage("--cpu-period must not be 0"));
            }
            Ok(Some(quota.saturating_mul(1000) / period))
        }
        (None, None, Some(_)) => Err(Failure::usage("--cpu-period needs --cpu-quota beside it; or use --cpus")),
        (None, None, None) => Ok(None),
    }
}

/// `--ulimit nofile=1024:2048`; -1 is no limit.
pub fn ulimit(text: &str) -> Result<(String, u64, u64), Failure> {
    const NAMES: &[&str] = &[
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let bad = |why: &str| Failure::usage(format!("--ulimit {text}: {why}; write nofile=1024 or nofile=1024:2048"));
    let (name, values) = text.split_once('=').ok_or_else(|| bad("there is no `=`"))?;
    let name = name.to_ascii_lowercase();
    if !NAMES.contains(&name.as_str()) {
        return Err(Failure::usage(format!("--ulimit {text}: unknown limit `{name}`; known are {}", NAMES.join(", "))));
    }
    let number = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        other => other.parse::<u64>().map_err(|_| bad(&format!("`{other}` is no number"))),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(bad("the soft limit is above the hard one"));
    }
    Ok((name, soft, hard))
}

/// `--device /dev/x[:/dev/y[:rwm]]`
pub fn device(text: &str) -> Result<(String, String, String), Failure> {
    let bad =
        |why: &str| Failure::usage(format!("--device {text}: {why}; write /dev/x, /dev/x:/dev/y or /dev/x:/dev/y:r"));
    let mut fields = text.split(':');
    let host = fields.next().unwrap_or_default();
    let second = fields.next();
    let third = fields.next();
    if fields.next().is_some() || !host.starts_with('/') {
        return Err(bad("it is not an absolute path"));
    }
    let is_access = |s: &str| !s.is_empty() && s.len() <= 3 && s.bytes().all(|b| b"rwm".contains(&b));
    let (inside, access) = match (second, third) {
        (None, _) => (host, "rwm"),
        (Some(s), None) if is_access(s) => (host, s),
        (Some(s), None) => (s, "rwm"),
        (Some(s), Some(a)) if is_access(a) => (s, a),
        (Some(_), Some(_)) => return Err(bad("access is made of the letters r, w and m")),
    };
    if !inside.starts_with('/') {
        return Err(bad("the path inside is not absolute"));
    }
    if !std::path::Path::new(host).exists() {
        return Err(Failure::usage(format!("--device {text}: `{host}` does not exist on the host")));
    }
    Ok((host.to_owned(), inside.to_owned(), access.to_owned()))
}

/// `--pid` and `--ipc`.
pub fn shared(option: &str, text: Option<&str>) -> Result<Shared, Failure> {
    match text {
        None | Some("" | "private" | "shareable") => Ok(Shared::Private),
        Some("host") => Ok(Shared::Host),
        Some(other) => match other.strip_prefix("container:") {
            Some(name) if !name.is_empty() => Ok(Shared::Container(name.to_owned())),
            _ => Err(Failure::usage(format!("{option} {other}: write `host` or `container:NAME`"))),
        },
    }
}

/// Options that know only `host` (and words for the default).
pub fn host_only(option: &str, text: Option<&str>) -> Result<bool, Failure> {
    match text {
        None | Some("" | "private") => Ok(false),
        Some("host") => Ok(true),
        Some(other) => Err(Failure::usage(format!("{option} {other}: the only value is `host`"))),
    }
}

/// `--sysctl name=value`
pub fn sysctl(text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((name, value))
            if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)) =>
        {
            Ok((name.replace('/', "."), value.to_owned()))
        }
        _ => Err(Failure::usage(format!("--sysctl {text}: write NAME=VALUE, for example net.core.somaxconn=1024"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulimits_read_as_dockers() {
        assert_eq!(ulimit("nofile=1:2").ok(), Some(("nofile".into(), 1, 2)));
        assert_eq!(ulimit("CORE=-1").ok(), Some(("core".into(), u64::MAX, u64::MAX)));
        for bad in ["nofile", "nofile=", "nofile=2:1", "what=1", "nofile=x"] {
            assert!(ulimit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn devices_read_as_dockers() {
        let three = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(device("/dev/null").ok(), three("/dev/null", "/dev/null", "rwm"));
        assert_eq!(device("/dev/null:r").ok(), three("/dev/null", "/dev/null", "r"));
        assert_eq!(device("/dev/null:/dev/x:rw").ok(), three("/dev/null", "/dev/x", "rw"));
        for bad in ["null", "/dev/null:/x:q", "/dev/null:/x:r:y", "/dev/nothing-here", "/dev/null:x"] {
            assert!(device(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn namespaces_are_named() {
        assert_eq!(shared("--pid", Some("container:web")).ok(), Some(Shared::Container("web".into())));
        assert!(shared("--pid", Some("container:")).is_err());
        assert!(host_only("--uts", Some("other")).is_err());
        assert!(sysctl("net.x=1").is_ok() && sysctl("net.x").is_err() && sysctl("a b=1").is_err());
    }
}
