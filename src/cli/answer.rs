//! What a server's answer has to say, beside its data.

use std::io::Read as _;
use std::time::Duration;

use chrono::DateTime;
use chrono::Utc;
use serde::Deserialize;
use ureq::Body;
use ureq::http::Response;

pub(super) const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// How long a busy server is left alone at least.
const BUSY_PAUSE_MIN: Duration = Duration::from_millis(100);

/// An answer, and its text unless that is a file.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    pub(super) text: String,
}

impl Answer {
    /// Reads it; one byte more than an answer may have tells that it has more.
    pub(super) fn read(mut response: Response<Body>) -> Result<Self, ureq::Error> {
        let mut bytes = Vec::new();
        let body = response.body_mut().as_reader();
        let read = body.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| error.downcast().unwrap_or_else(ureq::Error::Io))?;
        // What is no text is no JSON either.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { response, text })
    }

    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// What a server of ours says of a request that it refuses.
pub(super) fn told_of(text: &str) -> Option<String> {
    let told: Errors = serde_json::from_str(text).ok()?;
    Some(told.errors.join("; ")).filter(|told| !told.is_empty())
}

/// After how long a server that is asked too often may be asked again.
pub(super) fn busy_pause(response: &Response<Body>) -> Duration {
    let after = response.headers().get("retry-after");
    let after = after.and_then(|after| {
        let after = after.to_str().ok()?;
        let moment = || DateTime::parse_from_rfc2822(after).ok();
        let until = |moment| (DateTime::<Utc>::from(moment) - Utc::now()).to_std();
        match after.parse() {
            Ok(secs) => Some(Duration::from_secs(secs)),
            // A moment that has passed is no wait.
            Err(_) => moment().map(|moment| until(moment).unwrap_or_default()),
        }
    });
    after.unwrap_or(Duration::from_secs(1)).max(BUSY_PAUSE_MIN)
}
