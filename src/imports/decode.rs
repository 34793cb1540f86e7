//! Whether bytes are text, and text of other encodings as UTF-8.
//! A byte that means nothing is an error that names its line, never a replacement character.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use encoding_rs::DecoderResult;
use encoding_rs::UTF_16BE;
use encoding_rs::UTF_16LE;
use encoding_rs::WINDOWS_1252;
use memchr::memchr;
use memchr::memchr_iter;

use crate::error::Error;
use crate::error::Result;
use crate::imports::options::Encoding;

/// What Windows-1252 gives no meaning to.
const UNDEFINED: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];

/// UTF-16 without a mark: most characters of a table are ASCII, and have a zero byte each, all on one side.
pub(super) fn utf16_by_zeros(head: &[u8]) -> Option<Encoding> {
    let zeros = |first: usize| {
        head.iter()
            .skip(first)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    let enough = (head.len() / 10).max(2);
    match (even, odd) {
        (0, odd) if odd >= enough => Some(Encoding::Utf16Le),
        (even, 0) if even >= enough => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// Line ends of all kinds, to name a line before the kind is known.
#[derive(Default)]
struct Lines {
    line_feeds: u64,
    returns: u64,
}

impl Lines {
    fn see(&mut self, text: &[u8]) {
        self.line_feeds += memchr_iter(b'\n', text).count() as u64;
        self.returns += memchr_iter(b'\r', text).count() as u64;
    }

    /// The line after them, from 1.
    fn line(&self) -> u64 {
        1 + match self.line_feeds {
            0 => self.returns,
            line_feeds => line_feeds,
        }
    }
}

fn line_at(path: &Path, offset: u64) -> Result<u64> {
    let mut file = File::open(path)?.take(offset);
    let mut lines = Lines::default();
    let mut block = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(lines.line());
        }
        lines.see(&block[..read]);
    }
}

/// What is known of bytes that may be UTF-8.
#[derive(Default)]
pub(super) struct Utf8 {
    seen: u64,
    /// Offset of the first byte that fits nowhere, and the byte.
    invalid: Option<(u64, u8)>,
    zero: Option<u64>,
    /// There are characters of several bytes, so that nothing else than UTF-8 is meant.
    several: bool,
    undefined: bool,
}

impl Utf8 {
    /// Says how many of the bytes it has done with: the last character may be cut.
    pub(super) fn see(&mut self, bytes: &[u8], last: bool) -> usize {
        if self.zero.is_none() {
            self.zero = memchr(0, bytes).map(|at| self.seen + at as u64);
        }
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match simdutf8::compat::from_utf8(rest) {
                Ok(text) => {
                    self.several |= !text.is_ascii();
                    at = bytes.len();
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    self.several |= !rest[..valid].is_ascii();
                    at += valid;
                    let length = match error.error_len() {
                        Some(length) => length,
                        None if last => bytes.len() - at,
                        None => break,
                    };
                    let byte = bytes[at];
                    self.invalid = self.invalid.or(Some((self.seen + at as u64, byte)));
                    self.undefined |= bytes[at..at + length].iter().any(|byte| UNDEFINED.contains(byte));
                    at += length;
                }
            }
        }
        self.seen += at as u64;
        at
    }

    /// Whether more bytes would change nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.zero.is_some() || (self.invalid.is_some() && (self.several || self.undefined))
    }

    pub(super) fn may_be_windows(&self) -> bool {
        self.invalid.is_some() && !self.is_settled()
    }

    /// An error unless it is UTF-8; `start` is where in the file the bytes began.
    pub(super) fn sure(&self, path: &Path, start: u64) -> Result<()> {
        let zero = self.zero.unwrap_or(u64::MAX);
        if let Some((offset, byte)) = self.invalid.filter(|(offset, _)| *offset < zero) {
            let line = line_at(path, start + offset)?;
            return Err(Error::invalid(format!(
                "line {line} is not valid UTF-8 (byte 0x{byte:02x} at offset {}); \
                 give --encoding if the file is in another one",
                start + offset
            )));
        }
        if let Some(zero) = self.zero {
            return Err(no_text(line_at(path, start + zero)?));
        }
        Ok(())
    }
}

fn no_text(line: u64) -> Error {
    Error::invalid(format!("line {line} has a NUL byte, which no text has"))
}

/// Decodes a block at a time.
pub(super) struct Decoder {
    encoding: Encoding,
    decoder: encoding_rs::Decoder,
    text: Vec<u8>,
    lines: Lines,
}

impl Decoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        let of = match encoding {
            Encoding::Utf16Le => UTF_16LE,
            Encoding::Utf16Be => UTF_16BE,
            Encoding::Utf8 => encoding_rs::UTF_8,
            Encoding::Windows1252 => WINDOWS_1252,
        };
        Self {
            encoding,
            decoder: of.new_decoder_without_bom_handling(),
            text: Vec::new(),
            lines: Lines::default(),
        }
    }

    pub(super) fn decode(&mut self, bytes: &[u8], last: bool) -> Result<&[u8]> {
        let undefined = (self.encoding == Encoding::Windows1252)
            .then(|| bytes.iter().position(|byte| UNDEFINED.contains(byte)))
            .flatten();
        if let Some(at) = undefined {
            self.lines.see(&bytes[..at]);
            let problem = format!("byte 0x{:02x}", bytes[at]);
            return Err(self.malformed(&problem));
        }
        let most = self
            .decoder
            .max_utf8_buffer_length_without_replacement(bytes.len())
            .ok_or_else(|| Error::internal("a block is too long"))?;
        self.text.resize(most, 0);
        let mut from = 0;
        let mut to = 0;
        loop {
            let (result, read, written) =
                self.decoder
                    .decode_to_utf8_without_replacement(&bytes[from..], &mut self.text[to..], last);
            from += read;
            to += written;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => self.text.resize(self.text.len() * 2 + 16, 0),
                DecoderResult::Malformed(..) => {
                    self.lines.see(&self.text[..to]);
                    return Err(self.malformed("half a character"));
                }
            }
        }
        let text = &self.text[..to];
        if let Some(zero) = memchr(0, text) {
            self.lines.see(&text[..zero]);
            return Err(no_text(self.lines.line()));
        }
        self.lines.see(text);
        Ok(text)
    }

    fn malformed(&self, problem: &str) -> Error {
        Error::invalid(format!(
            "line {} is not valid {} ({problem})",
            self.lines.line(),
            self.encoding
        ))
    }
}
