use super::*;
use crate::rpmdb::header::build::{Value, header};
use crate::testing::{packages, read};

fn openssl(vendor: &str) -> Vec<u8> {
    header(&[
        (tag::NAME, Value::Text("openssl-libs")),
        (tag::VERSION, Value::Text("3.0.7")),
        (tag::RELEASE, Value::Text("27.el9")),
        (tag::EPOCH, Value::Numbers(&[1])),
        (tag::VENDOR, Value::Text(vendor)),
        (tag::LICENSE, Value::Text("ASL 2.0")),
        (tag::ARCH, Value::Text("x86_64")),
        (tag::SOURCE_RPM, Value::Text("openssl-3.0.7-27.el9.src.rpm")),
        (tag::DIR_INDEXES, Value::Numbers(&[0, 0, 1])),
        (tag::BASE_NAMES, Value::Texts(&["libssl.so.3", "libcrypto.so.3", "openssl.cnf"])),
        (tag::DIR_NAMES, Value::Texts(&["/usr/lib64/", "/etc/pki/tls/"])),
    ])
}

fn key() -> Vec<u8> {
    header(&[(tag::NAME, Value::Text("gpg-pubkey")), (tag::VERSION, Value::Text("1"))])
}

/// A long header, to need overflow pages.
fn big() -> Vec<u8> {
    let files: Vec<String> = (0..3000).map(|i| format!("file{i}")).collect();
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    header(&[
        (tag::NAME, Value::Text("big")),
        (tag::VERSION, Value::Text("1")),
        (tag::RELEASE, Value::Text("1")),
        (tag::BASE_NAMES, Value::Texts(&names)),
    ])
}

/// Packages.db: one page of slots, then blobs.
fn ndb(blobs: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![0u8; 4096];
    file[..4].copy_from_slice(b"RpmP");
    file[12..16].copy_from_slice(&1u32.to_le_bytes());
    for (index, blob) in blobs.iter().enumerate() {
        while !file.len().is_multiple_of(16) {
            file.push(0);
        }
        let slot = 32 + index * 16;
        let at = (file.len() / 16) as u32;
        file[slot..slot + 4].copy_from_slice(b"Slot");
        file[slot + 4..slot + 8].copy_from_slice(&(index as u32 + 1).to_le_bytes());
        file[slot + 8..slot + 12].copy_from_slice(&at.to_le_bytes());
        file.extend_from_slice(b"BlbS");
        file.extend_from_slice(&(index as u32 + 1).to_le_bytes());
        file.extend_from_slice(&[0; 4]);
        file.extend_from_slice(&(blob.len() as u32).to_le_bytes());
        file.extend_from_slice(blob);
    }
    file
}

/// Packages: a meta page, one hash page with all values on overflow pages, then those.
fn berkeley(blobs: &[Vec<u8>]) -> Vec<u8> {
    const PAGE: usize = 4096;
    let mut pages: Vec<Vec<u8>> = vec![vec![0; PAGE], vec![0; PAGE]];
    pages[1][25] = 13;
    pages[1][20..22].copy_from_slice(&(blobs.len() as u16 * 2).to_le_bytes());
    let mut end = PAGE;
    for (index, blob) in blobs.iter().enumerate() {
        let first = pages.len() as u32;
        for (part, chunk) in blob.chunks(PAGE - 26).enumerate() {
            let mut page = vec![0; PAGE];
            page[25] = 7;
            let last = (part + 1) * (PAGE - 26) >= blob.len();
            let next = if last { 0 } else { pages.len() as u32 + 1 };
            page[16..20].copy_from_slice(&next.to_le_bytes());
            page[22..24].copy_from_slice(&(chunk.len() as u16).to_le_bytes());
            page[26..26 + chunk.len()].copy_from_slice(chunk);
            pages.push(page);
        }
        let key_at = end - 5;
        let value_at = key_at - 12;
        pages[1][key_at] = 1;
        pages[1][value_at] = 3;
        pages[1][value_at + 4..value_at + 8].copy_from_slice(&first.to_le_bytes());
        pages[1][value_at + 8..value_at + 12].copy_from_slice(&(blob.len() as u32).to_le_bytes());
        for (item, at) in [(index * 2, key_at), (index * 2 + 1, value_at)] {
            pages[1][26 + item * 2..28 + item * 2].copy_from_slice(&(at as u16).to_le_bytes());
        }
        end = value_at;
    }
    let last = pages.len() as u32 - 1;
    pages[0][12..16].copy_from_slice(&0x0006_1561u32.to_le_bytes());
    pages[0][20..24].copy_from_slice(&(PAGE as u32).to_le_bytes());
    pages[0][32..36].copy_from_slice(&last.to_le_bytes());
    pages.concat()
}

