//! Scans the running system and compares with what its own package manager says.

use std::collections::BTreeSet;
use std::process::Command;

use stockade_inventory::{Options, PackageKind, scan_dir};

/// A root with only the parts of the host that matter, as links would not be followed: read through the real `/`.
#[test]
fn dpkg_agrees_about_this_machine() {
    let query = Command::new("dpkg-query")
        .args([
            "-W",
            "-f",
            "${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\\n",
        ])
        .output();
    let Ok(output) = query else {
        eprintln!("skipped: this machine has no dpkg");
        return;
    };
    let expected: BTreeSet<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .map(str::to_owned)
        .collect();
    // The rest of the disk changes while tests run and has nothing to do with dpkg.
    let skip = ["tmp", "proc", "sys", "dev", "run", "root", "home", "work", "mnt", "var/cache", "usr/share"];
    let options = Options { skip: skip.map(str::to_owned).to_vec(), ..Options::default() };
    let inventory = scan_dir("/".as_ref(), &options).unwrap();
    let found: BTreeSet<String> = inventory
        .packages
        .iter()
        .filter(|p| p.kind == PackageKind::Deb)
        .map(|p| {
            let source = p.source.as_ref().unwrap();
            let arch = p.arch.as_deref().unwrap_or_default();
            format!("{} {} {arch} {} {}", p.name, p.version, source.name, source.version)
        })
        .collect();
    assert_eq!(found, expected);
    let os = inventory.os.unwrap();
    assert!(!os.id.is_empty() && inventory.packages.iter().all(|p| p.purl.starts_with("pkg:")));
}
