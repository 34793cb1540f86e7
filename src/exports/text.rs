//! The one text form of a value: what pages and CSV show, and JSON and XLSX for types they do not know.
//! This is the general way, which knows every type: a column is looked at once; after that, a cell costs one
//! indirect call and no allocation. `cells` has a shorter way for the common types.

use arrow::array::Array;
use arrow::array::AsArray;
use arrow::array::RecordBatch;
use arrow::buffer::NullBuffer;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::ArrowNativeType;
use arrow::datatypes::DataType;
use arrow::datatypes::Float16Type;
use arrow::datatypes::IntervalDayTime;
use arrow::datatypes::IntervalMonthDayNano;
use arrow::datatypes::IntervalUnit;
use arrow::datatypes::TimeUnit;
use arrow::datatypes::i256;

use crate::exports::calendar::SECONDS_PER_DAY;
use crate::exports::calendar::write_date;
use crate::exports::calendar::write_day_count;
use crate::exports::calendar::write_interval;
use crate::exports::calendar::write_time;
use crate::exports::calendar::write_timestamp;
use crate::exports::indirect::Indirect;
use crate::exports::json_value::JsonColumn;
use crate::exports::numbers::write_decimal;
use crate::exports::numbers::write_double;
use crate::exports::numbers::write_integer;
use crate::exports::numbers::write_single;
use crate::exports::numbers::write_wide_decimal;

/// Appends the value of a row that is not null.
pub(super) type WriteValue<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + Send + Sync + 'a>;

/// Rows of an array as text.
pub(crate) struct TextColumn<'a> {
    nulls: Option<NullBuffer>,
    write_value: WriteValue<'a>,
    /// Whether a text may hold any character, so that a format must look for its own marks in it.
    pub(super) free_text: bool,
}

impl<'a> TextColumn<'a> {
    pub(crate) fn new(array: &'a dyn Array) -> Self {
        if let Some(indirect) = Indirect::of(array) {
            return Self::indirect(array, indirect);
        }
        let write_value = match array.data_type() {
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => bytes(array),
            nested if nested.is_nested() => {
                let json = JsonColumn::new(array);
                Box::new(move |row, out: &mut Vec<u8>| json.write(row, out)) as WriteValue<'a>
            }
            _ => number(array).unwrap_or_else(|| moment(array)),
        };
        Self {
            nulls: array.logical_nulls(),
            write_value,
            free_text: array.data_type().is_string() || array.data_type().is_nested(),
        }
    }

    /// Whether the row holds NULL; then it has no text.
    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends the text of a row that is not null.
    #[inline]
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        (self.write_value)(row, out);
    }

    fn indirect(array: &dyn Array, indirect: Indirect<'a>) -> Self {
        let children: Vec<Self> = indirect.children.into_iter().map(Self::new).collect();
        let locate = indirect.locate;
        Self {
            nulls: array.logical_nulls(),
            free_text: children.iter().any(|child| child.free_text),
            write_value: Box::new(move |row, out| {
                let (child, row) = locate(row);
                children[child].write(row, out);
            }),
        }
    }
}

/// The rows of a batch as text; NULL is `None`.
pub(crate) fn page_values(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let columns: Vec<TextColumn> = batch
        .columns()
        .iter()
        .map(|array| TextColumn::new(array.as_ref()))
        .collect();
    let mut text = Vec::new();
    let mut cell = |column: &TextColumn, row| {
        if column.is_null(row) {
            return None;
        }
        text.clear();
        column.write(row, &mut text);
        Some(String::from_utf8_lossy(&text).into_owned())
    };
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| cell(column, row)).collect())
        .collect()
}

/// The values of an array of fixed width, whatever its logical type; `N` is its native type.
pub(super) fn raw_values<N: ArrowNativeType>(array: &dyn Array) -> ScalarBuffer<N> {
    let data = array.to_data();
    match data.buffers().first() {
        Some(buffer) => ScalarBuffer::new(buffer.clone(), data.offset(), data.len()),
        None => ScalarBuffer::from(Vec::new()),
    }
}

fn each<'a, N: ArrowNativeType>(
    array: &dyn Array,
    write: impl Fn(N, &mut Vec<u8>) + Send + Sync + 'a,
) -> WriteValue<'a> {
    let values = raw_values::<N>(array);
    Box::new(move |row, out| write(values[row], out))
}

