//! How far a bootstrap has come, for whoever shows it.

/// A step of the bootstrap, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Reading and verifying the archive's signed indexes.
    Index,
    /// Downloading packages; counted in bytes.
    Download,
    /// Unpacking packages; counted in packages.
    Unpack,
    /// Running the packages' maintainer scripts.
    Configure,
    /// Removing logs and caches, setting times.
    Tidy,
}

impl Phase {
    /// What is being done, as a short phrase for a person.
    pub fn describe(self) -> &'static str {
        match self {
            Phase::Index => "verifying the archive's indexes",
            Phase::Download => "downloading packages",
            Phase::Unpack => "unpacking packages",
            Phase::Configure => "configuring packages",
            Phase::Tidy => "tidying the root",
        }
    }
}

/// Receives progress. Called on the thread that called [`crate::bootstrap()`], never concurrently.
pub trait Progress {
    /// A phase begins; `total` is its size (bytes for downloads, packages for unpacking) where it is known.
    fn phase(&mut self, phase: Phase, total: Option<u64>);
    /// `amount` more of the running phase is done, in the unit of its total.
    fn advance(&mut self, amount: u64);
    /// Something a person should see once, such as which mirror is used and why. One sentence.
    fn note(&mut self, text: &str);
}

/// Shows nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&mut self, _: Phase, _: Option<u64>) {}
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, _: &str) {}
}
