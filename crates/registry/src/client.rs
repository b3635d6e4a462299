//! The client, and the shortest way to use it.

use stockade_config::{ProcessEnvironment, Settings};
use stockade_image::{Reference, Store};

use crate::error::Result;
use crate::http::Transport;
use crate::options::Options;
use crate::progress::Progress;
use crate::pull::{PullOptions, Pulled};

/// A client of registries. It keeps connections and tokens, and may be shared by threads.
pub struct Client {
    pub(crate) transport: Transport,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client that goes by `options`. Nothing is connected to yet.
    pub fn new(options: Options) -> Client {
        Client { transport: Transport::new(options) }
    }

    /// What it goes by.
    pub fn options(&self) -> &Options {
        &self.transport.options
    }
}

/// Pulls an image for this machine into the store, from the places that the settings tell, with docker's credentials
/// and the proxies of the environment. For `FROM` and `run`, which need no more than that.
///
/// Errors: as [`Client::pull`].
pub fn resolve_and_pull(
    reference: &Reference,
    settings: &Settings,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Pulled> {
    let client = Client::new(Options::new(settings, &ProcessEnvironment));
    client.pull(store, reference, &PullOptions::default(), progress)
}
