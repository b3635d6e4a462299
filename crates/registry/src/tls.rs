//! Which certificates a host is believed by.

use std::fs;
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::error::{RegistryError, Result};
use crate::options::Options;

/// Largest certificate file that is read, in bytes: the whole of Mozilla's list is 0.3 MB.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// TLS for one host. The system's authorities, unless the settings or docker's `certs.d` name others for this host:
/// then those alone.
pub(crate) fn config(host: &str, options: &Options) -> Result<TlsConfig> {
    let mut files: Vec<PathBuf> = options.registry(host).and_then(|r| r.ca.clone()).into_iter().collect();
    let mut client = None;
    if let Some(dir) = options.certificates.as_deref().and_then(|dir| host_dir(dir, host)) {
        for path in sorted_files(&dir)? {
            match path.extension().and_then(|e| e.to_str()) {
                Some("crt") => files.push(path),
                Some("cert") => client = Some(client_pair(&path)?),
                _ => {}
            }
        }
    }
    let mut authorities = Vec::new();
    for file in &files {
        let found = certificates(file)?;
        if found.is_empty() {
            return Err(unusable(file, "it holds no certificate in PEM form"));
        }
        authorities.extend(found);
    }
    let roots = if files.is_empty() { RootCerts::PlatformVerifier } else { RootCerts::from(authorities) };
    Ok(TlsConfig::builder().root_certs(roots).client_cert(client).build())
}

/// The host's directory. A host name never leads out of `dir`.
fn host_dir(dir: &Path, host: &str) -> Option<PathBuf> {
    let plain = !host.is_empty() && !host.starts_with('.') && !host.contains('/');
    plain.then(|| dir.join(host)).filter(|d| d.is_dir())
}

fn sorted_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(RegistryError::io("read", dir))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    Ok(paths)
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let pem = read(path)?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(e) => return Err(unusable(path, &format!("it is no PEM file: {e}"))),
        }
    }
    Ok(found)
}

/// The certificate that this machine shows, with the key beside it.
fn client_pair(path: &Path) -> Result<ClientCert> {
    let chain = certificates(path)?;
    let key_path = path.with_extension("key");
    let pem = zeroize::Zeroizing::new(read(&key_path)?);
    let key = parse_pem(&pem).find_map(|item| match item {
        Ok(PemItem::PrivateKey(key)) => Some(key),
        _ => None,
    });
    let key = key.ok_or_else(|| unusable(&key_path, "it holds no private key in PEM form"))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let file = fs::File::open(path).map_err(RegistryError::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(MAX_PEM_BYTES + 1).read_to_end(&mut bytes).map_err(RegistryError::io("read", path))?;
    if bytes.len() as u64 > MAX_PEM_BYTES {
        return Err(unusable(path, "it is larger than any list of certificates"));
    }
    Ok(bytes)
}

fn unusable(path: &Path, reason: &str) -> RegistryError {
    RegistryError::Setting { what: format!("the certificate file `{}`", path.display()), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_come_from_settings_and_from_docker() {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("r.example:5000");
        fs::create_dir(&host).unwrap();
        let key = rcgen::generate_simple_self_signed(vec!["r.example".to_owned()]).unwrap();
        fs::write(host.join("ca.crt"), key.cert.pem()).unwrap();
        let mut options = Options { certificates: Some(dir.path().to_owned()), ..Options::bare() };
        let roots = |options: &Options, host: &str| match config(host, options).unwrap().root_certs() {
            RootCerts::Specific(list) => list.len(),
            _ => 0,
        };
        assert_eq!(roots(&options, "r.example:5000"), 1);
        assert_eq!(roots(&options, "r.example"), 0);
        assert_eq!(roots(&options, ".."), 0);

        fs::write(host.join("client.cert"), key.cert.pem()).unwrap();
        assert!(config("r.example:5000", &options).is_err(), "a certificate without its key");
        fs::write(host.join("client.key"), key.signing_key.serialize_pem()).unwrap();
        assert!(config("r.example:5000", &options).unwrap().client_cert().is_some());

        let empty = dir.path().join("empty.pem");
        fs::write(&empty, b"nothing").unwrap();
        options.registries = vec![stockade_config::Registry {
            host: "s.example".into(),
            mirrors: vec![],
            insecure: false,
            ca: Some(empty),
            search: false,
        }];
        let error = config("s.example", &options).unwrap_err().to_string();
        assert!(error.contains("empty.pem") && error.contains("no certificate"), "{error}");
    }
}
