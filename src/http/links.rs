//! Links to downloads that need no key: signed, and soon over.

use ring::hmac;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::hex::hex;
use crate::http::App;
use crate::http::params::Params;
use crate::random::random;
use crate::store::now_us;

const KEY_BYTES: usize = 32;
const DAY_SECS: i64 = 24 * 3_600;

/// The query string of a link to a job's file, which lends what its user may.
pub(super) async fn signed(app: &App, job_id: i64, user_id: i64) -> Result<String, Error> {
    let today = now_us() / 1_000_000;
    let expires = today.saturating_add(lifetime(app));
    let (day, today) = (expires / DAY_SECS, today / DAY_SECS);
    let key = match app.store.signing_key(day).await? {
        Some(key) => key,
        None => {
            let fresh = random::<KEY_BYTES>()?;
            app.store.make_signing_key(day, today, &fresh).await?
        }
    };
    let tag = hmac::sign(&of(&key), &message(job_id, user_id, expires));
    let signature = hex(tag.as_ref());
    Ok(format!(
        "job_id={job_id}&user_id={user_id}&expires={expires}&signature={signature}"
    ))
}

/// Whether an address is such a link; the ids of the job and the user if it is a good one.
pub(super) async fn verified(app: &App, params: &Params) -> Result<Option<(i64, i64)>, Error> {
    if params.get("signature").is_none() && params.get("expires").is_none() {
        return Ok(None);
    }
    let forbidden = |message: &str| Error::new(ErrorCode::Forbidden, message);
    let wrong = || forbidden("the link is not as it was made: poll the job for another");
    let number = |name: &str| params.get(name).and_then(|text| text.parse().ok());
    let (Some(job_id), Some(user_id), Some(expires)) =
        (number("job_id"), number("user_id"), number("expires"))
    else {
        return Err(wrong());
    };
    let key = app.store.signing_key(expires / DAY_SECS).await?;
    let tag = params.get("signature").and_then(bytes_of);
    let (Some(key), Some(tag)) = (key, tag) else {
        return Err(wrong());
    };
    hmac::verify(&of(&key), &message(job_id, user_id, expires), &tag).map_err(|_| wrong())?;
    match expires < now_us() / 1_000_000 {
        true => Err(forbidden("the link is over: poll the job for another")),
        false => Ok(Some((job_id, user_id))),
    }
}

fn lifetime(app: &App) -> i64 {
    i64::try_from(app.config.link_lifetime.as_secs()).unwrap_or(i64::MAX)
}

fn message(job_id: i64, user_id: i64, expires: i64) -> Vec<u8> {
    format!("download {job_id} {user_id} {expires}").into_bytes()
}

fn of(key: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

/// The bytes of lower-case hexadecimal digits, as they are written here.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    bytes.filter(|bytes| hex(bytes) == digits)
}
