//! What is wrong with the text of a report, and where.
//! Inside `query` a place is a byte offset; only here it becomes a line and a column.

use crate::error::Error;

/// A fault at a byte offset of the text that was read.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    /// The same fault in a text that has `offset` more bytes before it.
    pub(crate) fn moved(self, offset: usize) -> Self {
        Self {
            at: self.at + offset,
            ..self
        }
    }

    /// Names the place as people count: `7:12: …`.
    pub(crate) fn into_error(self, text: &str) -> Error {
        let (line, column) = line_and_column(text, self.at);
        Error::invalid(format!("{line}:{column}: {}", self.message))
    }

    /// Names file and place: `reports/orders.sql:7:12: …`.
    pub(crate) fn into_file_error(self, file_name: &str, text: &str) -> Error {
        let (line, column) = line_and_column(text, self.at);
        Error::invalid(format!("{file_name}:{line}:{column}: {}", self.message))
    }
}

/// Line and column of a byte offset, both from 1; the column counts characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let mut before = text;
    if let Some((head, _)) = text.split_at_checked(at) {
        before = head;
    }
    let line = before.matches('\n').count() + 1;
    let column = before
        .chars()
        .rev()
        .take_while(|character| *character != '\n')
        .count()
        + 1;
    (line, column)
}
