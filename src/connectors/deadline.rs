//! When a query of a source must be over. Servers look at the clock themselves; engines inside this process
//! have no statement timeout of their own, so that it is looked at for them.

use std::time::Duration;
use std::time::Instant;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::source::Source;

/// The end of a query's time.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    source: String,
    timeout: Duration,
    at: Instant,
}

impl Deadline {
    /// Counts from now on.
    pub(super) fn new(source: &str, timeout: Duration) -> Self {
        Self {
            source: source.to_owned(),
            timeout,
            at: Instant::now() + timeout,
        }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }

    pub(super) fn error(&self) -> Error {
        took_too_long(&self.source, self.timeout)
    }
}

/// What a query fails with whose time is over, whoever has looked at the clock.
pub(super) fn took_too_long(source: &str, timeout: Duration) -> Error {
    Error::new(
        ErrorCode::Timeout,
        format!(
            "source `{source}` stopped the query after {} (setting `statement_timeout` of the source, or `query_timeout`)",
            humantime::format_duration(timeout)
        ),
    )
}

/// How long a statement of a source may take: its own setting or the server's, whichever is less.
pub(super) fn timeout_of(source: &Source, query_timeout: Duration) -> Duration {
    match source.settings.statement_timeout_secs {
        0 => query_timeout,
        seconds => Duration::from_secs(seconds).min(query_timeout),
    }
}
