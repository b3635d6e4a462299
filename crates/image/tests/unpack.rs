//! Unpacking: hostile tars change nothing outside, honest ones come out whole.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use stockade_image::layer::{Devices, Whiteouts, unpack};
use stockade_image::tar::{EntryHead, Kind};
use stockade_image::{ImageError, Limits, Result, UnpackOptions, UnpackReport};
use support::{Tar, gzip, head, scratch, skip_without_root, tree, xattrs};

fn options() -> UnpackOptions {
    UnpackOptions { ignore_owners: !rustix::process::geteuid().is_root(), ..UnpackOptions::default() }
}

fn unpack_at(tar: &[u8], root: &Path, options: &UnpackOptions) -> Result<UnpackReport> {
    let root = File::open(root).unwrap();
    unpack(tar, root.as_fd(), options)
}

/// Unpacks into `<scratch>/root`, with a victim file and directory beside it; asserts that both are untouched.
#[track_caller]
fn attack(tar: Vec<u8>) -> Result<UnpackReport> {
    let outside = scratch();
    let root = outside.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(outside.path().join("victim"), "intact").unwrap();
    fs::create_dir(outside.path().join("victims")).unwrap();
    let before = support::tree(outside.path());
    let result = unpack_at(&tar, &root, &options());
    let mut after = support::tree(outside.path());
    after.retain(|path, _| !path.starts_with("root"));
    let mut before = before;
    before.retain(|path, _| !path.starts_with("root"));
    assert_eq!(before, after, "something outside the root changed");
    result
}

#[track_caller]
fn refused(tar: Tar, part: &str) {
    let error = attack(tar.end()).unwrap_err();
    assert!(error.to_string().contains(part), "{error}");
}

#[track_caller]
fn harmless(tar: Tar) {
    attack(tar.end()).unwrap();
}

#[test]
fn dots_cannot_climb_out() {
    refused(Tar::new().file("../victim", b"x"), "climbs out");
    refused(Tar::new().file("a/../../victim", b"x"), "climbs out");
    refused(Tar::new().dir("..").file("x", b"x"), "climbs out");
    refused(Tar::new().symlink("../victim", "x"), "climbs out");
    refused(Tar::new().file("/../victim", b"x"), "climbs out");
}

#[test]
fn absolute_names_are_relative_to_the_root() {
    let dir = scratch();
    let target = dir.path().join("outside");
    let tar = Tar::new().file(target.to_str().unwrap(), b"x").end();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    unpack_at(&tar, &root, &options()).unwrap();
    assert!(!target.exists());
    assert_eq!(fs::read(root.join(target.strip_prefix("/").unwrap())).unwrap(), b"x");
}

