//! The command line's HTTP client.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::Body;
use ureq::SendBody;
use ureq::http::Response;
use ureq::tls::Certificate;
use ureq::tls::RootCerts;
use ureq::tls::TlsConfig;

use crate::cli::address::address;
use crate::cli::address::shown_address;
use crate::cli::answer::ANSWER_BYTES_MAX;
use crate::cli::answer::busy_pause;
use crate::cli::answer::read_text;
use crate::cli::answer::told_of;
use crate::cli::faults::Spoken;
use crate::cli::faults::has_broken;
use crate::cli::faults::thing_at;
use crate::cli::faults::why_unreachable;
use crate::cli::output::say_note;
use crate::cli::upload::Upload;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// After which wait for a busy server that is told, and how long one request may wait for it: a key that may be used so
/// many times a minute waits for less than one.
const BUSY_WAIT_TOLD: Duration = Duration::from_secs(4);
const BUSY_WAIT_MAX: Duration = Duration::from_mins(5);
/// How often a connection may break before there is an answer, and how much longer each pause is after that.
const BREAKS_MAX: u32 = 3;
const BROKEN_PAUSE: Duration = Duration::from_millis(200);
/// How much of an address is shown.
const ADDRESS_CHARS_MAX: usize = 100;
/// What an API says to a key that opens nothing.
const WRONG_KEY: &str = "Holistics::InvalidAuthenticationToken";
/// And of a report or a job that is not there, or not for everybody.
const NOT_FOUND: &str = "Resource not found";

/// A server and a key to it.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
    host: String,
    /// The same as messages have it, without a password.
    shown: String,
    /// Nobody has said that it speaks TLS.
    is_guessed: bool,
    /// So that it is known what it speaks.
    has_answered: Arc<AtomicBool>,
    key: String,
    /// What to do about a key that is not taken.
    key_hint: &'static str,
    /// How long it may be silent.
    timeout: Duration,
    /// How long one request may wait for a server that has too much to do.
    patience: Duration,
}