fn number<'a>(array: &'a dyn Array) -> Option<WriteValue<'a>> {
    Some(match *array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean().values();
            Box::new(move |row, out: &mut Vec<u8>| {
                let text: &[u8] = if values.value(row) { b"true" } else { b"false" };
                out.extend_from_slice(text);
            })
        }
        DataType::Int8 => each(array, write_integer::<i8>),
        DataType::Int16 => each(array, write_integer::<i16>),
        DataType::Int32 => each(array, write_integer::<i32>),
        DataType::Int64 => each(array, write_integer::<i64>),
        DataType::UInt8 => each(array, write_integer::<u8>),
        DataType::UInt16 => each(array, write_integer::<u16>),
        DataType::UInt32 => each(array, write_integer::<u32>),
        DataType::UInt64 => each(array, write_integer::<u64>),
        DataType::Float16 => {
            let values = array.as_primitive::<Float16Type>().values();
            Box::new(move |row, out: &mut Vec<u8>| write_single(values[row].to_f32(), out))
        }
        DataType::Float32 => each(array, write_single),
        DataType::Float64 => each(array, write_double),
        DataType::Decimal32(_, scale) => each(array, move |value: i32, out| {
            write_decimal(i128::from(value), scale, out)
        }),
        DataType::Decimal64(_, scale) => each(array, move |value: i64, out| {
            write_decimal(i128::from(value), scale, out)
        }),
        DataType::Decimal128(_, scale) => each(array, move |value, out| write_decimal(value, scale, out)),
        DataType::Decimal256(_, scale) => each(array, move |value: i256, out| {
            write_wide_decimal(value, scale, out)
        }),
        _ => return None,
    })
}

/// Dates, times and spans; everything else has no value to write.
fn moment<'a>(array: &dyn Array) -> WriteValue<'a> {
    match *array.data_type() {
        DataType::Date32 => each(array, write_day_count),
        DataType::Date64 => each(array, write_date64),
        DataType::Timestamp(unit, ref zone) => {
            let zoned = zone.is_some();
            each(array, move |value, out| write_timestamp(value, unit, zoned, out))
        }
        DataType::Time32(unit) => each(array, move |value: i32, out| {
            write_time(i64::from(value), unit, out)
        }),
        DataType::Time64(unit) | DataType::Duration(unit) => {
            each(array, move |value, out| write_time(value, unit, out))
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            each(array, |months, out| write_interval(months, 0, 0, out))
        }
        DataType::Interval(IntervalUnit::DayTime) => each(array, |value: IntervalDayTime, out| {
            write_interval(0, value.days, i64::from(value.milliseconds) * 1_000_000, out);
        }),
        DataType::Interval(IntervalUnit::MonthDayNano) => each(array, |value: IntervalMonthDayNano, out| {
            write_interval(value.months, value.days, value.nanoseconds, out);
        }),
        _ => Box::new(|_, _| {}),
    }
}

/// Appends a date kept in milliseconds; one that is no whole day, which Arrow forbids, keeps its time.
fn write_date64(milliseconds: i64, out: &mut Vec<u8>) {
    const PER_DAY: i64 = SECONDS_PER_DAY * 1_000;
    if milliseconds % PER_DAY == 0 {
        write_date(milliseconds / PER_DAY, out);
    } else {
        write_timestamp(milliseconds, TimeUnit::Millisecond, false, out);
    }
}

/// Text as it is, binary values in PostgreSQL's hexadecimal form.
fn bytes<'a>(array: &'a dyn Array) -> WriteValue<'a> {
    match array.data_type() {
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            Box::new(move |row, out| out.extend_from_slice(values.value(row).as_bytes()))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            Box::new(move |row, out| out.extend_from_slice(values.value(row).as_bytes()))
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            Box::new(move |row, out| out.extend_from_slice(values.value(row).as_bytes()))
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            Box::new(move |row, out| write_hex(values.value(row), out))
        }
        DataType::LargeBinary => {
            let values = array.as_binary::<i64>();
            Box::new(move |row, out| write_hex(values.value(row), out))
        }
        DataType::BinaryView => {
            let values = array.as_binary_view();
            Box::new(move |row, out| write_hex(values.value(row), out))
        }
        _ => {
            let values = array.as_fixed_size_binary();
            Box::new(move |row, out| write_hex(values.value(row), out))
        }
    }
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}
