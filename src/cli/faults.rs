//! Words for what goes wrong between a command and a server.

use std::io::ErrorKind;
use std::time::Duration;

/// Whether somebody has said that a server speaks TLS, or that it does not.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Spoken {
    Guessed,
    Told,
    /// It has answered.
    Known,
}

/// Whether it was reached, and then the connection broke.
pub(super) fn has_broken(error: &ureq::Error) -> bool {
    let kinds = [
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionReset,
        ErrorKind::UnexpectedEof,
    ];
    match error {
        ureq::Error::Io(error) => kinds.contains(&error.kind()),
        _ => false,
    }
}

/// Whether a request without an answer may have been taken.
pub(super) fn may_have_arrived(error: &ureq::Error) -> bool {
    use ureq::Timeout;
    match error {
        ureq::Error::Timeout(timeout) => !matches!(timeout, Timeout::Resolve | Timeout::Connect),
        error => has_broken(error),
    }
}

/// Whether one that was reached before may be reached again. One that was silent as long as it may be is not asked again.
pub(super) fn may_pass(error: &ureq::Error) -> bool {
    use ureq::Error::ConnectionFailed;
    use ureq::Error::HostNotFound;
    use ureq::Error::Io;
    matches!(error, Io(_) | HostNotFound | ConnectionFailed)
}

/// Why a server cannot be reached.
pub(super) fn why_unreachable(
    host: &str,
    spoken: Spoken,
    (timeout, hint): (Duration, &str),
    error: &ureq::Error,
) -> String {
    let words = error.to_string();
    let kind = match error {
        ureq::Error::Io(error) => Some(error.kind()),
        _ => None,
    };
    if matches!(error, ureq::Error::Timeout(_)) {
        let timeout = humantime::format_duration(timeout);
        return format!("{host} did not answer within {timeout}{hint}");
    }
    if words.contains("invalid peer certificate") {
        return format!(
            "the certificate of {host} is not trusted: {words}; SSL_CERT_FILE names a file of those that are"
        );
    }
    let why = if matches!(error, ureq::Error::HostNotFound) || words.contains("failed to lookup address") {
        "there is no host of this name, or no network to ask for it"
    } else if words.contains("InvalidContentType") {
        "what answers there does not speak https; an address of plain http begins with http://"
    } else if kind == Some(ErrorKind::ConnectionRefused) {
        "the connection is refused; is the server running, and the port right?"
    } else if kind == Some(ErrorKind::ConnectionReset) && spoken == Spoken::Told && host.starts_with("http:")
    {
        "the connection broke off; is it https:// that it speaks?"
    } else if spoken == Spoken::Guessed {
        return format!("cannot reach {host}: {words}; is it http:// that it speaks?");
    } else {
        words.as_str()
    };
    format!("cannot reach {host}: {why}")
}

/// What a path is of: `/jobs/9/logs.json?last_id=0` is of job 9, and so is what has `job_id=9`.
pub(super) fn thing_at(path: &str) -> Option<String> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if let Some(id) = query.split('&').find_map(|param| param.strip_prefix("job_id=")) {
        return Some(format!("job {id}"));
    }
    let mut parts = path.trim_start_matches('/').split('/');
    let (kind, id) = (parts.next()?, parts.next()?.trim_end_matches(".json"));
    let id: u64 = id.parse().ok()?;
    Some(match kind {
        "queries" => format!("report {id}"),
        kind => format!("{} {id}", kind.trim_end_matches('s').replace('_', " ")),
    })
}
