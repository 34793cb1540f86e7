//! The command line's HTTP client.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
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
use crate::cli::answer::Answer;
use crate::cli::answer::busy_pause;
use crate::cli::answer::told_of;
use crate::cli::faults::Spoken;
use crate::cli::faults::thing_at;
use crate::cli::faults::why_unreachable;
use crate::cli::patience::BUSY;
use crate::cli::patience::BUSY_WAIT_MAX;
use crate::cli::patience::Waits;
use crate::cli::patience::is_fault;
use crate::cli::patience::left_open;
use crate::cli::upload::Upload;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// How much of the time that a server may be silent it may take to reach it.
const CONNECT_SHARE: f64 = 0.95;
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
    /// What was asked last may have been done, and no answer says so.
    is_open: Arc<AtomicBool>,
    key: String,
    /// What to do about a key that is not taken.
    key_hint: &'static str,
    /// How long it may be silent.
    timeout: Duration,
    /// What gives it longer.
    timeout_hint: &'static str,
    /// How long one request may wait for a server that has too much to do, or is away.
    patience: Duration,
}

impl Client {
    pub(super) fn new(host: &str, key: &str, timeout: Duration) -> Result<Self> {
        let url = address(host)?;
        // An answer that sends elsewhere is somebody else's, who need not get the key.
        let mut config = Agent::config_builder()
            .timeout_global(Some(timeout))
            // Sooner, so that it is told apart: what was not sent was not taken.
            .timeout_connect(Some(timeout.mul_f64(CONNECT_SHARE)))
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
            is_open: Arc::default(),
            key: key.to_owned(),
            key_hint: "`holistics login` again",
            timeout,
            timeout_hint: " (`--timeout` allows more)",
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
        let given = self.timeout;
        let client = Self::new(&self.host, &self.key, timeout.min(given))?;
        Ok(Self {
            patience: client.timeout,
            timeout_hint: if given < timeout { self.timeout_hint } else { "" },
            has_answered: self.has_answered.clone(),
            is_open: self.is_open.clone(),
            ..client
        })
    }

    /// The same, for what is not worth waiting.
    pub(super) fn impatient(&self) -> Self {
        Self {
            patience: Duration::ZERO,
            ..self.clone()
        }
    }

    /// Whether what was asked last may have been done, though no answer says so.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
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

    /// Asks again while the server has too much to do, and for what is safe to send twice while it is away.
    fn patiently(
        &self,
        is_safe: bool,
        ask: impl Fn() -> std::result::Result<Answer, ureq::Error>,
    ) -> Result<Answer> {
        let mut waits = Waits::new(&self.shown, self.patience);
        let mut is_open = false;
        loop {
            self.is_open.store(true, Ordering::Relaxed);
            let asked = ask();
            is_open |= left_open(&asked);
            self.is_open.store(is_open, Ordering::Relaxed);
            let was_there = self.has_answered.load(Ordering::Relaxed);
            if waits.for_another(&asked, is_safe, was_there) {
                continue;
            }
            if asked.as_ref().is_ok_and(|answer| !is_fault(answer)) {
                self.has_answered.store(true, Ordering::Relaxed);
            }
            return asked.map_err(|error| self.unreachable(&error));
        }
    }

    /// A file from this byte on, if it is still the one with this tag.
    pub(super) fn get_part(&self, url: &str, from: u64, etag: &str) -> Result<Response<Body>> {
        let answer = self.patiently(true, || {
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
            let response = request.call()?;
            let text = String::new();
            Ok(Answer { response, text })
        });
        Ok(answer?.response)
    }

    /// A JSON answer with status 200; the words of any other are the error.
    pub(super) fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.parse(&self.get_ok(path)?)
    }

    /// The text of an answer with status 200.
    pub(super) fn get_ok(&self, path: &str) -> Result<String> {
        self.checked(path, self.get(path)?)
    }

    /// The status and the text of an answer that is not large.
    pub(super) fn get_text(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.get(path)?;
        Ok((answer.status(), answer.text))
    }

    fn get(&self, path: &str) -> Result<Answer> {
        self.patiently(true, || {
            let request = self
                .agent
                .get(self.url(path))
                .header("X-Holistics-Key", &self.key);
            Answer::read(request.call()?)
        })
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
        let is_safe = key.is_some() || method == "PUT";
        let answer = self.patiently(is_safe, || {
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
            Answer::read(self.agent.run(request)?)
        });
        let text = self.checked(path, answer?)?;
        // Of what says nothing it is not known what it has done.
        self.parse(&text)
            .inspect_err(|_| self.is_open.store(true, Ordering::Relaxed))
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
            // A server that refuses it reads none of it.
            .header("Expect", "100-continue")
            .header("Content-Type", content_type);
        if let Some(length) = upload.length() {
            request = request.header("Content-Length", length.to_string());
        }
        let response = request.send(SendBody::from_reader(&mut upload));
        let response = response.map_err(|error| match upload.fault() {
            Some(fault) => fault,
            None => self.unreachable(&error),
        })?;
        self.has_answered.store(true, Ordering::Relaxed);
        let answer = Answer::read(response).map_err(|error| self.unreachable(&error))?;
        self.parse(&self.checked(path, answer)?)
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let spoken = match (self.has_answered.load(Ordering::Relaxed), self.is_guessed) {
            (true, _) => Spoken::Known,
            (false, true) => Spoken::Guessed,
            (false, false) => Spoken::Told,
        };
        let message = why_unreachable(&self.shown, spoken, (self.timeout, self.timeout_hint), error);
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
    fn checked(&self, path: &str, answer: Answer) -> Result<String> {
        if answer.text.len() as u64 > ANSWER_BYTES_MAX {
            let message = "the answer is larger than 64 MiB: ask for fewer rows, or export them";
            return Err(Error::new(ErrorCode::TooLarge, message));
        }
        match answer.status() {
            200 => Ok(answer.text),
            _ => Err(self.refused(path, &answer)),
        }
    }

    fn refused(&self, path: &str, answer: &Answer) -> Error {
        let Answer { response, text } = answer;
        let (host, status) = (&self.shown, answer.status());
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
            BUSY => ErrorCode::Busy,
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