#[test]
fn symbolic_links_resolve_inside_the_root() {
    // Relative, absolute, chained, and through a directory of the layer.
    harmless(Tar::new().symlink("l", "../victims").dir("victims").file("l/x", b"x"));
    harmless(Tar::new().symlink("l", "..").file("l/victim", b"x"));
    harmless(Tar::new().symlink("l", "/").dir("d").symlink("d/m", "../l").file("d/m/victim", b"x"));
    harmless(Tar::new().symlink("l", "../../../../../../../../../../tmp").file("l/stockade-attack", b"x"));
    assert!(!Path::new("/tmp/stockade-attack").exists());
    // The last name is never followed: the link is replaced.
    harmless(Tar::new().symlink("f", "../victim").file("f", b"x"));
    harmless(Tar::new().symlink("d", "../victims").dir("d").file("d/x", b"x"));
    // The owner, mode and time of a link's target stay.
    harmless(
        Tar::new()
            .symlink("f", "../victim")
            .entry(&EntryHead { mode: 0o777, uid: 5, mtime: 5, link: b"../victim", ..head(b"f", Kind::Symlink) }, b""),
    );
    refused(Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", b"x"), "loop");
    refused(Tar::new().file("f", b"x").file("f/y", b"x"), "not a directory");
}

#[test]
fn a_dangling_link_to_a_directory_is_completed_inside() {
    let dir = scratch();
    unpack_at(
        &Tar::new().symlink("l", "/a/b").symlink("m", "../../c").file("l/x", b"1").file("m/y", b"2").end(),
        dir.path(),
        &options(),
    )
    .unwrap();
    assert_eq!(fs::read(dir.path().join("a/b/x")).unwrap(), b"1");
    assert_eq!(fs::read(dir.path().join("c/y")).unwrap(), b"2");
}

#[test]
fn hard_links_cannot_reach_outside() {
    refused(Tar::new().hard_link("h", "../victim"), "leaves the layer");
    refused(Tar::new().hard_link("h", "/victim"), "does not exist in the layer");
    refused(Tar::new().symlink("l", "..").hard_link("h", "l/victim"), "does not exist in the layer");
    refused(Tar::new().dir("d").hard_link("h", "d"), "is a directory");
    refused(Tar::new().hard_link("h", "h"), "does not exist");
    // A hard link to a symbolic link is another link, not its target; writing to it replaces it.
    harmless(Tar::new().symlink("l", "../victim").hard_link("h", "l").file("h", b"x"));
    harmless(Tar::new().file("f", b"x").hard_link("f", "f").hard_link("g", "f").hard_link("g", "f"));
}

#[test]
fn the_root_itself_cannot_be_replaced() {
    refused(Tar::new().file(".", b"x"), "replace the root");
    refused(Tar::new().symlink("./", "/"), "replace the root");
    refused(Tar::new().symlink("a/..", "/"), "replace the root");
}

#[test]
fn whiteouts_cannot_reach_outside() {
    refused(Tar::new().file(".wh...", b""), "whiteout of nothing");
    refused(Tar::new().file(".wh..", b""), "whiteout of nothing");
    refused(Tar::new().file(".wh.", b""), "whiteout of nothing");
    refused(Tar::new().file(".wh.d/x", b""), "name of a whiteout");
    refused(Tar::new().file("../.wh.victim", b""), "climbs out");
    harmless(Tar::new().symlink("l", "..").file("l/.wh.victim", b""));
    harmless(Tar::new().symlink("l", "..").file("l/.wh..wh..opq", b""));
}

#[test]
fn applied_whiteouts_stay_inside() {
    let dir = scratch();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("old")).unwrap();
    fs::write(root.join("old/f"), "").unwrap();
    fs::write(root.join("gone"), "").unwrap();
    fs::create_dir(dir.path().join("victims")).unwrap();
    fs::write(dir.path().join("victims/v"), "").unwrap();
    std::os::unix::fs::symlink("../victims", root.join("link")).unwrap();
    let apply = UnpackOptions { whiteouts: Whiteouts::Apply, ..options() };
    let tar = Tar::new()
        .file("link/.wh.v", b"")
        .file(".wh.gone", b"")
        .file("new", b"")
        .file(".wh.new", b"")
        .file("old/kept", b"")
        .file("old/.wh..wh..opq", b"")
        .end();
    unpack_at(&tar, &root, &apply).unwrap();
    assert!(dir.path().join("victims/v").exists());
    assert!(!root.join("gone").exists() && !root.join("old/f").exists());
    assert!(root.join("new").exists() && root.join("old/kept").exists(), "what the layer made stays");
}

