//! The XML of a sheet.
//! Common types are written straight from their arrays; all others go by way of [`Cell`] and the text form.
//! Each cell says where it is. That costs a third of the file, and readers may count instead; but Microsoft's
//! own OLE DB driver and many a library do not.

use std::fmt::Write as _;

use arrow::array::Array;
use arrow::array::AsArray;
use arrow::array::RecordBatch;
use arrow::array::StringArray;
use arrow::array::StringViewArray;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::DataType;
use arrow::datatypes::Schema;

use crate::arrow_types::is_number_as_text;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::exports::numbers::write_decimal;
use crate::exports::numbers::write_double;
use crate::exports::numbers::write_integer;
use crate::exports::text::TextColumn;
use crate::exports::text::raw_values;
use crate::exports::xlsx::cell::Cell;
use crate::exports::xlsx::cell::EXACT_MAX;
use crate::exports::xlsx::cell::EXACT_POWER_MAX;
use crate::exports::xlsx::cell::MomentStyle;
use crate::exports::xlsx::cell::ReadCell;
use crate::exports::xlsx::cell::cells;
use crate::exports::xlsx::cell::date_serial;
use crate::exports::xlsx::cell::decimal;
use crate::exports::xlsx::cell::number_texts;
use crate::exports::xlsx::parts::HEADER_STYLE;
use crate::exports::xlsx::parts::style_of;
use crate::exports::xlsx::parts::xml;
use crate::exports::xlsx::text::has_edges;
use crate::exports::xlsx::text::is_plain;
use crate::exports::xlsx::text::write_escaped;

/// Excel's own limit.
const CELL_CHARACTERS_MAX: usize = 32_767;

/// Neither bold nor a moment.
const PLAIN_STYLE: u8 = 0;

/// What follows the last row.
pub(super) const END: &[u8] = b"</sheetData></worksheet>";

/// What precedes the rows of the result: the look of the sheet, and the header.
pub(super) fn beginning(schema: &Schema, first_sheet: bool) -> Result<Vec<u8>> {
    let mut xml = String::from(xml!(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView"#,
    ));
    if first_sheet {
        xml.push_str(r#" tabSelected="1""#);
    }
    xml.push_str(concat!(
        r#" workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>"#,
        r#"<selection pane="bottomLeft"/></sheetView></sheetViews>"#,
    ));
    let mut widths = String::new();
    for (number, field) in (1..).zip(schema.fields()) {
        if let Some(width) = moment_width(field.data_type()) {
            // Writing to a string cannot fail.
            let _ = write!(
                widths,
                r#"<col min="{number}" max="{number}" width="{width}" customWidth="1"/>"#
            );
        }
    }
    if !widths.is_empty() {
        xml.push_str("<cols>");
        xml.push_str(&widths);
        xml.push_str("</cols>");
    }
    xml.push_str(r#"<sheetData><row r="1">"#);
    let mut xml = xml.into_bytes();
    for (position, field) in schema.fields().iter().enumerate() {
        check_length(field.name(), 0, field.name())?;
        if !field.name().is_empty() {
            xml.extend_from_slice(&opening(position));
            xml.push(b'1');
            write_text(HEADER_STYLE, field.name(), &mut xml);
        }
    }
    xml.extend_from_slice(b"</row>");
    Ok(xml)
}

/// Rows of the result, ready to be written one after another.
pub(super) struct SheetRows<'a> {
    schema: &'a Schema,
    columns: Vec<Column<'a>>,
    text: Vec<u8>,
}

struct Column<'a> {
    /// What each cell begins with.
    opening: Vec<u8>,
    text: TextColumn<'a>,
    values: Values<'a>,
}

