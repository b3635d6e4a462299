//! dpkg's database, written as dpkg would have written it after unpacking (dpkg(1), "FILES"; deb-triggers(5)).

use std::collections::BTreeMap;

use crate::control::Stanza;
use crate::error::BaseError;
use crate::root::Root;
use crate::unpack::Unpacked;

const ADMIN: &str = "var/lib/dpkg";

/// Name of a package as dpkg's `info` files carry it: with architecture where several may be installed side by side.
fn info_name(stanza: &Stanza<'_>) -> Option<String> {
    let (name, architecture) = (stanza.get("Package")?, stanza.get("Architecture")?);
    Some(match stanza.get("Multi-Arch") {
        Some("same") => format!("{name}:{architecture}"),
        _ => name.to_owned(),
    })
}

/// Writes the database for packages in state "unpacked", and the trigger interests that they declare.
///
/// # Errors
/// A write that failed, or a control stanza without name.
pub fn write_database(root: &Root, packages: &[Unpacked]) -> Result<(), BaseError> {
    let mut status = String::new();
    let mut triggers = Triggers::default();
    for package in packages {
        let bad = |cause: String| BaseError::Malformed { what: "a package's control file".into(), cause };
        let stanza = Stanza::parse(&package.control).map_err(bad)?;
        let name = info_name(&stanza).ok_or_else(|| bad("it has no name or architecture".into()))?;
        status.push_str(&status_entry(&stanza, package));
        let mut list = package.paths.join("\n");
        list.push('\n');
        write(root, &format!("{ADMIN}/info/{name}.list"), list.as_bytes(), 0o644)?;
        for (file, mode, content) in &package.info {
            write(root, &format!("{ADMIN}/info/{name}.{file}"), content, *mode)?;
        }
        if let Some(text) = package.info("triggers") {
            let shown = stanza.get("Package").unwrap_or(&name);
            triggers.read(&String::from_utf8_lossy(text), if name.contains(':') { &name } else { shown });
        }
    }
    write(root, &format!("{ADMIN}/status"), status.as_bytes(), 0o644)?;
    write(root, &format!("{ADMIN}/info/format"), b"1\n", 0o644)?;
    for empty in ["available", "diversions", "statoverride", "lock", "lock-frontend", "triggers/Lock"] {
        let mode = if empty.starts_with("lock") { 0o640 } else { 0o644 };
        write(root, &format!("{ADMIN}/{empty}"), b"", mode)?;
    }
    for dir in ["updates", "parts", "alternatives", "triggers"] {
        root.open_dir(format!("{ADMIN}/{dir}").as_ref()).map_err(BaseError::io("create", &root.path.join(ADMIN)))?;
    }
    for (file, text) in triggers.files() {
        write(root, &format!("{ADMIN}/triggers/{file}"), text.as_bytes(), 0o644)?;
    }
    Ok(())
}

fn write(root: &Root, path: &str, bytes: &[u8], mode: u32) -> Result<(), BaseError> {
    root.write(path, bytes, mode).map_err(BaseError::io("write", &root.path.join(path)))
}

fn status_entry(stanza: &Stanza<'_>, package: &Unpacked) -> String {
    let mut out = String::new();
    for (name, value) in stanza.fields() {
        out.push_str(&format!("{name}: {value}\n"));
        if name.eq_ignore_ascii_case("Package") {
            out.push_str("Status: install ok unpacked\n");
        }
    }
    if !package.conffiles.is_empty() {
        out.push_str("Conffiles:\n");
        for (path, md5) in &package.conffiles {
            out.push_str(&format!(" {path} {md5}\n"));
        }
    }
    out.push('\n');
    out
}

/// Who waits for which trigger.
#[derive(Debug, Default)]
struct Triggers {
    /// Interests in paths, one line each.
    paths: String,
    /// Interests in names: file content by name.
    names: BTreeMap<String, String>,
}

impl Triggers {
    fn read(&mut self, text: &str, package: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or("").trim();
            let Some((directive, trigger)) = line.split_once(char::is_whitespace) else { continue };
            let trigger = trigger.trim();
            let suffix = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            if trigger.starts_with('/') {
                self.paths.push_str(&format!("{trigger} {package}{suffix}\n"));
            } else if !trigger.contains('/') && !trigger.starts_with('.') {
                self.names.entry(trigger.to_owned()).or_default().push_str(&format!("{package}{suffix}\n"));
            }
        }
    }

    fn files(&self) -> Vec<(&str, &str)> {
        let mut out = vec![("File", self.paths.as_str()), ("Unincorp", "")];
        out.extend(self.names.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        out
    }
}

/// Packages that are not "install ok installed" in a status file, as `name: status`.
pub fn unfinished(status: &str) -> Vec<String> {
    crate::control::stanzas(status)
        .filter_map(|text| {
            let stanza = Stanza::parse(text).ok()?;
            let state = stanza.get("Status").unwrap_or("without status");
            (state != "install ok installed").then(|| format!("{}: {state}", stanza.get("Package").unwrap_or("?")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_holds_what_dpkg_needs() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let package = Unpacked {
            control: "Package: libc6\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\nDescription: x\n y\n".into(),
            info: vec![
                ("postinst".into(), 0o755, b"#!/bin/sh\n".to_vec()),
                ("triggers".into(), 0o644, b"interest-noawait /usr/x # c\ninterest ldconfig\nactivate y\n".to_vec()),
            ],
            paths: vec!["/.".into(), "/etc".into()],
            conffiles: vec![("/etc/x".into(), "00".into())],
            ..Unpacked::default()
        };
        write_database(&root, &[package]).unwrap();
        let read = |p: &str| String::from_utf8(root.read(p, 1000).unwrap()).unwrap();
        assert_eq!(
            read("var/lib/dpkg/status"),
            "Package: libc6\nStatus: install ok unpacked\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\n\
             Description: x\n y\nConffiles:\n /etc/x 00\n\n"
        );
        assert_eq!(read("var/lib/dpkg/info/libc6:amd64.list"), "/.\n/etc\n");
        assert_eq!(read("var/lib/dpkg/triggers/File"), "/usr/x libc6:amd64/noawait\n");
        assert_eq!(read("var/lib/dpkg/triggers/ldconfig"), "libc6:amd64\n");
        assert_eq!(unfinished(&read("var/lib/dpkg/status")), ["libc6: install ok unpacked"]);
    }
}
