//! Everything that can go wrong while a base image is made: what, why, and what to do next.

use std::io;
use std::path::PathBuf;

/// Errors of this room. Messages name the thing; the cause, where there is one, is the `source`.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The name is a distribution of ours, but its tag is none that we know.
    #[error("`{name}` names no suite of {distro} that Stockade can build; known are: {known}")]
    UnknownSuite {
        /// The name as given.
        name: String,
        /// "Debian" or "Ubuntu".
        distro: &'static str,
        /// The suites, comma separated.
        known: String,
    },
    /// The archive has no packages for this machine's architecture.
    #[error("Stockade does not know how {distro} calls the architecture `{arch}`; give one of: {known}")]
    UnknownArchitecture {
        /// "Debian" or "Ubuntu".
        distro: &'static str,
        /// As given.
        arch: String,
        /// Known names, comma separated.
        known: String,
    },
    /// A mirror address is not one that we can use.
    #[error("the mirror address `{address}` ({origin}) is no http or https address")]
    BadMirror {
        /// The address.
        address: String,
        /// Where it came from.
        origin: String,
    },
    /// The address does not answer at all.
    #[error("cannot reach `{url}`: {cause}; check the network, or name a mirror that answers ({origin})")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the network said.
        cause: String,
        /// Where the mirror came from and how to set another.
        origin: String,
    },
    /// The address answered, but not with the file.
    #[error("`{url}` answered with HTTP status {status}; {hint}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status code.
        status: u16,
        /// What to do.
        hint: String,
    },
    /// The transfer broke off, or was longer than allowed.
    #[error("cannot download `{url}`: {cause}")]
    Transfer {
        /// What was asked for.
        url: String,
        /// What happened.
        cause: String,
    },
    /// A file's bytes are not those that the signed index promises.
    #[error(
        "`{url}` is not the file that the signed index describes: {what} is {got}, expected {expected}; \
         the mirror is damaged, behind, or tampered with: try again later or use another mirror"
    )]
    Mismatch {
        /// Where the bytes came from.
        url: String,
        /// "size" or "SHA256".
        what: &'static str,
        /// What we got.
        got: String,
        /// What was promised.
        expected: String,
    },
    /// No keyring holds a key for this distribution.
    #[error(
        "no archive key of {distro} was found (looked in {looked}); install `{package}`, \
         or name a keyring file with `keyring=FILE`"
    )]
    NoKeyring {
        /// "Debian" or "Ubuntu".
        distro: &'static str,
        /// The package that ships the keys.
        package: &'static str,
        /// The places, comma separated.
        looked: String,
    },
    /// A keyring file cannot be read as OpenPGP keys.
    #[error("cannot read keys from `{}`: {cause}", path.display())]
    BadKeyring {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The signature of a Release file does not hold.
    #[error("the signature of `{url}` cannot be trusted: {cause}")]
    Signature {
        /// The InRelease file.
        url: String,
        /// Why, with the next step.
        cause: String,
    },
    /// The Release file is too old, or from the future.
    #[error("`{url}` {cause}")]
    Stale {
        /// The InRelease file.
        url: String,
        /// Why, with the next step.
        cause: String,
    },
    /// The signed Release is not of the suite that was asked for.
    #[error("`{url}` describes {got}, but {expected} was asked for; check the mirror's address")]
    WrongSuite {
        /// The InRelease file.
        url: String,
        /// What it describes.
        got: String,
        /// What was asked for.
        expected: String,
    },
    /// An index or a control file is not in the form that Debian policy describes.
    #[error("cannot understand `{what}`: {cause}")]
    Malformed {
        /// File or URL.
        what: String,
        /// Why, with the place where it is known.
        cause: String,
    },
    /// A package of the minimal set is not in the archive, or its dependencies are not.
    #[error("the archive offers nothing to satisfy `{wanted}`, which {wanted_by} needs")]
    Unsatisfiable {
        /// Package or dependency.
        wanted: String,
        /// Who needs it.
        wanted_by: String,
    },
    /// Files cannot be given their owners.
    #[error(
        "making `{name}` gives files their owners, which this user may not; run as root, \
         or in a user namespace that maps a range of users"
    )]
    NeedsRoot {
        /// The image.
        name: String,
    },
    /// A package cannot be unpacked.
    #[error("cannot unpack `{package}`: {cause}")]
    Unpack {
        /// File name of the package.
        package: String,
        /// Why, with the entry's name.
        cause: String,
    },
    /// A maintainer script failed.
    #[error("{what} failed with exit code {code} while configuring the new root; its last lines were:\n{log}")]
    Configure {
        /// The command.
        what: String,
        /// Its exit code.
        code: i32,
        /// The end of its output.
        log: String,
    },
    /// A program could not be started in the new root.
    #[error("cannot run {what} in the new root")]
    Runner {
        /// The command.
        what: String,
        /// Why.
        #[source]
        source: crate::RunnerError,
    },
    /// A file operation failed.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// As a verb phrase ("write", "create directory").
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A lock or a durable write failed.
    #[error(transparent)]
    Durable(#[from] stockade_durable::DurableError),
}

impl BaseError {
    /// For `map_err` on file operations.
    pub(crate) fn io<'p>(
        what: &'static str,
        path: &'p std::path::Path,
    ) -> impl FnOnce(io::Error) -> BaseError + use<'p> {
        move |source| BaseError::Io { what, path: path.to_owned(), source }
    }
}
