//! XLSX: typed cells, a bold header that stays in sight, as many sheets as the rows need.
//! Texts are written as texts, whatever they look like: never a formula, never a link.
//! NULL and the empty text are both an empty cell, since Excel knows no difference.
//! Timestamps with a time zone are shown in UTC; Excel keeps a time to about a microsecond.
//! Control characters are escaped as Excel does (`_x000D_`); openpyxl leaves it to its caller to undo that.

use std::io::Write;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::datatypes::Schema;
use rust_xlsxwriter::Format;
use rust_xlsxwriter::Workbook;
use rust_xlsxwriter::Worksheet;
use rust_xlsxwriter::XlsxError;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::exports::pipeline::check_columns;
use crate::exports::text::TextColumn;
use crate::exports::xlsx_cell::Cell;
use crate::exports::xlsx_cell::MomentStyle;
use crate::exports::xlsx_cell::ReadCell;
use crate::exports::xlsx_cell::cells;

/// Excel's own limits.
pub(super) const SHEET_ROWS_MAX: u32 = 1_048_576;
const COLUMNS_MAX: usize = 16_384;
const CELL_CHARACTERS_MAX: usize = 32_767;

/// Writing a file takes 60 % of the time that level 6 takes, for a fifth more bytes
/// (a million rows of TPC-H `lineitem`); level 1 would be half as large again.
const COMPRESSION_LEVEL: u8 = 2;
/// From here on the file is written in the form for more than 4 GB, which some older readers refuse.
const SHEET_BYTES_MAX: u64 = 2 << 30;
/// The XML around a value, generously.
const CELL_BYTES: u64 = 64;

/// Writes a whole workbook.
pub(super) fn write(
    schema: &Schema,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    out: &mut (impl Write + Send),
    temp_dir: &Path,
) -> Result<()> {
    write_sheets(schema, batches, SHEET_ROWS_MAX, out, temp_dir)
}

/// As [`write()`], with a further sheet after `sheet_rows_max` rows, the header among them.
pub(super) fn write_sheets(
    schema: &Schema,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    sheet_rows_max: u32,
    out: &mut (impl Write + Send),
    temp_dir: &Path,
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
    let mut workbook = Workbook::new();
    workbook.set_tempdir(temp_dir).map_err(failed)?;
    workbook.set_zip_compression_level(COMPRESSION_LEVEL);
    let mut book = Book {
        schema,
        workbook,
        styles: Styles::new(),
        sheet_rows_max,
        sheets: 0,
        next_row: 0,
        rows: 0,
        sheet_bytes: 0,
        large: false,
        text: Vec::new(),
    };
    book.add_sheet()?;
    for batch in batches {
        book.write_batch(&batch?)?;
    }
    book.workbook.use_zip_large_file(book.large);
    book.workbook.save_to_writer(out).map_err(failed)
}

/// A workbook as far as it is written.
struct Book<'s> {
    schema: &'s Schema,
    workbook: Workbook,
    styles: Styles,
    sheet_rows_max: u32,
    sheets: usize,
    next_row: u32,
    /// Rows of the result, over all sheets.
    rows: u64,
    /// About the size of the current sheet before compression.
    sheet_bytes: u64,
    large: bool,
    text: Vec<u8>,
}

/// A column of the current batch.
struct Column<'a> {
    read: ReadCell<'a>,
    text: TextColumn<'a>,
}

