//! Keys of steps, and what the cache keeps under them.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stockade_image::{Digest, Layer, Store};

use crate::error::BuildError;

/// Version of the meaning of keys. A change of what a step does must change it, else old results would be used.
const KEY_VERSION: &str = "stockade-build-1";

/// Collects what a step's result depends on. Every field has its name and length in the hash, so that no two lists of
/// fields run into each other.
pub(crate) struct Key(Sha256);

impl Key {
    pub(crate) fn new(kind: &str) -> Key {
        let mut key = Key(Sha256::new());
        key.field("version", KEY_VERSION).field("kind", kind);
        key
    }

    pub(crate) fn field(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Key {
        let value = value.as_ref();
        for part in [name.as_bytes(), value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    pub(crate) fn list<T: AsRef<[u8]>>(&mut self, name: &str, values: impl IntoIterator<Item = T>) -> &mut Key {
        self.field(name, "[");
        for value in values {
            self.field("", value);
        }
        self.field("", "]")
    }

    pub(crate) fn finish(self) -> String {
        Digest::from_bytes(self.0.finalize().into()).hex()
    }
}

/// The result of a step that makes a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) layer: Layer,
    /// RFC 3339 time at which it was made.
    pub(crate) created: String,
    /// The instruction, for `builder du`.
    pub(crate) step: String,
}

/// A record whose layer is still in the store.
pub(crate) fn lookup(store: &Store, key: &str) -> Result<Option<Record>, BuildError> {
    let Some(bytes) = store.cache_get(key) else { return Ok(None) };
    // A record of another version is no error: the step runs again.
    let Ok(record) = serde_json::from_slice::<Record>(&bytes) else { return Ok(None) };
    Ok(store.layer(&record.layer.diff_id)?.map(|layer| Record { layer, ..record }))
}

pub(crate) fn remember(store: &Store, key: &str, record: &Record) -> Result<(), BuildError> {
    let Ok(bytes) = serde_json::to_vec(record) else { return Ok(()) };
    store.cache_put_pinned(key, &bytes, &[record.layer.diff_id, record.layer.descriptor.digest])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let key = |fill: fn(&mut Key)| {
            let mut key = Key::new("RUN");
            fill(&mut key);
            key.finish()
        };
        let a = key(|k| {
            k.list("args", ["ab", "c"]);
        });
        let b = key(|k| {
            k.list("args", ["a", "bc"]);
        });
        let c = key(|k| {
            k.list("args", ["ab"]).field("c", "");
        });
        assert_ne!(a, b);
        assert_ne!(a, c);
        assert_eq!(
            a,
            key(|k| {
                k.list("args", ["ab", "c"]);
            })
        );
    }
}
