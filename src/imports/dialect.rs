//! Finds out what divides a file's fields and records, from its first records.
//! The right delimiter is the one that gives every record as many fields as the first has.

use std::fs::File;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;

use crate::error::Error;
use crate::error::Result;
use crate::imports::fields::Dialect;
use crate::imports::fields::Then;
use crate::imports::fields::step;
use crate::imports::options::CsvOptions;
use crate::imports::prepare::Prepared;
use crate::imports::values::boolean;
use crate::imports::values::number;

const SAMPLE_BYTES: u64 = 1 << 20;
const SAMPLE_RECORDS: usize = 1_000;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

pub(super) fn detect(prepared: &Prepared, options: &CsvOptions) -> Result<Dialect> {
    let mut file = File::open(&prepared.path)?;
    file.seek(SeekFrom::Start(prepared.start))?;
    let mut sample = Vec::new();
    file.take(SAMPLE_BYTES).read_to_end(&mut sample)?;
    let sample = Sample {
        whole: prepared.start + sample.len() as u64 >= prepared.length,
        bytes: &sample,
    };
    let delimiters = match options.delimiter {
        Some(delimiter) => vec![given(delimiter)?],
        None => DELIMITERS.to_vec(),
    };
    let bare_returns = sample.has_bare_returns();
    if !sample.bytes.contains(&b'"') && sample.bytes.contains(&b'\'') {
        let single = sample.best(&delimiters, b'\'', bare_returns);
        if sample.is_wrapped(single) {
            return Ok(single);
        }
    }
    Ok(sample.best(&delimiters, b'"', bare_returns))
}

fn given(delimiter: char) -> Result<u8> {
    match u8::try_from(delimiter) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(byte),
        _ => Err(Error::must_be(
            "delimiter",
            "one ASCII character other than a quote or a line end",
            &delimiter.to_string(),
        )),
    }
}

struct Sample<'a> {
    bytes: &'a [u8],
    /// It is the whole file.
    whole: bool,
}

impl Sample<'_> {
    /// The first of the delimiters if none makes more than one field.
    fn best(&self, delimiters: &[u8], quote: u8, bare_returns: bool) -> Dialect {
        let dialect = |delimiter: u8| Dialect {
            delimiter,
            quote,
            bare_returns,
        };
        let mut best = dialect(delimiters[0]);
        let mut best_score = (0, 0);
        for delimiter in delimiters {
            let score = self.score(dialect(*delimiter));
            if score > best_score {
                best_score = score;
                best = dialect(*delimiter);
            }
        }
        best
    }

    /// How many of a million records have as many fields as the first, and how many fields that are.
    fn score(&self, dialect: Dialect) -> (usize, usize) {
        let mut counts = Vec::new();
        let mut at = 0;
        while at < self.bytes.len() && counts.len() < SAMPLE_RECORDS {
            let start = at;
            let mut count = 0;
            let then = loop {
                let step = step(self.bytes, at, dialect);
                count += 1;
                at = step.next;
                if step.then != Then::Field {
                    break step.then;
                }
            };
            let cut_off = then != Then::Record && !self.whole && !counts.is_empty();
            let blank = self.bytes[start..at]
                .iter()
                .all(|byte| matches!(byte, b'\r' | b'\n'));
            if !cut_off && !blank {
                counts.push(count);
            }
        }
        match counts.first() {
            Some(first) if *first > 1 => {
                let alike = counts.iter().filter(|count| *count == first).count();
                (alike * 1_000_000 / counts.len(), *first)
            }
            _ => (0, 0),
        }
    }

    /// Whether every field but numbers and booleans is in quotes.
    fn is_wrapped(&self, dialect: Dialect) -> bool {
        let mut at = 0;
        let mut wrapped = 0;
        for _ in 0..SAMPLE_RECORDS * 10 {
            if at >= self.bytes.len() {
                break;
            }
            let step = step(self.bytes, at, dialect);
            let cut_off = matches!(step.then, Then::End | Then::Unclosed) && !self.whole;
            if cut_off {
                break;
            }
            let text = step.field.of(self.bytes);
            let plain = text.is_empty() || number(text).is_some() || boolean(text).is_some();
            if step.spoilt || step.then == Then::Unclosed || !(step.field.quoted || plain) {
                return false;
            }
            wrapped += usize::from(step.field.quoted);
            at = step.next;
        }
        wrapped > 0
    }

    /// Whether lines end with CR and nothing else.
    fn has_bare_returns(&self) -> bool {
        let mut in_quotes = false;
        let mut bare = false;
        for (at, byte) in self.bytes.iter().enumerate() {
            match byte {
                b'"' => in_quotes = !in_quotes,
                b'\n' if !in_quotes => return false,
                b'\r' if !in_quotes => {
                    let next = self.bytes.get(at + 1);
                    bare |= next.is_some_and(|next| *next != b'\n') || (next.is_none() && self.whole);
                }
                _ => {}
            }
        }
        bare
    }
}