impl Book<'_> {
    fn add_sheet(&mut self) -> Result<()> {
        let sheet = self
            .workbook
            .add_worksheet_with_constant_memory()
            .map_err(failed)?;
        self.sheets += 1;
        sheet.set_name(format!("Sheet{}", self.sheets)).map_err(failed)?;
        sheet.set_freeze_panes(1, 0).map_err(failed)?;
        for (column, field) in (0_u16..).zip(self.schema.fields()) {
            check_length(field.name(), 0, field.name())?;
            sheet
                .write_string_with_format(0, column, field.name(), &self.styles.header)
                .map_err(failed)?;
            if let Some(width) = moment_width(field.data_type()) {
                sheet.set_column_width(column, width).map_err(failed)?;
            }
        }
        self.next_row = 1;
        self.sheet_bytes = 0;
        Ok(())
    }

    fn write_batch(&mut self, batch: &RecordBatch) -> Result<()> {
        check_columns(batch, self.schema.fields().len())?;
        let columns: Vec<Column> = batch
            .columns()
            .iter()
            .map(|array| Column {
                read: cells(array.as_ref()),
                text: TextColumn::new(array.as_ref()),
            })
            .collect();
        for row in 0..batch.num_rows() {
            if self.next_row == self.sheet_rows_max {
                self.add_sheet()?;
            }
            self.rows += 1;
            self.write_row(&columns, row)?;
            self.next_row += 1;
        }
        self.large |= self.sheet_bytes > SHEET_BYTES_MAX;
        Ok(())
    }

    fn write_row(&mut self, columns: &[Column], row: usize) -> Result<()> {
        let sheet = self
            .workbook
            .worksheet_from_index(self.sheets - 1)
            .map_err(failed)?;
        for (position, column) in (0_u16..).zip(columns) {
            if column.text.is_null(row) {
                continue;
            }
            let cell = (column.read)(row);
            self.sheet_bytes += CELL_BYTES;
            if cell == Cell::Text {
                self.text.clear();
                column.text.write(row, &mut self.text);
                self.sheet_bytes += self.text.len() as u64;
                let text = std::str::from_utf8(&self.text).map_err(Error::internal)?;
                check_length(text, self.rows, self.schema.field(position.into()).name())?;
                sheet
                    .write_string(self.next_row, position, text)
                    .map_err(failed)?;
            } else {
                write_typed(sheet, (self.next_row, position), cell, &self.styles).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn write_typed(
    sheet: &mut Worksheet,
    (row, column): (u32, u16),
    cell: Cell,
    styles: &Styles,
) -> std::result::Result<(), XlsxError> {
    match cell {
        Cell::Number(number) => sheet.write_number(row, column, number)?,
        Cell::Boolean(boolean) => sheet.write_boolean(row, column, boolean)?,
        Cell::Moment { serial, style } => {
            sheet.write_number_with_format(row, column, serial, styles.of(style))?
        }
        Cell::Text => return Ok(()),
    };
    Ok(())
}

/// The formats of cells, made once.
struct Styles {
    header: Format,
    date: Format,
    timestamp: Format,
    timestamp_fraction: Format,
    time: Format,
    time_fraction: Format,
}

impl Styles {
    fn new() -> Self {
        let moment = |pattern| Format::new().set_num_format(pattern);
        Self {
            header: Format::new().set_bold(),
            date: moment("yyyy-mm-dd"),
            timestamp: moment("yyyy-mm-dd hh:mm:ss"),
            timestamp_fraction: moment("yyyy-mm-dd hh:mm:ss.000"),
            time: moment("hh:mm:ss"),
            time_fraction: moment("hh:mm:ss.000"),
        }
    }

    fn of(&self, style: MomentStyle) -> &Format {
        match style {
            MomentStyle::Date => &self.date,
            MomentStyle::Timestamp => &self.timestamp,
            MomentStyle::TimestampFraction => &self.timestamp_fraction,
            MomentStyle::Time => &self.time,
            MomentStyle::TimeFraction => &self.time_fraction,
        }
    }
}

/// Excel shows `########` for a date wider than its column; the usual width holds eight characters.
fn moment_width(data_type: &DataType) -> Option<f64> {
    match data_type {
        DataType::Date32 | DataType::Date64 => Some(11.0),
        DataType::Timestamp(_, _) => Some(24.0),
        DataType::Time32(_) | DataType::Time64(_) => Some(13.0),
        _ => None,
    }
}

/// Counts characters as Excel does, in units of UTF-16; row 0 is the header.
fn check_length(text: &str, row: u64, column: &str) -> Result<()> {
    // A character is never more units than bytes.
    if text.len() <= CELL_CHARACTERS_MAX {
        return Ok(());
    }
    let length = text.encode_utf16().count();
    if length <= CELL_CHARACTERS_MAX {
        return Ok(());
    }
    let start: String = column.chars().take(100).collect();
    Err(Error::new(
        ErrorCode::TooLarge,
        format!(
            "row {row}, column `{start}`: a cell of an XLSX file holds at most {CELL_CHARACTERS_MAX} characters, \
             this one has {length}: take csv or json"
        ),
    ))
}

fn failed(error: XlsxError) -> Error {
    Error::internal(error)
}
