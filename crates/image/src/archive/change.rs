//! The Dockerfile instructions that `import --change` (and `commit --change`) take.

use crate::config::{ContainerConfig, Empty, Healthcheck};
use crate::error::{ImageError, Result};

/// Applies one instruction (`CMD ["/bin/sh"]`, `ENV A=b`) to a configuration.
///
/// Known are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR.
/// Variables are not expanded.
///
/// Errors: `BadChange` with what is wrong.
pub fn apply_change(config: &mut ContainerConfig, text: &str) -> Result<()> {
    apply(config, text.trim())
        .map_err(|reason| ImageError::BadChange { text: text.chars().take(200).collect(), reason })
}

type Parsed<T> = Result<T, String>;

fn apply(config: &mut ContainerConfig, text: &str) -> Parsed<()> {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    if rest.is_empty() && !name.is_empty() {
        return Err(format!("{} needs a value", name.to_uppercase()));
    }
    match name.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = Some(command(config, rest)?),
        "ENTRYPOINT" => config.entrypoint = Some(command(config, rest)?),
        "ENV" => pairs(rest)?.into_iter().for_each(|(key, value)| set_env(config, &key, &value)),
        "LABEL" => config.labels.extend(pairs(rest)?),
        "EXPOSE" => rest.split_whitespace().try_for_each(|port| expose(config, port))?,
        "VOLUME" => config.volumes.extend(list(rest)?.into_iter().map(|path| (path, Empty {}))),
        "USER" => config.user = one_word(rest)?,
        "WORKDIR" => config.working_dir = working_dir(&config.working_dir, rest),
        "STOPSIGNAL" => config.stop_signal = Some(one_word(rest)?),
        "SHELL" => {
            config.shell = Some(json_list(rest).ok_or("SHELL needs the JSON form, such as [\"/bin/sh\", \"-c\"]")?)
        }
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(config, rest)?),
        "" => return Err("it is empty".into()),
        other => {
            return Err(format!(
                "`{other}` is not allowed here; CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, \
                 STOPSIGNAL, USER, VOLUME and WORKDIR are"
            ));
        }
    }
    Ok(())
}

fn json_list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

/// JSON form, or a command line for the shell.
fn command(config: &ContainerConfig, text: &str) -> Parsed<Vec<String>> {
    if let Some(words) = json_list(text) {
        return Ok(words);
    }
    let mut words = config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
    words.push(text.to_owned());
    Ok(words)
}

/// JSON form, or words.
fn list(text: &str) -> Parsed<Vec<String>> {
    let words = match json_list(text) {
        Some(words) => words,
        None => words(text)?,
    };
    if words.iter().any(String::is_empty) { Err("an empty path is not allowed".into()) } else { Ok(words) }
}

fn one_word(text: &str) -> Parsed<String> {
    if text.contains(char::is_whitespace) { Err("it takes one word".into()) } else { Ok(text.to_owned()) }
}

/// `A=b C="d e"`, or the old form `A b c`.
fn pairs(text: &str) -> Parsed<Vec<(String, String)>> {
    let words = words(text)?;
    let first = words.first().ok_or("it is empty")?;
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).ok_or_else(|| format!("`{text}` has no value"))?;
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(format!("`{word}` has no name before `=`")),
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(format!("`{word}` has no `=`")),
        })
        .collect()
}

/// Words separated by white space; quotes and backslashes keep it.
fn words(text: &str) -> Parsed<Vec<String>> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                let next = chars.next().ok_or("it ends with a backslash")?;
                word.get_or_insert_default().push(next);
            }
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => found.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".into());
    }
    found.extend(word);
    Ok(found)
}

fn set_env(config: &mut ContainerConfig, key: &str, value: &str) {
    let setting = format!("{key}={value}");
    let same = |old: &&mut String| old.split_once('=').is_some_and(|(k, _)| k == key);
    match config.env.iter_mut().find(same) {
        Some(old) => *old = setting,
        None => config.env.push(setting),
    }
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn expose(config: &mut ContainerConfig, text: &str) -> Parsed<()> {
    let wrong = || format!("`{text}` is not a port: use 80, 80/udp or 8000-8010/tcp");
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong());
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| text.parse::<u16>().ok().filter(|n| *n > 0).ok_or_else(wrong);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(wrong());
    }
    config.exposed_ports.extend((first..=last).map(|port| (format!("{port}/{protocol}"), Empty {})));
    Ok(())
}

