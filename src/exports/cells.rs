//! The values of the common types, read without an indirect call and written without allocation.
//! Whatever is not here takes the general way of [`TextColumn`] and `JsonColumn`, cell by cell.
//!
//! [`TextColumn`]: crate::exports::text::TextColumn

use arrow::array::Array;
use arrow::array::AsArray;
use arrow::buffer::BooleanBuffer;
use arrow::buffer::NullBuffer;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::DataType;
use arrow::datatypes::TimeUnit;

use crate::exports::digits;
use crate::exports::digits::Cell;
use crate::exports::sink::SHORT;
use crate::exports::sink::Sink;
use crate::exports::text::raw_values;

/// How a column's values are read.
pub(super) enum Source<'a> {
    Fixed(Fixed),
    Text(Texts<'a>),
    /// In the general way alone.
    General,
}

impl<'a> Source<'a> {
    pub(super) fn new(array: &'a dyn Array) -> Self {
        if let Some(texts) = Texts::new(array) {
            return Self::Text(texts);
        }
        Fixed::new(array).map_or(Self::General, Self::Fixed)
    }
}

/// The nulls of an array; `None` if it has none, so that no row is asked.
pub(super) fn nulls(array: &dyn Array) -> Option<NullBuffer> {
    array.logical_nulls().filter(|nulls| nulls.null_count() > 0)
}

/// Values whose text has a length that is known before.
pub(super) enum Fixed {
    Boolean(BooleanBuffer),
    Int8(ScalarBuffer<i8>),
    Int16(ScalarBuffer<i16>),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    UInt8(ScalarBuffer<u8>),
    UInt16(ScalarBuffer<u16>),
    UInt32(ScalarBuffer<u32>),
    UInt64(ScalarBuffer<u64>),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Decimal32(ScalarBuffer<i32>, u32),
    Decimal64(ScalarBuffer<i64>, u32),
    Decimal128(ScalarBuffer<i128>, u32),
    Date32(ScalarBuffer<i32>),
    Timestamp(ScalarBuffer<i64>, TimeUnit, bool),
}

impl Fixed {
    fn new(array: &dyn Array) -> Option<Self> {
        let known = |scale: i8| {
            u32::try_from(scale)
                .ok()
                .filter(|scale| *scale <= digits::SCALE_MAX)
        };
        Some(match *array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean().values().clone()),
            DataType::Int8 => Self::Int8(raw_values(array)),
            DataType::Int16 => Self::Int16(raw_values(array)),
            DataType::Int32 => Self::Int32(raw_values(array)),
            DataType::Int64 => Self::Int64(raw_values(array)),
            DataType::UInt8 => Self::UInt8(raw_values(array)),
            DataType::UInt16 => Self::UInt16(raw_values(array)),
            DataType::UInt32 => Self::UInt32(raw_values(array)),
            DataType::UInt64 => Self::UInt64(raw_values(array)),
            DataType::Float32 => Self::Float32(raw_values(array)),
            DataType::Float64 => Self::Float64(raw_values(array)),
            DataType::Decimal32(_, scale) => Self::Decimal32(raw_values(array), known(scale)?),
            DataType::Decimal64(_, scale) => Self::Decimal64(raw_values(array), known(scale)?),
            DataType::Decimal128(_, scale) => Self::Decimal128(raw_values(array), known(scale)?),
            DataType::Date32 => Self::Date32(raw_values(array)),
            DataType::Timestamp(unit, ref zone) => Self::Timestamp(raw_values(array), unit, zone.is_some()),
            _ => return None,
        })
    }

    /// Writes the text of a row that is not null; 0 leaves it to the general way.
    /// So do numbers beyond `exact`, which a format may want to write otherwise.
    #[inline(always)]
    pub(super) fn write(&self, row: usize, exact: u64, cell: &mut Cell) -> usize {
        let (magnitude, negative) = match self {
            Self::Int64(values) => (values[row].unsigned_abs(), values[row] < 0),
            Self::Decimal128(values, scale) => {
                let Ok(value) = i64::try_from(values[row]) else {
                    return 0;
                };
                if *scale > 0 {
                    return digits::decimal(value.unsigned_abs(), value < 0, *scale, cell);
                }
                (value.unsigned_abs(), value < 0)
            }
            Self::Decimal64(values, scale) => {
                let value = values[row];
                if *scale > 0 {
                    return digits::decimal(value.unsigned_abs(), value < 0, *scale, cell);
                }
                (value.unsigned_abs(), value < 0)
            }
            Self::Date32(values) => return digits::date(values[row].into(), cell),
            Self::Int32(values) => (values[row].unsigned_abs().into(), values[row] < 0),
            Self::Timestamp(values, TimeUnit::Microsecond, zoned) => {
                return digits::timestamp::<1_000_000>(values[row], *zoned, cell);
            }
            Self::Float64(values) => return float64(values[row], cell),
            Self::Int8(values) => (values[row].unsigned_abs().into(), values[row] < 0),
            Self::Int16(values) => (values[row].unsigned_abs().into(), values[row] < 0),
            Self::UInt8(values) => (values[row].into(), false),
            Self::UInt16(values) => (values[row].into(), false),
            Self::UInt32(values) => (values[row].into(), false),
            Self::UInt64(values) => (values[row], false),
            rare => return rare.write_rare(row, cell),
        };
        if magnitude > exact {
            return 0;
        }
        digits::integer(magnitude, negative, cell)
    }

    /// Kept out of the way of the types above.
    #[inline(never)]
    fn write_rare(&self, row: usize, cell: &mut Cell) -> usize {
        match self {
            Self::Boolean(values) if values.value(row) => copied(b"true", cell),
            Self::Boolean(_) => copied(b"false", cell),
            Self::Float32(values) => float32(values[row], cell),
            Self::Decimal32(values, scale) => narrow_decimal(values[row].into(), *scale, cell),
            Self::Timestamp(values, unit, zoned) => match unit {
                TimeUnit::Second => digits::timestamp::<1>(values[row], *zoned, cell),
                TimeUnit::Millisecond => digits::timestamp::<1_000>(values[row], *zoned, cell),
                TimeUnit::Microsecond => digits::timestamp::<1_000_000>(values[row], *zoned, cell),
                TimeUnit::Nanosecond => digits::timestamp::<1_000_000_000>(values[row], *zoned, cell),
            },
            _ => 0,
        }
    }
}