enum Values<'a> {
    Integers32(ScalarBuffer<i32>),
    Integers64(ScalarBuffer<i64>),
    Decimals(ScalarBuffer<i128>, i8),
    Decimals64(ScalarBuffer<i64>, i8),
    Doubles(ScalarBuffer<f64>),
    Days(ScalarBuffer<i32>),
    Texts {
        texts: &'a StringArray,
        /// None of them needs an escape.
        plain: bool,
    },
    TextViews(&'a StringViewArray),
    Other(ReadCell<'a>),
}

impl<'a> SheetRows<'a> {
    pub(super) fn new(schema: &'a Schema, batch: &'a RecordBatch) -> Self {
        let columns = batch.columns().iter().enumerate();
        Self {
            schema,
            columns: columns
                .map(|(position, array)| Column {
                    opening: opening(position),
                    text: TextColumn::new(array.as_ref()),
                    values: match is_number_as_text(schema.field(position)) {
                        true => Values::Other(number_texts(array.as_ref())),
                        false => Values::of(array.as_ref()),
                    },
                })
                .collect(),
            text: Vec::new(),
        }
    }

    /// Appends a row; `sheet_row` is its number in the sheet, `result_row` in the result, both from 1.
    pub(super) fn write(
        &mut self,
        row: usize,
        sheet_row: u64,
        result_row: u64,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(sheet_row).as_bytes();
        let start = out.len();
        out.extend_from_slice(br#"<row r=""#);
        out.extend_from_slice(digits);
        out.extend_from_slice(br#"">"#);
        let cells_start = out.len();
        for (position, column) in self.columns.iter().enumerate() {
            if column.text.is_null(row) {
                continue;
            }
            let before = out.len();
            out.extend_from_slice(&column.opening);
            out.extend_from_slice(digits);
            if column.values.write(row, out) {
                continue;
            }
            out.truncate(before);
            self.text.clear();
            column.text.write(row, &mut self.text);
            let text = std::str::from_utf8(&self.text).map_err(Error::internal)?;
            if text.is_empty() {
                continue;
            }
            check_length(text, result_row, self.schema.field(position).name())?;
            out.extend_from_slice(&column.opening);
            out.extend_from_slice(digits);
            write_text(PLAIN_STYLE, text, out);
        }
        if out.len() == cells_start {
            out.truncate(start);
        } else {
            out.extend_from_slice(b"</row>");
        }
        Ok(())
    }
}

impl<'a> Values<'a> {
    fn of(array: &'a dyn Array) -> Self {
        match *array.data_type() {
            DataType::Int32 => Self::Integers32(raw_values(array)),
            DataType::Int64 => Self::Integers64(raw_values(array)),
            DataType::Decimal128(_, scale) if (0..=EXACT_POWER_MAX).contains(&scale) => {
                Self::Decimals(raw_values(array), scale)
            }
            DataType::Decimal64(_, scale) if (0..=EXACT_POWER_MAX).contains(&scale) => {
                Self::Decimals64(raw_values(array), scale)
            }
            DataType::Float64 => Self::Doubles(raw_values(array)),
            DataType::Date32 => Self::Days(raw_values(array)),
            DataType::Utf8 => {
                let texts = array.as_string::<i32>();
                let ends = texts.value_offsets();
                let whole = ends.first().zip(ends.last()).map(|(first, last)| {
                    let (first, last) = (*first as usize, *last as usize);
                    &texts.value_data()[first..last]
                });
                Self::Texts {
                    texts,
                    plain: whole.is_some_and(is_plain),
                }
            }
            DataType::Utf8View => Self::TextViews(array.as_string_view()),
            _ => Self::Other(cells(array)),
        }
    }

    /// Appends what follows a cell's place; or nothing and says so, if only the text form will do.
    #[inline]
    fn write(&self, row: usize, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Integers32(values) => write_number(out, |out| write_integer(values[row], out)),
            Self::Integers64(values) => {
                let value = values[row];
                if u128::from(value.unsigned_abs()) > EXACT_MAX {
                    return false;
                }
                write_number(out, |out| write_integer(value, out));
            }
            Self::Decimals(values, scale) => {
                let value = values[row];
                if value.unsigned_abs() > EXACT_MAX {
                    return write_cell(decimal(value, *scale), out);
                }
                write_number(out, |out| write_short_decimal(value as i64, *scale, out));
            }
            Self::Decimals64(values, scale) => {
                let value = values[row];
                if u128::from(value.unsigned_abs()) > EXACT_MAX {
                    return write_cell(decimal(value.into(), *scale), out);
                }
                write_number(out, |out| write_short_decimal(value, *scale, out));
            }
            Self::Doubles(values) => {
                let value = values[row];
                if !value.is_finite() {
                    return false;
                }
                write_number(out, |out| write_shortest(value, out));
            }
            Self::Days(values) => match date_serial(values[row].into()) {
                Some(serial) => write_moment(MomentStyle::Date, out, |out| write_integer(serial, out)),
                None => return false,
            },
            Self::Texts { texts, plain } => return write_plain_text(texts.value(row), *plain, out),
            Self::TextViews(texts) => return write_plain_text(texts.value(row), false, out),
            Self::Other(read) => return write_cell(read(row), out),
        }
        true
    }
}

fn write_cell(cell: Cell, out: &mut Vec<u8>) -> bool {
    match cell {
        Cell::Number(number) => write_number(out, |out| write_shortest(number, out)),
        Cell::Boolean(boolean) => {
            out.extend_from_slice(if boolean {
                br#"" t="b"><v>1</v></c>"#
            } else {
                br#"" t="b"><v>0</v></c>"#
            });
        }
        Cell::Moment { serial, style } => write_moment(style, out, |out| write_shortest(serial, out)),
        Cell::Text => return false,
    }
    true
}

#[inline]
fn write_number(out: &mut Vec<u8>, digits: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(br#""><v>"#);
    digits(out);
    out.extend_from_slice(b"</v></c>");
}

#[inline]
fn write_moment(style: MomentStyle, out: &mut Vec<u8>, digits: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(br#"" s=""#);
    out.push(b'0' + style_of(style));
    out.extend_from_slice(br#""><v>"#);
    digits(out);
    out.extend_from_slice(b"</v></c>");
}

/// Appends a text that may stand as it is, as most may; or nothing and says so.
#[inline]
fn write_plain_text(text: &str, plain: bool, out: &mut Vec<u8>) -> bool {
    let bytes = text.as_bytes();
    let short = (1..=CELL_CHARACTERS_MAX).contains(&bytes.len());
    if !short || has_edges(bytes) || !(plain || is_plain(bytes)) {
        return false;
    }
    out.extend_from_slice(br#"" t="inlineStr"><is><t>"#);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"</t></is></c>");
    true
}

/// Appends any text.
fn write_text(style: u8, text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    if style != PLAIN_STYLE {
        out.extend_from_slice(br#" s=""#);
        out.push(b'0' + style);
        out.push(b'"');
    }
    out.extend_from_slice(br#" t="inlineStr"><is><t"#);
    if has_edges(text.as_bytes()) {
        out.extend_from_slice(br#" xml:space="preserve""#);
    }
    out.push(b'>');
    write_escaped(text, out);
    out.extend_from_slice(b"</t></is></c>");
}

/// Appends at most 15 digits without zeros at the end of the fraction.
#[inline]
fn write_short_decimal(value: i64, scale: i8, out: &mut Vec<u8>) {
    let (mut value, mut scale) = (value, scale);
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    write_decimal(value.into(), scale, out);
}

/// Appends the shortest text that reads back the same; a whole number has no point.
#[inline]
fn write_shortest(number: f64, out: &mut Vec<u8>) {
    write_double(number, out);
    if out.ends_with(b".0") {
        out.truncate(out.len() - 2);
    }
}

/// The beginning of every cell of a column, up to its row number.
fn opening(position: usize) -> Vec<u8> {
    let mut letters = Vec::new();
    let mut rest = position + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(b'A' + (rest % 26) as u8);
        rest /= 26;
    }
    letters.reverse();
    let mut opening = br#"<c r=""#.to_vec();
    opening.append(&mut letters);
    opening
}

/// Excel shows `########` for a date wider than its column; the usual width holds eight characters.
/// Room for 11, 24 and 13 characters, and Excel's margin of five pixels, of which a character has seven.
fn moment_width(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Date32 | DataType::Date64 => Some("11.7109375"),
        DataType::Timestamp(_, _) => Some("24.7109375"),
        DataType::Time32(_) | DataType::Time64(_) => Some("13.7109375"),
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
