//! The one error type that crosses module borders.
//! It is shown to users of the API, printed by the command line, and stored on a failed job.
//! It knows nothing of HTTP: status codes belong to `http`.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Says what went wrong to a program (`code`), to a person (`message`) and to the log (`source`).
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) code: ErrorCode,
    /// A lower-case fragment without a final stop that names the thing; never a secret.
    pub(crate) message: String,
    /// The work may go well if it is done once more: what was found out meanwhile is remembered.
    pub(crate) again: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The stable part of an error; `docs/errors.md` explains each.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    /// The request, a file or an argument is wrong; the message says what would be right.
    InvalidRequest,
    /// No key, or a key that opens nothing.
    Unauthorized,
    /// The key is good, the right is missing.
    Forbidden,
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// The thing is in a state that rules the request out.
    Conflict,
    /// A limit was passed; the message names limit, setting and value.
    TooLarge,
    /// The database said no to the report's SQL; the message is the database's own.
    SourceFailed,
    /// A deadline passed.
    Timeout,
    /// Somebody asked for the work to stop.
    Cancelled,
    /// There is too much to do at the moment; later there may not be.
    Busy,
    /// Of the command line: no server answers, or what answers is none.
    Unreachable,
    /// A fault of ours; the cause is in the log.
    Internal,
}

impl ErrorCode {
    /// As documents, the log and the database have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::SourceFailed => "source_failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
            Self::Internal => "internal",
        }
    }
}

impl Error {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            again: false,
            source: None,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// The same work may go well if it is done once more.
    pub(crate) fn worth_another_try(mut self) -> Self {
        self.again = true;
        self
    }

    /// What else there is to say.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// A value that does not fit, named and shown as far as it is short.
    pub(crate) fn must_be(name: &str, wanted: &str, got: &str) -> Self {
        let shown: String = got.chars().take(50).collect();
        Self::invalid(format!("`{name}` must be {wanted}, got `{shown}`"))
    }

    /// Ours as well, but one that a user can wait out and an operator mend.
    fn of_disk(message: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::internal(source);
        message.clone_into(&mut error.message);
        error
    }

    /// Keeps the cause for the log and tells the user nothing but that it is our fault.
    pub(crate) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            code: ErrorCode::Internal,
            message: "internal error".to_owned(),
            again: false,
            source: Some(source.into()),
        }
    }
}

const DISK_FULL: &str = "out of disk space on the server";
const DISK_READ_ONLY: &str = "the server's disk is read-only";

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(formatter, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        let code = source.as_database_error().and_then(|error| error.code());
        let code: Option<u32> = code.and_then(|code| code.parse().ok());
        // SQLite's primary codes; what is above says more about them.
        match code.map(|code| code & 0xff) {
            Some(8) => Self::of_disk(DISK_READ_ONLY, source),
            Some(13) => Self::of_disk(DISK_FULL, source),
            _ => Self::internal(source),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(source: std::io::Error) -> Self {
        match source.kind() {
            // Of all files together; the system's own quota is none of ours.
            std::io::ErrorKind::QuotaExceeded if source.raw_os_error().is_none() => {
                Self::new(ErrorCode::TooLarge, source.to_string()).worth_another_try()
            }
            std::io::ErrorKind::QuotaExceeded => Self::of_disk(DISK_FULL, source),
            std::io::ErrorKind::FileTooLarge => Self::new(ErrorCode::TooLarge, source.to_string()),
            std::io::ErrorKind::StorageFull => Self::of_disk(DISK_FULL, source),
            std::io::ErrorKind::ReadOnlyFilesystem => Self::of_disk(DISK_READ_ONLY, source),
            _ => Self::internal(source),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(source: serde_json::Error) -> Self {
        Self::internal(source)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(source: arrow::error::ArrowError) -> Self {
        match source {
            arrow::error::ArrowError::IoError(_, source) => source.into(),
            other => Self::internal(other),
        }
    }
}
