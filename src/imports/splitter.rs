//! Cuts a file into chunks of whole records, without looking at more than quotes and line ends.
//! Where there is no quote, every line end is the end of a record, so that most bytes are passed over at once.

use std::fs::File;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use memchr::memchr;
use memchr::memrchr;
use memchr::memrchr2;

use crate::error::Error;
use crate::imports::changed;
use crate::imports::fields::Dialect;
use crate::imports::fields::Then;
use crate::imports::fields::count_lines;
use crate::imports::fields::step;
use crate::imports::prepare::Prepared;
use crate::imports::stopped;

/// How much is cut off at a time, and how long a record may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) chunk: usize,
    pub(super) record_max: usize,
}

impl Sizes {
    /// Records of many columns come in larger chunks, so that batches do not get too few rows.
    pub(super) fn for_columns(columns: usize) -> Self {
        Self {
            chunk: (columns * 256).clamp(1 << 20, 8 << 20),
            record_max: 64 << 20,
        }
    }
}

/// Why there are no more chunks; lines are counted from the first that is in no chunk, which is 0.
#[derive(Debug)]
pub(super) enum Fault {
    TooLong { line: u64, quote: Option<u64> },
    Unclosed { line: u64 },
    Other(Error),
}

impl Fault {
    /// With the line that is the first after all chunks.
    pub(super) fn error(self, first_line: u64, record_max: usize) -> Error {
        match self {
            Self::Unclosed { line } => Error::invalid(format!(
                "a quote that opens in line {} is never closed",
                first_line + line
            )),
            Self::TooLong { line, quote } => {
                let hint = quote.map_or_else(String::new, |quote| {
                    format!(
                        ": is the quote that opens in line {} ever closed?",
                        first_line + quote
                    )
                });
                Error::invalid(format!(
                    "the record in line {} is longer than {record_max} bytes{hint}",
                    first_line + line
                ))
            }
            Self::Other(error) => error,
        }
    }
}

/// An iterator of chunks; after a fault it ends.
pub(super) struct Splitter<'a> {
    file: File,
    /// How many bytes of the file have not been read yet, as far as its length is known.
    left: u64,
    dialect: Dialect,
    sizes: Sizes,
    stop: &'a AtomicBool,
    /// The beginning of a record whose end has not been read.
    rest: Vec<u8>,
    done: bool,
}

impl<'a> Splitter<'a> {
    /// Starts at an offset of the file, where a record begins.
    pub(super) fn open(
        prepared: &Prepared,
        start: u64,
        dialect: Dialect,
        sizes: Sizes,
        stop: &'a AtomicBool,
    ) -> Result<Self, Error> {
        let mut file = File::open(&prepared.path)?;
        if file.metadata()?.len() != prepared.length {
            return Err(changed());
        }
        file.seek(SeekFrom::Start(start))?;
        Ok(Self {
            file,
            left: prepared.length.saturating_sub(start),
            dialect,
            sizes,
            stop,
            rest: Vec::new(),
            done: false,
        })
    }

    fn chunk(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let mut bytes = Vec::with_capacity(self.sizes.chunk + self.rest.len());
        bytes.append(&mut self.rest);
        let mut wanted = self.sizes.chunk;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Fault::Other(stopped()));
            }
            self.read(&mut bytes, wanted)?;
            if self.left == 0 {
                self.done = true;
                return self.last(bytes);
            }
            let (cut, open) = self.whole(&bytes);
            if cut > 0 {
                self.rest = bytes[cut..].to_vec();
                bytes.truncate(cut);
                return Ok(Some(bytes));
            }
            if bytes.len() >= self.sizes.record_max {
                let quote = open.map(|open| count_lines(&bytes[..open], self.dialect));
                return Err(Fault::TooLong { line: 0, quote });
            }
            // A long record is looked at again from its start, so it must grow fast.
            wanted = bytes.len().max(1).min(self.sizes.record_max - bytes.len());
        }
    }

    fn read(&mut self, bytes: &mut Vec<u8>, wanted: usize) -> Result<(), Fault> {
        let wanted = self.left.min(wanted as u64);
        let read = (&mut self.file)
            .take(wanted)
            .read_to_end(bytes)
            .map_err(|error| Fault::Other(error.into()))?;
        if read as u64 != wanted {
            return Err(Fault::Other(changed()));
        }
        self.left -= wanted;
        Ok(())
    }

    /// What is left at the file's end: records, the last perhaps without a line end.
    fn last(&mut self, mut bytes: Vec<u8>) -> Result<Option<Vec<u8>>, Fault> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (cut, open) = self.whole(&bytes);
        let Some(open) = open else {
            return Ok(Some(bytes));
        };
        if cut == 0 {
            let line = count_lines(&bytes[..open], self.dialect);
            return Err(Fault::Unclosed { line });
        }
        // The records before the fault are handed out first, so that its line is known.
        self.rest = bytes.split_off(cut);
        self.done = false;
        Ok(Some(bytes))
    }

    /// Where the last whole record ends, and where a quote opens that has no end behind that.
    fn whole(&self, bytes: &[u8]) -> (usize, Option<usize>) {
        // A CR at the end may be half of a line end.
        let half = self.dialect.bare_returns && self.left > 0 && bytes.last() == Some(&b'\r');
        let bytes = &bytes[..bytes.len() - usize::from(half)];
        let mut record = 0;
        loop {
            let rest = &bytes[record..];
            let Some(quote) = memchr(self.dialect.quote, rest) else {
                return (record + self.after_last_line_end(rest), None);
            };
            record += self.after_last_line_end(&rest[..quote]);
            let mut at = record;
            loop {
                let step = step(bytes, at, self.dialect);
                match step.then {
                    Then::Field => at = step.next,
                    Then::Record => break at = step.next,
                    Then::End => return (record, None),
                    Then::Unclosed => return (record, Some(at)),
                }
            }
            record = at;
        }
    }

    fn after_last_line_end(&self, bytes: &[u8]) -> usize {
        let found = if self.dialect.bare_returns {
            memrchr2(b'\n', b'\r', bytes)
        } else {
            memrchr(b'\n', bytes)
        };
        found.map_or(0, |found| found + 1)
    }
}

impl Iterator for Splitter<'_> {
    type Item = Result<Vec<u8>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let chunk = self.chunk();
        self.done |= chunk.is_err();
        chunk.transpose()
    }
}
