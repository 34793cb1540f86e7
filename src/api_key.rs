//! An API key: made once, shown once, stored only as a hash. Two types keep the two apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use sha2::Sha256;

use crate::access::KeyTerms;
use crate::error::Result;
use crate::random::random;

const KEY_BYTES: usize = 32;

/// By which a program that looks for secrets knows a key.
const PREFIX: &str = "hlk_";

/// The key as its owner holds it. Neither printed by `Debug` nor stored.
pub(crate) struct PlainKey(String);

/// What the metadata store knows of a key.
#[derive(Clone)]
pub(crate) struct HashedKey([u8; 32]);

impl PlainKey {
    /// Makes a key of 32 random bytes in base64, behind what all keys begin with.
    pub(crate) fn generate() -> Result<Self> {
        let bytes = random::<KEY_BYTES>()?;
        Ok(Self(format!("{PREFIX}{}", STANDARD.encode(bytes))))
    }

    /// Shows the key; for the one answer that hands it over.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> HashedKey {
        HashedKey::of(&self.0)
    }
}

impl HashedKey {
    /// Hashes what a caller presents. A random key of 256 bits needs no salt and no slow hash.
    pub(crate) fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A stored key as lists show it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct ApiKey {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) created_at: i64,
    pub(crate) last_used_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    #[sqlx(json)]
    pub(crate) terms: KeyTerms,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_32_random_bytes_in_base64_behind_a_prefix() {
        let first = PlainKey::generate().unwrap();
        let second = PlainKey::generate().unwrap();
        let random = first.reveal().strip_prefix(PREFIX).unwrap();
        assert_eq!(STANDARD.decode(random).unwrap().len(), 32);
        assert_ne!(first.reveal(), second.reveal());
        assert_eq!(first.hash().as_bytes(), HashedKey::of(first.reveal()).as_bytes());
    }
}
