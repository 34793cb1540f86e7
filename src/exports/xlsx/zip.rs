//! A ZIP file written from front to back: no seeking, no temporary file, no time of day.
//! An entry is either given whole, or piece by piece, its sizes then following it in a data descriptor.
//!
//! How large the latter becomes is not known at its start. Excel reads one of more than 4 GB only if its header
//! asks for version 4.5 while its sizes are zeros without a ZIP64 field; Excel and LibreOffice then take the
//! sizes of the descriptor for 64 bits wide. So every such entry has that form, whatever its size.
//! In the directory a ZIP64 field holds only what does not fit 32 bits, as the format demands.

use std::io::Write;

use crate::error::Result;
use crate::exports::deflate::Deflated;
use crate::exports::deflate::END;

const VERSION_DEFLATE: u16 = 20;
const VERSION_ZIP64: u16 = 45;
/// Flag: sizes and checksum follow the data.
const DESCRIPTOR_FOLLOWS: u16 = 1 << 3;
const DEFLATE: u16 = 8;
/// 1980-01-01 00:00:00, the first moment that the format knows: the same rows make the same file.
const TIME: u16 = 0;
const DATE: u16 = 1 << 5 | 1;
/// The field that holds what does not fit 32 bits.
const ZIP64_FIELD: u16 = 1;

/// Written where a number does not fit and stands elsewhere.
const ELSEWHERE_16: u16 = u16::MAX;
const ELSEWHERE_32: u32 = u32::MAX;

/// A file as far as it is written.
pub(super) struct ZipWriter<W> {
    out: W,
    written: u64,
    entries: Vec<Entry>,
    /// Numbers from here on do not fit 32 bits; lower in tests.
    wide_from: u64,
}

struct Entry {
    name: String,
    version: u16,
    flags: u16,
    start: u64,
    content: Deflated,
}

impl<W: Write> ZipWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self::with_wide_from(out, ELSEWHERE_32.into())
    }

    pub(super) fn with_wide_from(out: W, wide_from: u64) -> Self {
        Self {
            out,
            written: 0,
            entries: Vec::new(),
            wide_from,
        }
    }

    /// Writes an entry that is known whole; `content` lacks only its end.
    pub(super) fn add(&mut self, name: &str, content: Deflated) -> Result<()> {
        let mut entry = Entry {
            name: name.to_owned(),
            version: VERSION_DEFLATE,
            flags: 0,
            start: self.written,
            content,
        };
        entry.content.bytes.extend_from_slice(END);
        entry.content.deflated_length += END.len() as u64;
        self.write(&local_header(&entry))?;
        self.write(&entry.content.bytes)?;
        entry.content.bytes = Vec::new();
        self.entries.push(entry);
        Ok(())
    }

    /// Begins an entry that [`Self::append`] fills and [`Self::end`] ends.
    pub(super) fn begin(&mut self, name: &str) -> Result<()> {
        let entry = Entry {
            name: name.to_owned(),
            version: VERSION_ZIP64,
            flags: DESCRIPTOR_FOLLOWS,
            start: self.written,
            content: Deflated::default(),
        };
        self.write(&local_header(&entry))?;
        self.entries.push(entry);
        Ok(())
    }

    pub(super) fn append(&mut self, piece: &Deflated) -> Result<()> {
        self.write(&piece.bytes)?;
        if let Some(entry) = self.entries.last_mut() {
            entry.content.count(piece);
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<()> {
        self.write(END)?;
        let Some(entry) = self.entries.last_mut() else {
            return Ok(());
        };
        entry.content.deflated_length += END.len() as u64;
        let mut descriptor = Record::default();
        descriptor
            .u32(0x0807_4b50)
            .u32(entry.content.checksum())
            .u64(entry.content.deflated_length)
            .u64(entry.content.length);
        self.write(&descriptor.0)
    }

    /// Writes the directory, without which there is no file.
    pub(super) fn finish(mut self) -> Result<()> {
        let start = self.written;
        let entries = std::mem::take(&mut self.entries);
        for entry in &entries {
            self.write(&directory_header(entry, self.wide_from))?;
        }
        let (end, count) = (self.written, entries.len() as u64);
        let mut record = Record::default();
        if count >= ELSEWHERE_16.into() || end >= self.wide_from {
            record
                .u32(0x0606_4b50)
                .u64(44) // the length of what follows
                .u16(VERSION_ZIP64)
                .u16(VERSION_ZIP64)
                .u32(0) // this disk
                .u32(0) // the disk where the directory begins
                .u64(count)
                .u64(count)
                .u64(end - start)
                .u64(start);
            // Where the record just made is.
            record.u32(0x0706_4b50).u32(0).u64(end).u32(1);
        }
        let short_count = u16::try_from(count).unwrap_or(ELSEWHERE_16);
        record
            .u32(0x0605_4b50)
            .u16(0)
            .u16(0)
            .u16(short_count)
            .u16(short_count)
            .u32(narrow(end - start, self.wide_from))
            .u32(narrow(start, self.wide_from))
            .u16(0); // no comment
        self.write(&record.0)?;
        Ok(self.out.flush()?)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

fn local_header(entry: &Entry) -> Vec<u8> {
    let mut record = Record::default();
    record.u32(0x0403_4b50);
    // Zeros, if the content is still to come.
    record.common(entry, ELSEWHERE_32.into());
    record.u16(0).bytes(entry.name.as_bytes());
    record.0
}

fn directory_header(entry: &Entry, wide_from: u64) -> Vec<u8> {
    let content = &entry.content;
    let mut wide = Record::default();
    for number in [content.length, content.deflated_length, entry.start] {
        if number >= wide_from {
            wide.u64(number);
        }
    }
    let mut field = Record::default();
    if !wide.0.is_empty() {
        field.u16(ZIP64_FIELD).u16(wide.0.len() as u16).bytes(&wide.0);
    }
    let mut record = Record::default();
    record.u32(0x0201_4b50).u16(VERSION_ZIP64);
    record.common(entry, wide_from);
    record
        .u16(field.0.len() as u16)
        .u16(0) // no comment
        .u16(0) // disk
        .u16(0) // internal attributes
        .u32(0) // external attributes
        .u32(narrow(entry.start, wide_from))
        .bytes(entry.name.as_bytes())
        .bytes(&field.0);
    record.0
}

fn narrow(number: u64, wide_from: u64) -> u32 {
    if number >= wide_from {
        return ELSEWHERE_32;
    }
    u32::try_from(number).unwrap_or(ELSEWHERE_32)
}

/// Numbers in the byte order of the format.
#[derive(Default)]
struct Record(Vec<u8>);

impl Record {
    fn u16(&mut self, number: u16) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// What the header before an entry and its header in the directory share.
    fn common(&mut self, entry: &Entry, wide_from: u64) -> &mut Self {
        let content = &entry.content;
        self.u16(entry.version)
            .u16(entry.flags)
            .u16(DEFLATE)
            .u16(TIME)
            .u16(DATE)
            .u32(content.checksum())
            .u32(narrow(content.deflated_length, wide_from))
            .u32(narrow(content.length, wide_from))
            .u16(entry.name.len() as u16)
    }
}
