//! Stopping a query of SQLite, and what its errors mean to who wrote the report.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use rusqlite::Error as SqliteError;
use rusqlite::ErrorCode as SqliteCode;

use crate::connectors::deadline::Deadline;
use crate::connectors::place;
use crate::connectors::stopped;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// Asked by SQLite every so many steps.
pub(super) struct Stop {
    is_told: Arc<AtomicBool>,
    deadline: Deadline,
    /// The first thing that the SQL wanted and may not.
    refused: Mutex<Option<String>>,
}

impl Stop {
    pub(super) fn new(deadline: Deadline) -> Self {
        Self {
            is_told: Arc::default(),
            deadline,
            refused: Mutex::default(),
        }
    }

    /// The same work with another deadline.
    pub(super) fn until(&self, deadline: Deadline) -> Self {
        Self {
            is_told: self.is_told.clone(),
            ..Self::new(deadline)
        }
    }

    /// Nobody needs the rest.
    pub(super) fn tell(&self) {
        self.is_told.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_told.load(Ordering::Relaxed) || self.deadline.has_passed()
    }

    pub(super) fn error(&self) -> Error {
        match self.is_told.load(Ordering::Relaxed) {
            true => stopped(),
            false => self.deadline.error(),
        }
    }

    pub(super) fn refuse(&self, what: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get_or_insert(what);
    }

    /// The engine's word on a query that runs.
    pub(super) fn failed(&self, error: SqliteError) -> Error {
        self.failed_at(error, "", "")
    }

    /// The engine's word on SQL behind a comment, and where in it something is wrong.
    pub(super) fn failed_at(&self, error: SqliteError, comment: &str, sql: &str) -> Error {
        let failed = |message: String| Error::new(ErrorCode::SourceFailed, message);
        match error {
            SqliteError::MultipleStatement => failed("a report must be one statement".to_owned()),
            // What is said of a function that is refused.
            SqliteError::SqlInputError { msg, .. } if msg.starts_with("not authorized") => {
                self.refusal(Some(msg))
            }
            SqliteError::SqlInputError {
                msg,
                sql: text,
                offset,
                ..
            } => {
                // The text is the whole or, where there is more behind the first statement, its end.
                let skipped = (comment.len() + sql.len()).saturating_sub(text.len());
                let before = usize::try_from(offset)
                    .ok()
                    .and_then(|offset| (skipped + offset).checked_sub(comment.len()))
                    .and_then(|at| sql.get(..at));
                failed(format!("{msg}{}", place(before)))
            }
            SqliteError::SqliteFailure(error, message) => match error.code {
                SqliteCode::OperationInterrupted => self.error(),
                SqliteCode::AuthorizationForStatementDenied => self.refusal(message),
                _ => failed(message.unwrap_or_else(|| error.to_string())),
            },
            other => Error::internal(other),
        }
    }

    fn refusal(&self, message: Option<String>) -> Error {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let what = refused.clone().or(message).unwrap_or_default();
        Error::new(
            ErrorCode::SourceFailed,
            format!("{what} is not allowed in a report: it may only read the database of its source"),
        )
    }
}

/// Refuses work that nobody needs any more.
pub(super) fn go_on(stop: &Stop) -> Result<()> {
    match stop.is_due() {
        true => Err(stop.error()),
        false => Ok(()),
    }
}