#[test]
fn limits_hold() {
    let limits = Limits { entries: 10, total_bytes: 1000, path_bytes: 50, depth: 4, pax_bytes: 2048 };
    let options = UnpackOptions { limits, ..options() };
    let many = (0..11).fold(Tar::new(), |tar, i| tar.file(&format!("f{i}"), b""));
    let attribute = [(b"user.x".to_vec(), vec![0; 3000])];
    let cases = [
        (many, "10 entries"),
        (Tar::new().file("f", &[0; 600]).file("g", &[0; 600]), "1000 bytes"),
        (Tar::new().file(&"n/".repeat(30), b""), "50 bytes"),
        (Tar::new().file("a/b/c/d/e", b""), "4 levels"),
        (Tar::new().entry(&EntryHead { xattrs: &attribute, ..head(b"f", Kind::File) }, b""), "2048 bytes"),
    ];
    for (tar, part) in cases {
        let dir = scratch();
        let error = unpack_at(&tar.end(), dir.path(), &options).unwrap_err();
        assert!(matches!(error, ImageError::OverLimit { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_bomb_of_a_few_bytes_stops_at_the_limit() {
    let dir = scratch();
    let tar = gzip(&Tar::new().file("zeros", &vec![0; 50 << 20]).end());
    assert!(tar.len() < 1 << 20);
    let limits = Limits { total_bytes: 1 << 20, ..Limits::default() };
    assert!(matches!(
        unpack_at(&tar, dir.path(), &UnpackOptions { limits, ..options() }),
        Err(ImageError::OverLimit { .. })
    ));
    assert!(!dir.path().join("zeros").exists());
}

#[test]
fn truncated_and_garbage_streams_are_errors() {
    let whole = Tar::new().file("f", &[7; 5000]).file("g", b"x").end();
    for cut in [100, 700, 512 + 4000, 512 + 5120 + 100] {
        let dir = scratch();
        let error = unpack_at(&whole[..cut], dir.path(), &options()).unwrap_err();
        assert!(matches!(error, ImageError::Truncated { .. }), "{cut}: {error}");
    }
    let error = unpack_at(&[b'x'; 2000], scratch().path(), &options()).unwrap_err();
    assert!(error.to_string().contains("no tar"), "{error}");
    let packed = gzip(&whole);
    let error = unpack_at(&packed[..packed.len() - 20], scratch().path(), &options()).unwrap_err();
    assert!(!error.to_string().is_empty());
}

#[test]
fn metadata_comes_out_whole() {
    if skip_without_root() {
        return;
    }
    let dir = scratch();
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let attributes = [
        (b"security.capability".to_vec(), capability.clone()),
        (b"trusted.overlay.opaque".to_vec(), b"y".to_vec()),
        (b"user.note".to_vec(), b"a\0b\n".to_vec()),
    ];
    let tar = Tar::new()
        .entry(&EntryHead { mode: 0o1777, mtime: 1_600_000_000, ..head(b"tmp", Kind::Directory) }, b"")
        .file("tmp/inner", b"changes the time of its directory")
        .entry(
            &EntryHead { mode: 0o4755, uid: 1000, gid: 2000, xattrs: &attributes, ..head(b"ping", Kind::File) },
            b"elf",
        )
        .entry(&EntryHead { uid: 7, gid: 8, link: b"ping", ..head(b"link", Kind::Symlink) }, b"")
        .entry(&EntryHead { mode: 0o600, ..head(b"pipe", Kind::Fifo) }, b"")
        .hard_link("same", "ping")
        .end();
    let report = unpack_at(&tar, dir.path(), &options()).unwrap();
    assert_eq!((report.entries, report.bytes, report.xattrs_skipped), (6 + 1, 33 + 3, 1), "an extended header counts");
    let ping = fs::metadata(dir.path().join("ping")).unwrap();
    assert_eq!((ping.mode() & 0o7777, ping.uid(), ping.gid(), ping.nlink()), (0o4755, 1000, 2000, 2));
    let found = xattrs(&dir.path().join("ping"));
    assert_eq!(found, [("security.capability".into(), capability), ("user.note".into(), b"a\0b\n".to_vec())]);
    let tmp = fs::metadata(dir.path().join("tmp")).unwrap();
    assert_eq!((tmp.mode() & 0o7777, tmp.mtime()), (0o1777, 1_600_000_000));
    let link = fs::symlink_metadata(dir.path().join("link")).unwrap();
    assert_eq!((link.uid(), link.gid(), link.mtime()), (7, 8, 1_700_000_000));
    assert!(fs::symlink_metadata(dir.path().join("pipe")).unwrap().file_type().is_fifo());
}

#[test]
fn devices_follow_the_policy() {
    if skip_without_root() {
        return;
    }
    let tar = Tar::new()
        .entry(&EntryHead { device: (1, 3), ..head(b"null", Kind::CharDevice) }, b"")
        .entry(&EntryHead { device: (0, 0), ..head(b"hidden-whiteout", Kind::CharDevice) }, b"")
        .hard_link("null2", "null")
        .end();
    let dir = scratch();
    let report = unpack_at(&tar, dir.path(), &options()).unwrap();
    assert_eq!((report.devices_skipped, report.notes.len()), (3, 2));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let report = unpack_at(&tar, dir.path(), &UnpackOptions { devices: Devices::Create, ..options() }).unwrap();
    assert_eq!(report.devices_skipped, 1);
    assert!(fs::metadata(dir.path().join("null")).unwrap().file_type().is_char_device());
}

#[test]
fn later_entries_replace_earlier_ones() {
    let dir = scratch();
    let tar = Tar::new()
        .dir("d")
        .file("d/x", b"1")
        .file("d", b"now a file")
        .file("f", b"1")
        .file("f", b"2")
        .symlink("l", "f")
        .dir("l")
        .file("l/inner", b"3")
        .dir("merged")
        .file("merged/a", b"")
        .dir("merged")
        .end();
    unpack_at(&tar, dir.path(), &options()).unwrap();
    assert_eq!(fs::read(dir.path().join("d")).unwrap(), b"now a file");
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"2");
    assert_eq!(fs::read(dir.path().join("l/inner")).unwrap(), b"3");
    assert!(dir.path().join("merged/a").exists());
}

#[test]
fn directory_links_can_be_kept() {
    let dir = scratch();
    let tar = Tar::new().dir("usr/lib").symlink("lib", "usr/lib").dir("lib").file("lib/x", b"1").end();
    unpack_at(&tar, dir.path(), &UnpackOptions { keep_directory_links: true, ..options() }).unwrap();
    assert!(fs::symlink_metadata(dir.path().join("lib")).unwrap().is_symlink());
    assert!(dir.path().join("usr/lib/x").exists());
}

/// GNU tar and Go's reader are what images are made with: what the first writes must come out here.
#[test]
fn archives_of_gnu_tar_in_every_format_come_out_the_same() {
    if skip_without_root() {
        return;
    }
    let dir = scratch();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("n".repeat(200)), b"long name").unwrap();
    let deep = source.join("d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("größe"), b"deep").unwrap();
    std::os::unix::fs::symlink("t".repeat(150), source.join("long-link")).unwrap();
    fs::hard_link(deep.join("größe"), source.join("hard")).unwrap();
    fs::set_permissions(source.join("hard"), fs::Permissions::from_mode(0o6711)).unwrap();
    rustix::fs::chownat(
        rustix::fs::CWD,
        source.join("hard"),
        Some(rustix::fs::Uid::from_raw(3_000_000)),
        Some(rustix::fs::Gid::from_raw(3)),
        rustix::fs::AtFlags::empty(),
    )
    .unwrap();
    let sparse = File::create(source.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"middle", 5 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &[1; 10_000], 9 << 20).unwrap();
    sparse.set_len(20 << 20).unwrap();
    sparse.sync_all().unwrap();
    let whole_seconds = rustix::fs::Timespec { tv_sec: 1_500_000_000, tv_nsec: 0 };
    for path in tree(&source).keys() {
        let times = rustix::fs::Timestamps { last_access: whole_seconds, last_modification: whole_seconds };
        let path = source.join(path);
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    let expected = tree(&source);
    for format in ["gnu", "oldgnu", "pax", "posix"] {
        for sparse_version in ["", "--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"] {
            if !sparse_version.is_empty() && !matches!(format, "pax" | "posix") {
                continue;
            }
            let mut command = std::process::Command::new("tar");
            command.args(["-S", "-H", format, "-C"]).arg(&source).args(["-cf", "-"]);
            if !sparse_version.is_empty() {
                command.arg(sparse_version);
            }
            let tar = command.arg(".").output().unwrap();
            assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
            assert!(tar.stdout.len() < 1 << 20, "GNU tar stored the holes");
            let out = dir.path().join(format!("{format}{sparse_version}"));
            fs::create_dir(&out).unwrap();
            unpack_at(&tar.stdout, &out, &options()).unwrap();
            assert_eq!(tree(&out), expected, "{format} {sparse_version}");
            let blocks = fs::metadata(out.join("sparse")).unwrap().blocks();
            assert!(blocks < 200, "{format} {sparse_version}: holes were filled ({blocks} blocks)");
        }
    }
}

#[test]
fn nanoseconds_and_times_before_1970_are_kept() {
    let dir = scratch();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("mtime", &b"-1.25"[..])]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("f").unwrap();
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append(&header, &b""[..]).unwrap();
    unpack_at(&builder.into_inner().unwrap(), dir.path(), &options()).unwrap();
    let m = fs::metadata(dir.path().join("f")).unwrap();
    assert_eq!((m.mtime(), m.mtime_nsec()), (-2, 750_000_000));
}
