//! A submit that has a key of its own: sent again, it is the same, and says which job it has.

use serde::Deserialize;
use serde_json::Value;

use crate::cli::client::Client;
use crate::error::Result;
use crate::hex::hex;
use crate::random::random;

#[derive(Clone)]
pub(super) struct Keyed {
    path: String,
    body: Value,
    key: String,
}

#[derive(Deserialize)]
struct Submitted {
    status: String,
    job_id: i64,
}

impl Keyed {
    pub(super) fn new(path: String, body: Value) -> Result<Self> {
        let key = hex(&random::<16>()?);
        Ok(Self { path, body, key })
    }

    /// Its job, and whether that is a new one: else it is somebody's who waits for it too.
    pub(super) fn send(&self, client: &Client) -> Result<(i64, bool)> {
        let Self { path, body, key } = self;
        let submitted: Submitted = client.send_keyed("POST", path, body, Some(key))?;
        Ok((submitted.job_id, submitted.status != "already_existed"))
    }
}
