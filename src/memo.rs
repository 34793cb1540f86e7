//! What was found out before, kept in memory as far as there is not too much of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use sha2::Digest as _;
use sha2::Sha256;

/// How many things are remembered; then all are forgotten, which costs each of them one look more.
const KNOWN_MAX: usize = 1_000;

pub(crate) struct Memo<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// What was found out about texts, which may be long: by their SHA-256.
pub(crate) type OfText<V> = Memo<[u8; 32], V>;

impl<V: Clone> OfText<V> {
    pub(crate) fn get_of(&self, text: &str) -> Option<V> {
        self.get(&Sha256::digest(text).into())
    }

    pub(crate) fn set_of(&self, text: &str, value: V) {
        self.set(Sha256::digest(text).into(), value);
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).cloned()
    }

    pub(crate) fn set(&self, key: K, value: V) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key, value);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
