//! Links to downloads that need no key: signed, and soon over.

use ring::hmac;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::hex::hex;
use crate::http::App;
use crate::http::params::Params;
use crate::store::now_us;

const KEY_BYTES: usize = 32;
const DAY_SECS: i64 = 24 * 3_600;

/// The query string of a link to a job's file.
pub(super) async fn signed(app: &App, job_id: i64) -> Result<String, Error> {
    let lifetime = i64::try_from(app.config.link_lifetime.as_secs()).unwrap_or(i64::MAX);
    let expires = (now_us() / 1_000_000).saturating_add(lifetime);
    let tag = hmac::sign(&key(app, expires).await?, &message(job_id, expires));
    Ok(format!(
        "job_id={job_id}&expires={expires}&signature={}",
        hex(tag.as_ref())
    ))
}

/// Whether an address is such a link; the job's id if it is a good one.
pub(super) async fn verified(app: &App, params: &Params) -> Result<Option<i64>, Error> {
    if params.get("signature").is_none() && params.get("expires").is_none() {
        return Ok(None);
    }
    let forbidden = |message: &str| Error::new(ErrorCode::Forbidden, message);
    let wrong = || forbidden("the link is not as it was made: poll the job for another");
    let number = |name: &str| params.get(name).and_then(|text| text.parse().ok());
    let (Some(job_id), Some(expires)) = (number("job_id"), number("expires")) else {
        return Err(wrong());
    };
    let now = now_us() / 1_000_000;
    // Nobody asks for the keys of days to come.
    let lifetime = i64::try_from(app.config.link_lifetime.as_secs()).unwrap_or(i64::MAX);
    if expires > now.saturating_add(lifetime) {
        return Err(wrong());
    }
    if expires < now {
        return Err(forbidden("the link is over: poll the job for another"));
    }
    let tag = params.get("signature").and_then(bytes_of).ok_or_else(wrong)?;
    hmac::verify(&key(app, expires).await?, &message(job_id, expires), &tag).map_err(|_| wrong())?;
    Ok(Some(job_id))
}

fn message(job_id: i64, expires: i64) -> Vec<u8> {
    format!("download {job_id} {expires}").into_bytes()
}

async fn key(app: &App, expires: i64) -> Result<hmac::Key, Error> {
    let mut fresh = [0; KEY_BYTES];
    getrandom::fill(&mut fresh).map_err(|error| Error::internal(error.to_string()))?;
    let key = app.store.signing_key(expires / DAY_SECS, &fresh).await?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

/// The bytes of lower-case hexadecimal digits, as they are written here.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    bytes.filter(|bytes| hex(bytes) == digits)
}