impl Client {
    pub(super) fn new(host: &str, key: &str, timeout: Duration) -> Result<Self> {
        let url = address(host)?;
        // An answer that sends elsewhere is somebody else's, who need not get the key.
        let mut config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false);
        if url.scheme() == "https" {
            config = config.tls_config(TlsConfig::builder().root_certs(trusted()).build());
        }
        Ok(Self {
            agent: config.build().into(),
            host: url.as_str().trim_end_matches('/').to_owned(),
            shown: shown_address(&url),
            is_guessed: !host.contains("://"),
            has_answered: Arc::default(),
            key: key.to_owned(),
            key_hint: "`holistics login` again",
            timeout,
            patience: BUSY_WAIT_MAX,
        })
    }

    /// A client whose key is not that of `holistics login`.
    pub(super) fn with_key_hint(mut self, hint: &'static str) -> Self {
        self.key_hint = hint;
        self
    }

    /// The same server, for which nobody waits longer than this.
    pub(super) fn with_timeout(&self, timeout: Duration) -> Result<Self> {
        let timeout = timeout.min(self.timeout);
        let client = Self::new(&self.host, &self.key, timeout)?;
        Ok(Self {
            patience: timeout,
            ..client
        })
    }

    /// The same, for what is not worth waiting for a server that has too much to do.
    pub(super) fn impatient(&self) -> Self {
        Self {
            patience: Duration::ZERO,
            ..self.clone()
        }
    }

    /// Where it is, without a password.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.host)
    }

    /// How many seconds a poll may wait, so that a server that waits is not taken for one that hangs.
    pub(super) fn wait_secs(&self, most: f64) -> f64 {
        most.min(self.timeout.as_secs_f64() / 2.0)
    }

    pub(super) fn get(&self, url: &str) -> Result<Response<Body>> {
        self.patiently(true, || {
            self.agent.get(url).header("X-Holistics-Key", &self.key).call()
        })
    }

    /// Asks again when a server that has too much to do, or a key that is used too often, says that it may be; and what
    /// is safe to send twice when the connection has broken.
    fn patiently(
        &self,
        is_safe: bool,
        ask: impl Fn() -> std::result::Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>> {
        let (mut waited, mut breaks) = (Duration::ZERO, 0);
        loop {
            let asked = ask();
            let is_away = match &asked {
                // It is being restarted, behind a proxy.
                Ok(response) => (502..=504).contains(&response.status().as_u16()),
                Err(error) => has_broken(error),
            };
            if is_away && is_safe && breaks < BREAKS_MAX {
                breaks += 1;
                thread::sleep(BROKEN_PAUSE * breaks);
                continue;
            }
            let mut response = asked.map_err(|error| self.unreachable(&error))?;
            self.has_answered.store(true, Ordering::Relaxed);
            let after = busy_pause(&response);
            let until = waited.saturating_add(after);
            if response.status() != 429 || until > self.patience {
                return Ok(response);
            }
            // Once is enough.
            if (waited..until).contains(&BUSY_WAIT_TOLD) {
                let told = read_text(&mut response).unwrap_or_default();
                let told = told_of(&told).unwrap_or_else(|| "too much to do".to_owned());
                let (host, after) = (&self.shown, humantime::format_duration(after));
                say_note(&format!("{told}: {host} is asked again in {after}"));
            }
            thread::sleep(after);
            waited = until;
        }
    }

    /// A file from this byte on, if it is still the one with this tag.
    pub(super) fn get_part(&self, url: &str, from: u64, etag: &str) -> Result<Response<Body>> {
        self.patiently(true, || {
            let mut request = self
                .agent
                .get(url)
                .config()
                .timeout_global(None)
                .timeout_connect(Some(self.timeout))
                .timeout_recv_response(Some(self.timeout))
                .timeout_per_read(Some(self.timeout))
                .build()
                .header("X-Holistics-Key", &self.key)
                .header("Accept-Encoding", "identity");
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            if from > 0 && !etag.is_empty() {
                request = request.header("If-Range", etag);
            }
            request.call()
        })
    }

    /// A JSON answer with status 200; the words of any other are the error.
    pub(super) fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.parse(&self.get_ok(path)?)
    }

    /// The text of an answer with status 200.
    pub(super) fn get_ok(&self, path: &str) -> Result<String> {
        self.read(path, self.get(&self.url(path))?)
    }

    /// The same for a request that changes something.
    pub(super) fn send_json<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T> {
        self.send_keyed(method, path, body, None)
    }

    /// The same; with a key of its own it is safe to send again, and has done what it does once.
    pub(super) fn send_keyed<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &serde_json::Value,
        key: Option<&str>,
    ) -> Result<T> {
        let body = body.to_string();
        // What is refused because there is too much to do has done nothing.
        let response = self.patiently(key.is_some(), || {
            let mut request = ureq::http::Request::builder()
                .method(method)
                .uri(self.url(path))
                .header("X-Holistics-Key", &self.key)
                .header("Content-Type", "application/json");
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            let request = request.body(body.as_str())?;
            // Some methods have no body as a rule.
            let request = self
                .agent
                .configure_request(request)
                .allow_non_standard_methods(true)
                .build();
            self.agent.run(request)
        });
        self.parse(&self.read(path, response?)?)
    }

    /// Sends an upload, however long that takes while the server takes some of it now and then.
    pub(super) fn upload<T: DeserializeOwned>(&self, path: &str, mut upload: Upload) -> Result<T> {
        let content_type = format!("multipart/form-data; boundary={}", upload.boundary);
        let mut request = self
            .agent
            .post(self.url(path))
            .config()
            .timeout_global(None)
            .timeout_connect(Some(self.timeout))
            .timeout_recv_response(Some(self.timeout))
            .timeout_per_read(Some(self.timeout))
            .timeout_per_write(Some(self.timeout))
            .build()
            .header("X-Holistics-Key", &self.key)
            .header("Content-Type", content_type);
        if let Some(length) = upload.length() {
            request = request.header("Content-Length", length.to_string());
        }
        let response = request.send(SendBody::from_reader(&mut upload));
        let response = response.map_err(|error| match upload.fault() {
            Some(fault) => fault,
            // A server that refuses a key does not wait for the end of what it sends.
            None if has_broken(&error) => {
                let refused = self.get_ok("/users/info.json").err();
                let refused = refused.filter(|refused| refused.code == ErrorCode::Unauthorized);
                refused.unwrap_or_else(|| self.unreachable(&error))
            }
            None => self.unreachable(&error),
        })?;
        self.parse(&self.read(path, response)?)
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let spoken = match (self.has_answered.load(Ordering::Relaxed), self.is_guessed) {
            (true, _) => Spoken::Known,
            (false, true) => Spoken::Guessed,
            (false, false) => Spoken::Told,
        };
        let message = why_unreachable(&self.shown, spoken, self.timeout, error);
        Error::new(ErrorCode::Unreachable, message)
    }

    /// What answers is something else.
    pub(super) fn is_no_server(&self) -> Error {
        let message = format!("{} does not answer like a holistics server", self.shown);
        Error::new(ErrorCode::Unreachable, message)
    }

    fn parse<T: DeserializeOwned>(&self, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|_| self.is_no_server())
    }

    /// The text of an answer with status 200 that is not large; any other is an error in the server's words.
    fn read(&self, path: &str, mut response: Response<Body>) -> Result<String> {
        let status = response.status().as_u16();
        let text = read_text(&mut response).map_err(|error| match error.downcast::<ureq::Error>() {
            Ok(error) => self.unreachable(&error),
            Err(error) => Error::new(
                ErrorCode::Unreachable,
                format!("cannot read what {} answers: {error}", self.shown),
            ),
        })?;
        if text.len() as u64 > ANSWER_BYTES_MAX {
            let message = "the answer is larger than 64 MiB: ask for fewer rows, or export them";
            return Err(Error::new(ErrorCode::TooLarge, message));
        }
        match status {
            200 => Ok(text),
            _ => Err(self.refused(path, status, &response, &text)),
        }
    }

    fn refused(&self, path: &str, status: u16, response: &Response<Body>, text: &str) -> Error {
        let host = &self.shown;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        if (300..400).contains(&status) {
            let to = header("location").unwrap_or_default();
            let to = to.split(['?', '#']).next().unwrap_or_default();
            let to: String = to.chars().take(ADDRESS_CHARS_MAX).collect();
            let message =
                format!("{host} sends us on to `{to}`: is that where the server is, or a log-in page?");
            return Error::new(ErrorCode::Unreachable, message);
        }
        // Where a file is submitted for, a refusal is a line of text; that of a gateway may be one, too.
        let is_line = header("content-type").is_some_and(|content| content.starts_with("text/plain"))
            && !(502..=504).contains(&status)
            && (status != 404 || text.trim() == NOT_FOUND)
            && text.lines().count() == 1;
        let told = told_of(text).or_else(|| is_line.then(|| text.trim().to_owned()));
        let Some(told) = told else {
            let why = match status {
                404 => "is its address right?",
                _ => "is a proxy in between?",
            };
            let message = format!("{host} answered {status} like no holistics server: {why}");
            return Error::new(ErrorCode::Unreachable, message);
        };
        let code = match status {
            401 => ErrorCode::Unauthorized,
            403 => ErrorCode::Forbidden,
            404 if told == NOT_FOUND => ErrorCode::NotFound,
            404 => ErrorCode::Unreachable,
            409 => ErrorCode::Conflict,
            413 => ErrorCode::TooLarge,
            429 => ErrorCode::Busy,
            _ if told == WRONG_KEY => ErrorCode::Unauthorized,
            400..500 => ErrorCode::InvalidRequest,
            _ => ErrorCode::Internal,
        };
        let message = match code {
            ErrorCode::NotFound => {
                let thing = thing_at(path).map(|thing| format!("no {thing}"));
                let thing = thing.as_deref().unwrap_or("none");
                format!("{told}: {host} has {thing}, or shows it to others alone")
            }
            ErrorCode::Unreachable => format!("{host} has no reports: {told}"),
            ErrorCode::Unauthorized => {
                format!("{told}: {host} does not take this key; {}", self.key_hint)
            }
            ErrorCode::Busy => {
                let after = humantime::format_duration(busy_pause(response));
                format!("{told}: {host} may be asked again in {after}")
            }
            _ => told,
        };
        Error::new(code, message)
    }

    /// The status and the text of an answer that is not large.
    pub(super) fn get_text(&self, url: &str) -> Result<(u16, String)> {
        let mut response = self.get(url)?;
        let status = response.status().as_u16();
        Ok((status, read_text(&mut response)?))
    }
}

/// Those that the system trusts, or `SSL_CERT_FILE` names; where it has none, those that browsers trust.
fn trusted() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    match found.is_empty() {
        true => RootCerts::WebPki,
        false => {
            let certificates = found.iter().map(|found| Certificate::from_der(found).to_owned());
            certificates.into()
        }
    }
}
