//! What was found out before, kept in memory as far as there is not too much of it.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Longer texts are not remembered, or a thousand of them would take much memory.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// How many things are remembered; then all are forgotten, which costs each of them one look more.
const KNOWN_MAX: usize = 1_000;

pub(crate) struct Memo<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> Memo<String, V> {
    pub(crate) fn set_by_text(&self, text: &str, value: V) {
        if text.len() <= TEXT_BYTES_MAX {
            self.set(text.to_owned(), value);
        }
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
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
