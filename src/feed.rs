//! A feed: a file of a report under an address that needs no key, fresh whenever it is fetched. Plain data.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;
use sha2::Sha256;

use crate::error::Result;
use crate::random::random;

const TOKEN_BYTES: usize = 32;

/// By which a program that looks for secrets knows a token.
const PREFIX: &str = "hlf_";

/// What opens a feed; part of its address, and shown but once.
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn generate() -> Result<Self> {
        let bytes = random::<TOKEN_BYTES>()?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> Vec<u8> {
        Self::hash_of(&self.0)
    }

    pub(crate) fn hash_of(presented: &str) -> Vec<u8> {
        Sha256::digest(presented.as_bytes()).to_vec()
    }
}

/// A row of `feeds`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Feed {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    /// The key that made it, or has taken the place of that one.
    pub(crate) key_id: i64,
    pub(crate) report_id: i64,
    pub(crate) format: String,
    pub(crate) options: String,
    #[sqlx(json)]
    pub(crate) filter_values: BTreeMap<String, Vec<String>>,
    pub(crate) token_hash: Vec<u8>,
    /// How old its file may be, in microseconds.
    pub(crate) max_age: i64,
    pub(crate) stale_ok: bool,
    pub(crate) created_at: i64,
    pub(crate) last_used_at: Option<i64>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) is_paused: bool,
    pub(crate) job_id: Option<i64>,
}

impl Feed {
    /// Whether it is not over, and this is the hash of its token; in a time that does not tell where two differ.
    pub(crate) fn is_opened_by(&self, token_hash: &[u8], now_us: i64) -> bool {
        let pairs = self.token_hash.iter().zip(token_hash);
        let differences = pairs.fold(0, |all, (one, other)| all | (one ^ other));
        self.token_hash.len() == token_hash.len()
            && differences == 0
            && self.expires_at.is_none_or(|at| at > now_us)
    }
}

/// A feed to be made.
pub(crate) struct NewFeed {
    pub(crate) user_id: i64,
    pub(crate) key_id: i64,
    pub(crate) report_id: i64,
    pub(crate) format: String,
    pub(crate) options: String,
    pub(crate) filter_values: BTreeMap<String, Vec<String>>,
    pub(crate) max_age: i64,
    pub(crate) stale_ok: bool,
    pub(crate) expires_at: Option<i64>,
}