fn working_dir(current: &str, next: &str) -> String {
    if next.starts_with('/') {
        return next.to_owned();
    }
    format!("{}/{next}", current.trim_end_matches('/'))
}

/// `NONE`, or options and then `CMD …`.
fn healthcheck(config: &ContainerConfig, text: &str) -> Parsed<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).ok_or("CMD is missing after the options")?;
        let (name, value) = option.split_once('=').ok_or_else(|| format!("`--{option}` has no value"))?;
        match name {
            "interval" => check.interval = duration(value)?,
            "timeout" => check.timeout = duration(value)?,
            "start-period" => check.start_period = duration(value)?,
            "start-interval" => check.start_interval = duration(value)?,
            "retries" => check.retries = value.parse().map_err(|_| format!("`{value}` is not a number"))?,
            _ => return Err(format!("`--{name}` is unknown")),
        }
        rest = after.trim_start();
    }
    let (kind, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match kind.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".into()],
        "CMD" => match json_list(tail.trim()) {
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None if tail.trim().is_empty() => return Err("CMD needs a command".into()),
            None if config.shell.is_some() => [vec!["CMD".to_owned()], command(config, tail.trim())?].concat(),
            None => vec!["CMD-SHELL".into(), tail.trim().to_owned()],
        },
        _ => return Err("it takes NONE, or options and CMD".into()),
    };
    Ok(check)
}

/// Go's form (`1m30s`, `500ms`), in nanoseconds.
fn duration(text: &str) -> Parsed<u64> {
    let wrong = || format!("`{text}` is not a duration such as 30s or 1m30s");
    let mut rest = text;
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let factor = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(wrong()),
        };
        total += number.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = tail;
    }
    // Durations above 100 years are nonsense; below, the number fits.
    if text.is_empty() || !(0.0..=3.2e18).contains(&total) {
        return Err(wrong());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply_all(changes: &[&str]) -> ContainerConfig {
        let mut config = ContainerConfig::default();
        changes.iter().for_each(|change| apply_change(&mut config, change).unwrap());
        config
    }

    #[test]
    fn every_instruction_sets_its_field() {
        let config = apply_all(&[
            "CMD [\"a\", \"b c\"]",
            "entrypoint run  this",
            "ENV A=1 B=\"x y\" C=\\ z",
            "ENV A 2 3",
            "EXPOSE 80 53/udp 8000-8001",
            "LABEL org.x=y 'k k'=v",
            "VOLUME /data /more",
            "VOLUME [\"/json\"]",
            "USER www:www",
            "WORKDIR /srv",
            "WORKDIR app",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN make",
            "HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl -f localhost",
        ]);
        assert_eq!(config.cmd.unwrap(), ["a", "b c"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run  this"]);
        assert_eq!(config.env, ["A=2 3", "B=x y", "C= z"]);
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
        assert_eq!(config.labels["k k"], "v");
        assert_eq!(config.volumes.len(), 3);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("www:www", "/srv/app"));
        assert_eq!(config.stop_signal.unwrap(), "SIGQUIT");
        assert_eq!(config.on_build, ["RUN make"]);
        let check = config.healthcheck.unwrap();
        assert_eq!((check.interval, check.timeout, check.retries), (90_000_000_000, 500_000_000, 3));
        assert_eq!(check.test, ["CMD-SHELL", "curl -f localhost"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (change, part) in [
            ("", "empty"),
            ("FROM x", "FROM"),
            ("CMD", "needs a value"),
            ("ENV A", "no value"),
            ("ENV A=1 B", "no `=`"),
            ("ENV =1", "no name"),
            ("ENV A='x", "quote"),
            ("EXPOSE 0", "not a port"),
            ("EXPOSE 90-80", "not a port"),
            ("EXPOSE 80/http", "not a port"),
            ("USER a b", "one word"),
            ("SHELL /bin/sh", "JSON"),
            ("HEALTHCHECK --interval=x CMD y", "duration"),
            ("HEALTHCHECK --interval=1s", "CMD"),
            ("HEALTHCHECK run", "NONE"),
        ] {
            let error = apply_change(&mut ContainerConfig::default(), change).unwrap_err().to_string();
            assert!(error.contains(part), "{change}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_applied_or_refused_but_never_panics(text: String, word in "(ENV|HEALTHCHECK|EXPOSE|LABEL|CMD) .{0,40}") {
            let _ = apply_change(&mut ContainerConfig::default(), &text);
            let _ = apply_change(&mut ContainerConfig::default(), &word);
        }
    }
}