fn narrow_decimal(value: i64, scale: u32, cell: &mut Cell) -> usize {
    if scale == 0 {
        digits::integer(value.unsigned_abs(), value < 0, cell)
    } else {
        digits::decimal(value.unsigned_abs(), value < 0, scale, cell)
    }
}

/// Below these a float's text has no exponent with a plus sign, which the general way takes out.
const DOUBLE_MAX: f64 = 1e15;
const SINGLE_MAX: f32 = 1e7;

#[inline(never)]
fn float64(value: f64, cell: &mut Cell) -> usize {
    if value.abs() < DOUBLE_MAX {
        copied(zmij::Buffer::new().format_finite(value).as_bytes(), cell)
    } else {
        0
    }
}

fn float32(value: f32, cell: &mut Cell) -> usize {
    if value.abs() < SINGLE_MAX {
        copied(zmij::Buffer::new().format_finite(value).as_bytes(), cell)
    } else {
        0
    }
}

fn copied(text: &[u8], cell: &mut Cell) -> usize {
    match cell.get_mut(..text.len()) {
        Some(start) => {
            start.copy_from_slice(text);
            text.len()
        }
        None => 0,
    }
}

/// How far a look for marks goes ahead; short enough to stay in the fastest cache until the rows are there.
const AHEAD: usize = 64;

/// Texts, and how far they are known to be free of a format's marks:
/// one look ahead over many bytes serves many rows.
pub(super) struct Texts<'a> {
    offsets: &'a [i32],
    bytes: &'a [u8],
    /// Where this part of the array ends.
    end: usize,
    clear: std::ops::Range<usize>,
    /// Whether most are short, as flags and codes are.
    short: bool,
}

impl<'a> Texts<'a> {
    fn new(array: &'a dyn Array) -> Option<Self> {
        let texts = array.as_string_opt::<i32>()?;
        let offsets = texts.value_offsets();
        let (start, end) = (at(offsets, 0), at(offsets, texts.len()));
        Some(Self {
            offsets,
            bytes: texts.value_data(),
            end,
            clear: 0..0,
            short: end - start <= texts.len() * SHORT / 2,
        })
    }

    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> (usize, usize) {
        (at(self.offsets, row), at(self.offsets, row + 1))
    }

    pub(super) fn text(&self, (start, end): (usize, usize)) -> &'a [u8] {
        &self.bytes[start..end]
    }

    /// Whether a text holds none of the bytes that `is_mark` knows.
    #[inline(always)]
    pub(super) fn is_clear(&mut self, (start, end): (usize, usize), is_mark: impl Fn(u8) -> bool) -> bool {
        (start >= self.clear.start && end <= self.clear.end) || self.look(start, end, is_mark)
    }

    #[inline(never)]
    fn look(&mut self, start: usize, end: usize, is_mark: impl Fn(u8) -> bool) -> bool {
        let rest = &self.bytes[start..self.end.max(end)];
        let mut clear = 0;
        for block in rest.chunks(AHEAD) {
            // Folding over all bytes without an early end lets the compiler look at many at once.
            if block.iter().fold(false, |found, byte| found | is_mark(*byte)) {
                // The mark is in one of eight shorter blocks.
                let has_mark = |part: &[u8]| part.iter().fold(false, |found, byte| found | is_mark(*byte));
                let part = block.chunks(AHEAD / 8).position(has_mark).unwrap_or_default() * (AHEAD / 8);
                let within = block[part..].iter().position(|byte| is_mark(*byte));
                clear += part + within.unwrap_or_default();
                break;
            }
            clear += block.len();
        }
        self.clear = start..start + clear;
        end <= self.clear.end
    }

    /// Appends a text and the byte after it.
    #[inline(always)]
    pub(super) fn write(&self, (start, end): (usize, usize), after: u8, sink: &mut Sink) {
        sink.part_and_byte(self.bytes, start, end, self.short, after);
    }
}

/// An offset as an index; Arrow has checked that none is negative.
#[inline(always)]
fn at(offsets: &[i32], position: usize) -> usize {
    offsets[position] as usize
}
