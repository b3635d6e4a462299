//! A tiny signed archive, made and served by the test itself.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pgp::composed::{ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::types::Password;
use sha2::{Digest, Sha256};

/// Files by path, as the server gives them; tests change them.
pub type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// An HTTP server on a free port of 127.0.0.1 until dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it serves.
    pub files: Files,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts serving `files`.
    pub fn start(files: HashMap<String, Vec<u8>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let files: Files = Arc::new(Mutex::new(files));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopping) = (files.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let files = shared.clone();
                std::thread::spawn(move || answer(connection, &files));
            }
        });
        Server { address, files, stop, thread: Some(thread) }
    }

    /// The archive's address.
    pub fn url(&self) -> String {
        format!("http://{}/debian", self.address)
    }

    /// Changes one file.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.files.lock().unwrap().get_mut(path).unwrap_or_else(|| panic!("no file {path}")));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut connection: TcpStream, files: &Files) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    lines.take_while(|l| !l.is_empty()).for_each(drop);
    let path = request.split(' ').nth(1).unwrap_or("").to_owned();
    let body = files.lock().unwrap().get(&path).cloned();
    let (status, body) = body.map_or(("404 Not Found", Vec::new()), |b| ("200 OK", b));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&body));
}

/// Entries of a package: path, and what is there.
pub type Content<'a> = &'a [(&'a str, Entry<'a>)];

/// One entry.
pub enum Entry<'a> {
    /// A directory with a mode.
    Dir(u32),
    /// A file with mode and content.
    File(u32, &'a str),
    /// A symbolic link.
    Link(&'a str),
    /// A hard link.
    Hard(&'a str),
}

/// A package as bytes: control stanza, other control files, content.
pub fn deb(control: &str, scripts: &[(&str, &str)], content: Content<'_>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in [("control", control)].iter().chain(scripts) {
        append(&mut tar, &format!("./{name}"), &Entry::File(0o755, text));
    }
    let control = zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    for (path, entry) in content {
        append(&mut tar, path, entry);
    }
    let mut data = Vec::new();
    let mut xz = liblzma::write::XzEncoder::new(&mut data, 1);
    xz.write_all(&tar.into_inner().unwrap()).unwrap();
    xz.finish().unwrap();
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("control.tar.zst", &control), ("data.tar.xz", &data)] {
        out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).bytes());
        out.extend_from_slice(bytes);
        out.extend((bytes.len() % 2 == 1).then_some(b'\n'));
    }
    out
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, entry: &Entry<'_>) {
    let mut header = tar::Header::new_gnu();
    // Written by hand, because the library rightly refuses the paths that some tests need.
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_mtime(1_000_000_000);
    header.set_uid(0);
    header.set_gid(0);
    let (kind, mode, data, link) = match entry {
        Entry::Dir(mode) => (tar::EntryType::Directory, *mode, "", ""),
        Entry::File(mode, data) => (tar::EntryType::Regular, *mode, *data, ""),
        Entry::Link(to) => (tar::EntryType::Symlink, 0o777, "", *to),
        Entry::Hard(to) => (tar::EntryType::Link, 0o644, "", *to),
    };
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(data.len() as u64);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    tar.append(&header, data.as_bytes()).unwrap();
}

/// What goes into the archive.
pub struct Spec {
    /// Packages: index fields besides those about the file, and the file.
    pub packages: Vec<(String, Vec<u8>)>,
    /// Fields of the Release, besides the hashes.
    pub release: String,
}

/// A key for signing.
pub fn key() -> SignedSecretKey {
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_certify(true)
        .primary_user_id("Test Archive <test@example.org>".into())
        .build()
        .unwrap()
        .generate(rand::thread_rng())
        .unwrap()
}

/// Writes the public part of a key as an armored keyring.
pub fn write_keyring(key: &SignedSecretKey, path: &Path) {
    std::fs::write(path, key.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap()).unwrap();
}

/// Makes the files of an archive with the one suite `sid`.
pub fn build(spec: &Spec, key: &SignedSecretKey) -> HashMap<String, Vec<u8>> {
    let mut files = HashMap::new();
    let mut index = String::new();
    for (number, (fields, bytes)) in spec.packages.iter().enumerate() {
        let name = format!("pool/main/p{number}.deb");
        index.push_str(&format!(
            "{}\nFilename: {name}\nSize: {}\nSHA256: {}\n\n",
            fields.trim_end(),
            bytes.len(),
            sha256(bytes)
        ));
        files.insert(format!("/debian/{name}"), bytes.clone());
    }
    let mut packages = Vec::new();
    let mut xz = liblzma::write::XzEncoder::new(&mut packages, 1);
    xz.write_all(index.as_bytes()).unwrap();
    xz.finish().unwrap();
    let release = format!(
        "{}\nSHA256:\n {} {} main/binary-amd64/Packages.xz\n",
        spec.release.trim_end(),
        sha256(&packages),
        packages.len()
    );
    files.insert("/debian/dists/sid/main/binary-amd64/Packages.xz".into(), packages);
    files.insert("/debian/dists/sid/InRelease".into(), sign(&release, key));
    files
}

/// Clear-signs a text.
pub fn sign(text: &str, key: &SignedSecretKey) -> Vec<u8> {
    CleartextSignedMessage::sign(rand::thread_rng(), text, &key.primary_key, &Password::empty())
        .unwrap()
        .to_armored_bytes(ArmorOptions::default())
        .unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