/// rpmdb.sqlite, written by hand: page 1 with the schema, page 2 an interior page, leaves and overflow pages after it.
fn sqlite(blobs: &[Vec<u8>]) -> Vec<u8> {
    const PAGE: usize = 4096;
    let varint = |value: usize| {
        let mut out = vec![(value & 0x7f) as u8];
        let mut rest = value >> 7;
        while rest > 0 {
            out.insert(0, (rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out
    };
    let leaf = |start: usize, cell: &[u8]| {
        let mut page = vec![0; PAGE];
        let at = PAGE - cell.len();
        page[start] = 0x0d;
        page[start + 3..start + 5].copy_from_slice(&1u16.to_be_bytes());
        page[start + 8..start + 10].copy_from_slice(&(at as u16).to_be_bytes());
        page[at..].copy_from_slice(cell);
        page
    };
    let schema = {
        let mut record = vec![6, 23, 29, 29, 1, 13 + 2 * 3];
        record.extend_from_slice(b"tablePackagesPackages\x02sql");
        [varint(record.len()), vec![1], record].concat()
    };
    let mut pages = vec![leaf(100, &schema), vec![0; PAGE]];
    pages[0][..16].copy_from_slice(b"SQLite format 3\0");
    pages[0][16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
    let mut leaves = Vec::new();
    for (row, blob) in blobs.iter().enumerate() {
        let kind = varint(blob.len() * 2 + 12);
        let payload = [vec![2 + kind.len() as u8, 0], kind, blob.clone()].concat();
        let (most, least) = (PAGE - 35, (PAGE - 12) * 32 / 255 - 23);
        let local = if payload.len() <= most {
            payload.len()
        } else {
            let fit = least + (payload.len() - least) % (PAGE - 4);
            if fit <= most { fit } else { least }
        };
        let mut cell = [varint(payload.len()), varint(row + 1), payload[..local].to_vec()].concat();
        let rest: Vec<&[u8]> = payload[local..].chunks(PAGE - 4).collect();
        if !rest.is_empty() {
            cell.extend_from_slice(&(pages.len() as u32 + 1).to_be_bytes());
        }
        for (index, chunk) in rest.iter().enumerate() {
            let next = if index + 1 == rest.len() { 0 } else { pages.len() as u32 + 2 };
            let mut page = next.to_be_bytes().to_vec();
            page.extend_from_slice(chunk);
            page.resize(PAGE, 0);
            pages.push(page);
        }
        pages.push(leaf(0, &cell));
        leaves.push(pages.len() as u32);
    }
    let (last, others) = leaves.split_last().unwrap();
    pages[1][0] = 5;
    pages[1][3..5].copy_from_slice(&(others.len() as u16).to_be_bytes());
    pages[1][8..12].copy_from_slice(&last.to_be_bytes());
    for (index, leaf) in others.iter().enumerate() {
        let at = PAGE - (index + 1) * 5;
        pages[1][12 + index * 2..14 + index * 2].copy_from_slice(&(at as u16).to_be_bytes());
        pages[1][at..at + 4].copy_from_slice(&leaf.to_be_bytes());
    }
    pages.concat()
}

fn forms() -> [(&'static str, Vec<u8>); 3] {
    let blobs = [openssl("Red Hat, Inc."), key(), big()];
    [
        ("var/lib/rpm/Packages.db", ndb(&blobs)),
        ("var/lib/rpm/Packages", berkeley(&blobs)),
        ("var/lib/rpm/rpmdb.sqlite", sqlite(&blobs)),
    ]
}

#[test]
fn all_three_formats_say_the_same() {
    for (path, file) in forms() {
        let facts = read(&Rpm, path, &file);
        assert_eq!(packages(&facts), ["openssl-libs 1:3.0.7-27.el9", "big 1-1"], "{path} {:?}", facts.unknown);
        let source = facts.packages[0].source.as_ref().unwrap();
        assert_eq!((source.name.as_str(), source.version.as_str()), ("openssl", "1:3.0.7-27.el9"));
        assert_eq!(facts.owned.len(), 3, "{path}");
        assert!(facts.owned.contains(&crate::pathhash::owner(b"/usr/lib64/libssl.so.3")));
        assert!(facts.unknown.is_empty(), "{path}: {:?}", facts.unknown);
        assert!(facts.notes.contains(&Note::DatabaseRead(PackageKind::Rpm)));
    }
}

#[test]
fn files_of_other_vendors_are_not_the_distributions() {
    let facts = read(&Rpm, "var/lib/rpm/Packages.db", &ndb(&[openssl("Example Ltd")]));
    assert_eq!(facts.packages.len(), 1);
    assert!(facts.owned.is_empty());
}

#[test]
fn damage_is_told_and_the_rest_read() {
    for (path, file) in forms() {
        let cut = read(&Rpm, path, &file[..file.len() - 4096]);
        assert!(!cut.unknown.is_empty(), "{path}");
    }
    let mut file = ndb(&[b"junk that is no header".to_vec(), big()]);
    let facts = read(&Rpm, "var/lib/rpm/Packages.db", &file);
    assert_eq!((packages(&facts).len(), facts.unknown.len()), (1, 1));
    file[0] = b'X';
    assert_eq!(read(&Rpm, "var/lib/rpm/Packages.db", &file).unknown.len(), 1);
    assert_eq!(read(&Rpm, "var/lib/rpm/Packages", b"").unknown.len(), 1);
}

#[test]
fn a_write_ahead_log_is_told() {
    assert!(read(&Rpm, "var/lib/rpm/rpmdb.sqlite-wal", &[0; 4096]).unknown[0].why.contains("write-ahead"));
    assert!(read(&Rpm, "var/lib/rpm/rpmdb.sqlite-wal", b"").unknown.is_empty());
}

#[test]
fn distroless_list() {
    let line = "openssl\t1.1.1k-21.cm2\t1653816591\t1653753130\tMicrosoft Corporation\t(none)\t912\tx86_64\t0\topenssl-1.1.1k-21.cm2.src.rpm\n";
    let facts = read(&Rpm, "var/lib/rpmmanifest/container-manifest-2", line.as_bytes());
    assert_eq!(packages(&facts), ["openssl 1.1.1k-21.cm2"]);
    assert_eq!(facts.packages[0].arch.as_deref(), Some("x86_64"));
}

proptest::proptest! {
    #[test]
    fn changed_bytes_do_not_panic(form in 0usize..3, at in 0usize..9000, byte: u8, cut in 0usize..40_000) {
        let (path, mut file) = forms().into_iter().nth(form).unwrap();
        if let Some(b) = file.get_mut(at) { *b = byte; }
        file.truncate(cut.max(100));
        let _ = read(&Rpm, path, &file);
    }
}
