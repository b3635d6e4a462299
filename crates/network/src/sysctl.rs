//! Kernel settings of the calling thread's network namespace, below `/proc/sys/net`.

use std::path::Path;
use std::{fs, io};

use crate::error::NetworkError;

const BASE: &str = "/proc/sys/net";

/// Reads a setting, for example `ipv4/ip_forward`, without its final newline.
pub(crate) fn read(name: &str) -> io::Result<String> {
    Ok(fs::read_to_string(Path::new(BASE).join(name))?.trim_end().to_owned())
}

/// Writes a setting.
pub(crate) fn write(name: &str, value: &str) -> Result<(), NetworkError> {
    fs::write(Path::new(BASE).join(name), value)
        .map_err(|e| NetworkError::kernel(format!("set net.{} to {value}", name.replace('/', ".")), e))
}

/// Whether the kernel speaks IPv6 at all.
pub(crate) fn has_ipv6() -> bool {
    Path::new(BASE).join("ipv6").exists()
}
