//! Requests that may be sent again: `Idempotency-Key`.

use axum::http::HeaderMap;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;

use crate::error::Error;
use crate::http::auth::Caller;
use crate::store::idempotency::Idempotency;

const HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 255;

/// What the caller calls this request, if anything, and what it asks for.
pub(super) fn once(
    caller: &Caller,
    headers: &HeaderMap,
    request: &impl Serialize,
) -> Result<Option<Idempotency>, Error> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let wanted = format!("1 to {KEY_BYTES_MAX} visible ASCII characters");
        return Err(Error::must_be("Idempotency-Key", &wanted, key));
    }
    let request = serde_json::to_vec(request).map_err(Error::internal)?;
    Ok(Some(Idempotency {
        user_id: caller.user.id,
        // Keys with other pinned values have names of their own.
        key: match caller.terms.pins.is_empty() {
            true => key.to_owned(),
            false => format!("{key} {}", caller.pins()?),
        },
        request_hash: Sha256::digest(request).into(),
    }))
}
