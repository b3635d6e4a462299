use std::io::Read;

use super::*;
use crate::layer_tar::scan_layer;
use crate::scan::scan_layers;
use crate::verified::scan_layer_verified;
use crate::{LayerSource, PackageKind};

enum Item<'a> {
    File(&'a str, &'a str),
    Dir(&'a str),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
}
use Item::{Dir, File, Hard, Link};

fn layer(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        match item {
            File(path, text) => {
                header.set_size(text.len() as u64);
                builder.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            Dir(path) => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, path, &b""[..]).unwrap();
            }
            Link(path, to) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, to).unwrap();
            }
            Hard(path, to) => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, to).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn scan(layers: &[&[Item<'_>]]) -> Inventory {
    let tars: Vec<Vec<u8>> = layers.iter().map(|items| layer(items)).collect();
    let sources: Vec<LayerSource<'_>> = tars
        .iter()
        .map(|bytes| LayerSource {
            diff_id: scan_layer_verified(bytes.as_slice(), None, &Options::default()).diff_id,
            open: Box::new(move || Ok(Box::new(bytes.as_slice()) as Box<dyn Read + Send>)),
            dir: None,
        })
        .collect();
    scan_layers(&sources, None, &Options::default()).unwrap()
}

fn names(inventory: &Inventory) -> Vec<String> {
    inventory.packages.iter().map(|p| format!("{} {} {}", p.name, p.version, p.layer.unwrap())).collect()
}

const RELEASE: Item<'static> = File("usr/lib/os-release", "ID=debian\nVERSION_ID=12\n");
const A: &str = "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n";
const AB: &str = "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\nPackage: b\nStatus: install ok installed\nVersion: 2\n";
const A2: &str = "Package: a\nStatus: install ok installed\nVersion: 1.1\nArchitecture: all\n";

#[test]
fn packages_belong_to_the_layer_that_brought_them() {
    let i = scan(&[
        &[Link("etc/os-release", "../usr/lib/os-release"), RELEASE, File("var/lib/dpkg/status", A)],
        &[File("tmp/x", "")],
        &[File("var/lib/dpkg/status", AB)],
        &[File("tmp/y", "")],
    ]);
    assert_eq!(names(&i), ["a 1 0", "b 2 2"]);
    assert_eq!(i.os.unwrap().version_id, "12");
    assert_eq!(i.layers.len(), 4);
    assert!(i.unknown.is_empty(), "{:?}", i.unknown);
}

#[test]
fn an_upgrade_moves_the_package_to_the_upper_layer() {
    let i = scan(&[&[RELEASE, File("var/lib/dpkg/status", A)], &[File("./var/lib/dpkg/status", A2)]]);
    assert_eq!(names(&i), ["a 1.1 1"]);
}

#[test]
fn whiteouts_hide_files_and_trees() {
    for gone in ["var/lib/dpkg/.wh.status", "var/lib/.wh.dpkg", ".wh.var", "var/lib/dpkg/.wh..wh..opq", ".wh..wh..opq"]
    {
        let i = scan(&[&[RELEASE, File("var/lib/dpkg/status", A)], &[File(gone, "")]]);
        assert!(i.packages.is_empty(), "{gone}");
        assert!(!i.unknown.is_empty(), "{gone}: a package list that was deleted must be told");
    }
    let i = scan(&[
        &[RELEASE, File("var/lib/dpkg/status", A)],
        &[File("var/lib/dpkg/.wh.stat", ""), File("var/.wh.l", "")],
    ]);
    assert_eq!(i.packages.len(), 1);
}

#[test]
fn an_opaque_directory_keeps_its_own_contents() {
    let i = scan(&[
        &[RELEASE, File("var/lib/dpkg/status", AB)],
        &[File("var/lib/dpkg/.wh..wh..opq", ""), File("var/lib/dpkg/status", A)],
    ]);
    assert_eq!(names(&i), ["a 1 0"]);
}

#[test]
fn a_directory_replaced_by_a_link_or_file_is_gone() {
    let lower: &[Item<'_>] = &[RELEASE, Dir("var/lib/dpkg"), File("var/lib/dpkg/status", A)];
    for upper in [
        Link("var/lib/dpkg", "/elsewhere"),
        File("var/lib/dpkg", ""),
        File("var", "x"),
        Hard("var/lib", "usr/lib/os-release"),
    ] {
        let i = scan(&[lower, &[RELEASE, upper]]);
        assert!(i.packages.is_empty());
        assert!(i.unknown.iter().any(|u| u.what == "package-list"));
    }
}

#[test]
fn a_file_replaced_by_a_directory_or_another_file_is_gone() {
    let i = scan(&[&[RELEASE, File("var/lib/dpkg/status", A)], &[Dir("var/lib/dpkg/status/")]]);
    assert!(i.packages.is_empty());
    let i = scan(&[&[RELEASE, File("var/lib/dpkg/status", A)], &[Link("var/lib/dpkg/status", "/dev/null")]]);
    assert!(i.packages.is_empty());
}

#[test]
fn a_file_that_comes_back_counts() {
    let i = scan(&[
        &[RELEASE, File("var/lib/dpkg/status", A)],
        &[File("var/lib/.wh.dpkg", "")],
        &[File("var/lib/dpkg/status", AB)],
    ]);
    assert_eq!(names(&i), ["a 1 0", "b 2 2"]);
}

#[test]
fn the_last_entry_of_a_name_wins_in_a_layer() {
    let i = scan(&[&[RELEASE, File("var/lib/dpkg/status", AB), File("var/lib/dpkg/status", A)]]);
    assert_eq!(names(&i), ["a 1 0"]);
    let i = scan(&[&[RELEASE, File("var/lib/dpkg/status", AB), Link("var/lib/dpkg/status", "x")]]);
    assert!(i.packages.is_empty());
}

#[test]
fn hard_links_give_their_targets_contents() {
    let i = scan(&[&[RELEASE, File("var/cache/store/ab12", A), Hard("var/lib/dpkg/status", "./var/cache/store/ab12")]]);
    assert_eq!(names(&i), ["a 1 0"]);
    let i = scan(&[&[RELEASE], &[Hard("var/lib/dpkg/status", "in/lower/layer")]]);
    assert!(i.unknown.iter().any(|u| u.why.contains("hard link")), "{:?}", i.unknown);
}

#[test]
fn a_cut_layer_gives_what_was_read_and_says_so() {
    let bytes = layer(&[RELEASE, File("var/lib/dpkg/status", A), File("tail", &"x".repeat(4000))]);
    let read = scan_layer(&bytes[..bytes.len() - 3000], "sha256:x", None, &Options::default());
    let i = merge(&[read], &Options::default());
    assert_eq!(i.packages.len(), 1);
    assert!(i.unknown.iter().any(|u| u.what == "layer" && u.why.contains("layer 0")));
}

#[test]
fn layers_survive_a_cache() {
    let bytes = layer(&[RELEASE, File("var/lib/dpkg/status", A)]);
    let read = scan_layer(bytes.as_slice(), "sha256:x", None, &Options::default());
    let json = serde_json::to_vec(&read).unwrap();
    let back: LayerInventory = serde_json::from_slice(&json).unwrap();
    assert_eq!(merge(&[back], &Options::default()), merge(&[read], &Options::default()));
}

#[test]
fn too_many_entries_end_the_reading() {
    let mut options = Options::default();
    options.limits.entries = 3;
    let bytes = layer(&[File("a", ""), File("b", ""), File("c", ""), File("d", ""), RELEASE]);
    let read = scan_layer(bytes.as_slice(), "sha256:x", None, &options);
    let i = merge(&[read], &options);
    assert!(i.unknown.iter().any(|u| u.what == "limit"));
    assert!(i.os.is_none());
}

#[test]
fn an_unpacked_layer_says_the_same_as_its_tar() {
    let dir = tempfile::tempdir().unwrap();
    let (lower, upper) = (dir.path().join("lower"), dir.path().join("upper"));
    std::fs::create_dir_all(lower.join("var/lib/dpkg")).unwrap();
    std::fs::create_dir_all(lower.join("usr/lib")).unwrap();
    std::fs::create_dir_all(upper.join("var/lib")).unwrap();
    std::fs::write(lower.join("var/lib/dpkg/status"), A).unwrap();
    std::fs::write(lower.join("usr/lib/os-release"), "ID=debian\nVERSION_ID=12\n").unwrap();
    let read = |path: &std::path::Path| crate::scan_layer_dir(path, "sha256:d", &Options::default()).unwrap();
    let i = merge(&[read(&lower), read(&upper)], &Options::default());
    assert_eq!(names(&i), ["a 1 0"]);
    assert_eq!(i.packages[0].kind, PackageKind::Deb);
    let device = rustix::fs::mknodat(
        rustix::fs::CWD,
        upper.join("var/lib/dpkg"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::empty(),
        rustix::fs::makedev(0, 0),
    );
    if let Err(error) = device {
        eprintln!("skipped the rest: making a whiteout device needs more rights ({error})");
        return;
    }
    let i = merge(&[read(&lower), read(&upper)], &Options::default());
    assert!(i.packages.is_empty());
}

#[test]
fn deleted_secrets_are_found_in_the_lower_layer() {
    let options = Options { secrets: true, checks: true, ..Options::default() };
    let read = |items: &[Item<'_>]| scan_layer(layer(items).as_slice(), "x", None, &options);
    let token = format!("{}{}", "ghp_", "a8Kd02mXq9Zr4TbL7vWn3YpC5sHj1GfE6uRo");
    let lower = read(&[RELEASE, File("root/token", &token), File("root/kept", &token), File("etc/shadow", "me::1:\n")]);
    let upper = read(&[File("root/.wh.token", "")]);
    let i = merge(&[lower, upper], &options);
    let seen: Vec<_> = i.secrets.iter().map(|s| (s.path.as_str(), s.deleted, s.layer)).collect();
    assert_eq!(seen, [("root/kept", false, Some(0)), ("root/token", true, Some(0))]);
    assert_eq!(i.weaknesses[0].id, "empty-password");
}
