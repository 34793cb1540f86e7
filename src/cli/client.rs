//! The command line's HTTP client.

use std::io::Read as _;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::Body;
use ureq::SendBody;
use ureq::http::Response;

use crate::cli::upload::Upload;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// How long a server may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// A server and a key to it.
pub(super) struct Client {
    agent: Agent,
    host: String,
    /// Nobody has said that it speaks TLS.
    is_guessed: bool,
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
            is_guessed: !host.contains("://"),
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
            .map_err(|error| self.unreachable(&error))
    }

    /// A file from this byte on, if it is still the one with this tag; its time has no limit but for silence.
    pub(super) fn get_part(&self, url: &str, from: u64, etag: &str) -> Result<Response<Body>> {
        let mut request = self
            .agent
            .get(url)
            .config()
            .timeout_global(None)
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .build()
            .header("X-Holistics-Key", &self.key)
            .header("Accept-Encoding", "identity");
        if from > 0 {
            request = request
                .header("Range", format!("bytes={from}-"))
                .header("If-Range", etag);
        }
        request.call().map_err(|error| self.unreachable(&error))
    }

    /// A JSON answer with status 200; the words of any other are the error.
    pub(super) fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let (status, text) = self.get_text(&self.url(path))?;
        self.parse(status, &text)
    }

    /// The same for a request that changes something.
    pub(super) fn send_json<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(self.url(path))
            .header("X-Holistics-Key", &self.key)
            .header("Content-Type", "application/json")
            .body(body.to_string())
            .map_err(|error| Error::invalid(format!("{} is no address of a server: {error}", self.host)))?;
        // Some methods have no body as a rule.
        let request = self
            .agent
            .configure_request(request)
            .allow_non_standard_methods(true)
            .build();
        let mut response = self
            .agent
            .run(request)
            .map_err(|error| self.unreachable(&error))?;
        let text = read_text(&mut response)?;
        self.parse(response.status().as_u16(), &text)
    }

    /// Sends an upload, however long that takes.
    pub(super) fn upload<T: DeserializeOwned>(&self, path: &str, mut upload: Upload) -> Result<T> {
        let content_type = format!("multipart/form-data; boundary={}", upload.boundary);
        let mut request = self
            .agent
            .post(self.url(path))
            .config()
            .timeout_global(None)
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .build()
            .header("X-Holistics-Key", &self.key)
            .header("Content-Type", content_type);
        if let Some(length) = upload.length() {
            request = request.header("Content-Length", length.to_string());
        }
        let mut response = request
            .send(SendBody::from_reader(&mut upload))
            .map_err(|error| self.unreachable(&error))?;
        let text = read_text(&mut response)?;
        self.parse(response.status().as_u16(), &text)
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let hint = match self.is_guessed {
            true => "; is it http:// that it speaks?",
            false => "",
        };
        Error::new(
            ErrorCode::SourceFailed,
            format!("cannot reach {}: {error}{hint}", self.host),
        )
    }

    fn parse<T: DeserializeOwned>(&self, status: u16, text: &str) -> Result<T> {
        if status != 200 {
            let told: Option<Errors> = serde_json::from_str(text).ok();
            let told = told.map_or_else(|| text.to_owned(), |told| told.errors.join("; "));
            let message = format!("{} answered {status}: {told}", self.host);
            return Err(Error::invalid(message));
        }
        serde_json::from_str(text)
            .map_err(|_| Error::invalid(format!("{} does not answer like a holistics server", self.host)))
    }

    /// The status and the text of an answer that is not large.
    pub(super) fn get_text(&self, url: &str) -> Result<(u16, String)> {
        let mut response = self.get(url)?;
        let status = response.status().as_u16();
        Ok((status, read_text(&mut response)?))
    }
}

fn read_text(response: &mut Response<Body>) -> Result<String> {
    let mut text = String::new();
    response
        .body_mut()
        .as_reader()
        .take(ANSWER_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}
