//! The command line's HTTP client.

use std::io::Read as _;
use std::time::Duration;

use ureq::Agent;
use ureq::Body;
use ureq::http::Response;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// How long a server may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A server and a key to it.
pub(super) struct Client {
    agent: Agent,
    host: String,
    key: String,
}

impl Client {
    /// A host without a scheme is reached by https.
    pub(super) fn new(host: &str, key: &str) -> Self {
        let host = host.trim_end_matches('/');
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
            host: match host.contains("://") {
                true => host.to_owned(),
                false => format!("https://{host}"),
            },
            key: key.to_owned(),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.host)
    }

    pub(super) fn get(&self, url: &str) -> Result<Response<Body>> {
        self.agent
            .get(url)
            .header("X-Holistics-Key", &self.key)
            .call()
            .map_err(|error| {
                Error::new(
                    ErrorCode::SourceFailed,
                    format!("cannot reach {}: {error}", self.host),
                )
            })
    }

    /// The status and the text of an answer that is not large.
    pub(super) fn get_text(&self, url: &str) -> Result<(u16, String)> {
        let mut response = self.get(url)?;
        let status = response.status().as_u16();
        let mut text = String::new();
        response
            .body_mut()
            .as_reader()
            .take(ANSWER_BYTES_MAX)
            .read_to_string(&mut text)?;
        Ok((status, text))
    }
}
