//! XLSX: typed cells, a bold header that stays in sight, as many sheets as the rows need.
//! Texts are written as texts, whatever they look like: never a formula, never a link.
//! NULL and the empty text are both an empty cell, since Excel knows no difference.
//! Timestamps with a time zone are shown in UTC; Excel keeps a time to about a microsecond.
//! Control characters are escaped as Excel does (`_x000D_`); openpyxl leaves it to its caller to undo that.

mod cell;
mod parts;
mod sheet;
#[cfg(test)]
mod tests;
mod text;
mod zip;

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::exports::deflate::Deflated;
use crate::exports::deflate::Deflater;
use crate::exports::deflate::deflate;
use crate::exports::pipeline::Piece;
use crate::exports::pipeline::Pieces;
use crate::exports::pipeline::in_order;
use crate::exports::xlsx::sheet::SheetRows;
use crate::exports::xlsx::zip::ZipWriter;

/// Excel's own limits.
const SHEET_ROWS_MAX: u32 = 1_048_576;
const COLUMNS_MAX: usize = 16_384;

/// A million rows of TPC-H `lineitem` on two threads: level 1 takes three quarters of the time for 28 % more bytes,
/// level 4 twice the time for an eighth fewer.
const LEVEL: u32 = 2;

/// XML is compressed when there is that much of it, while the processor still has it at hand.
const XML_BYTES: usize = 32 << 10;

/// Writes a whole workbook; rows are written and compressed on `threads` threads.
pub(super) fn write(
    schema: &Schema,
    batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    threads: usize,
    out: &mut impl Write,
) -> Result<()> {
    write_sheets(schema, batches, threads, SHEET_ROWS_MAX, out)
}

/// As [`write()`], with a further sheet after `sheet_rows_max` rows, the header among them.
pub(super) fn write_sheets(
    schema: &Schema,
    batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    threads: usize,
    sheet_rows_max: u32,
    out: &mut impl Write,
) -> Result<()> {
    if schema.fields().len() > COLUMNS_MAX {
        return Err(Error::new(
            ErrorCode::TooLarge,
            format!(
                "an XLSX file holds at most {COLUMNS_MAX} columns, the result has {}: take csv or json",
                schema.fields().len()
            ),
        ));
    }
    // Without the header.
    let sheet_rows = u64::from(sheet_rows_max - 1);
    let mut book = Book {
        schema,
        sheet_rows,
        sheets: 0,
        zip: ZipWriter::new(out),
    };
    for (path, content) in parts::FIRST {
        book.zip.add(path, deflate(content.as_bytes(), LEVEL)?)?;
    }
    book.begin_sheet()?;
    let new_encoder = || {
        let mut deflater = Deflater::new(LEVEL);
        let mut xml = Vec::with_capacity(2 * XML_BYTES);
        move |piece: Piece| encode_rows(schema, &piece, sheet_rows, &mut xml, &mut deflater)
    };
    let pieces = Pieces::new(batches, schema.fields().len(), sheet_rows);
    in_order(pieces, threads, threads, &new_encoder, |rows| book.append(&rows))?;
    book.finish()
}

/// Rows of one sheet.
struct EncodedRows {
    first_row: u64,
    xml: Deflated,
}

fn encode_rows(
    schema: &Schema,
    piece: &Piece,
    sheet_rows: u64,
    xml: &mut Vec<u8>,
    deflater: &mut Deflater,
) -> Result<EncodedRows> {
    let mut rows = SheetRows::new(schema, &piece.batch);
    // An error may have left some of an earlier piece.
    xml.clear();
    let first_row = piece.first_row;
    // The first row of a sheet is its header.
    let first_sheet_row = first_row % sheet_rows + 2;
    for row in 0..piece.batch.num_rows() {
        let later = row as u64;
        rows.write(row, first_sheet_row + later, first_row + later + 1, xml)?;
        if xml.len() >= XML_BYTES {
            deflater.push(xml)?;
            xml.clear();
        }
    }
    deflater.push(xml)?;
    Ok(EncodedRows {
        first_row,
        xml: deflater.piece()?,
    })
}

/// A workbook as far as it is written.
struct Book<'s, W> {
    schema: &'s Schema,
    sheet_rows: u64,
    sheets: usize,
    zip: ZipWriter<W>,
}

impl<W: Write> Book<'_, W> {
    fn append(&mut self, rows: &EncodedRows) -> Result<()> {
        if rows.first_row > 0 && rows.first_row.is_multiple_of(self.sheet_rows) {
            self.end_sheet()?;
            self.begin_sheet()?;
        }
        self.zip.append(&rows.xml)
    }

    fn begin_sheet(&mut self) -> Result<()> {
        self.sheets += 1;
        self.zip.begin(&parts::sheet_path(self.sheets))?;
        let beginning = sheet::beginning(self.schema, self.sheets == 1)?;
        self.zip.append(&deflate(&beginning, LEVEL)?)
    }

    fn end_sheet(&mut self) -> Result<()> {
        self.zip.append(&deflate(sheet::END, LEVEL)?)?;
        self.zip.end()
    }

    fn finish(mut self) -> Result<()> {
        self.end_sheet()?;
        for (path, content) in parts::last(self.sheets) {
            self.zip.add(path, deflate(content.as_bytes(), LEVEL)?)?;
        }
        self.zip.finish()
    }
}
