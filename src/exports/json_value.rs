//! The JSON form of a value. Numbers that a reader would round are strings; nested values are real JSON.

use arrow::array::Array;
use arrow::array::AsArray;
use arrow::array::OffsetSizeTrait;
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use crate::exports::indirect::Indirect;
use crate::exports::names::unique_names;
use crate::exports::numbers::write_integer;
use crate::exports::text::TextColumn;
use crate::exports::text::WriteValue;
use crate::exports::text::raw_values;

/// Up to here a double holds every integer, and so does every reader of JSON.
pub(super) const EXACT_INTEGER_MAX: u64 = 1 << 53;

/// Rows of an array as JSON values.
pub(super) struct JsonColumn<'a> {
    nulls: Option<NullBuffer>,
    write_value: WriteValue<'a>,
}

impl<'a> JsonColumn<'a> {
    pub(super) fn new(array: &'a dyn Array) -> Self {
        Self {
            nulls: array.logical_nulls(),
            write_value: write_value(array),
        }
    }

    /// Appends the value of any row, `null` for NULL.
    #[inline]
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(b"null");
        } else {
            (self.write_value)(row, out);
        }
    }
}

fn write_value<'a>(array: &'a dyn Array) -> WriteValue<'a> {
    if let Some(indirect) = Indirect::of(array) {
        let children: Vec<JsonColumn> = indirect.children.into_iter().map(JsonColumn::new).collect();
        let locate = indirect.locate;
        return Box::new(move |row, out| {
            let (child, row) = locate(row);
            children[child].write(row, out);
        });
    }
    match array.data_type() {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => {
            let text = TextColumn::new(array);
            Box::new(move |row, out| text.write(row, out))
        }
        // A decimal without a scale is an integer like any other; sums of integers come as such.
        DataType::Int64 | DataType::Decimal64(_, 0) => {
            let values = raw_values::<i64>(array);
            Box::new(move |row, out| write_bounded(values[row], values[row].unsigned_abs(), out))
        }
        DataType::UInt64 => {
            let values = raw_values::<u64>(array);
            Box::new(move |row, out| write_bounded(values[row], values[row], out))
        }
        DataType::Decimal32(_, 0) => {
            let values = raw_values::<i32>(array);
            Box::new(move |row, out| write_integer(values[row], out))
        }
        DataType::Decimal128(_, 0) => {
            let values = raw_values::<i128>(array);
            Box::new(move |row, out| {
                let magnitude = u64::try_from(values[row].unsigned_abs()).unwrap_or(u64::MAX);
                write_bounded(values[row], magnitude, out);
            })
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => float(array),
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            Box::new(move |row, out| write_string(values.value(row), out))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            Box::new(move |row, out| write_string(values.value(row), out))
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            Box::new(move |row, out| write_string(values.value(row), out))
        }
        nested if nested.is_nested() => write_nested(array),
        other => quoted(array, other.is_binary()),
    }
}

fn write_bounded<I: itoa::Integer>(value: I, magnitude: u64, out: &mut Vec<u8>) {
    if magnitude <= EXACT_INTEGER_MAX {
        write_integer(value, out);
    } else {
        out.push(b'"');
        write_integer(value, out);
        out.push(b'"');
    }
}

/// Finite floats as numbers, the others as strings.
fn float<'a>(array: &'a dyn Array) -> WriteValue<'a> {
    let text = TextColumn::new(array);
    Box::new(move |row, out| {
        let start = out.len();
        text.write(row, out);
        // Only `NaN` and the infinities end in a letter.
        if out.last().is_some_and(u8::is_ascii_alphabetic) {
            out.insert(start, b'"');
            out.push(b'"');
        }
    })
}

/// The text form as a string. None of these texts holds a quote or a control character,
/// and a backslash only where a binary value begins.
fn quoted<'a>(array: &'a dyn Array, binary: bool) -> WriteValue<'a> {
    let text = TextColumn::new(array);
    let opening: &[u8] = if binary { b"\"\\" } else { b"\"" };
    Box::new(move |row, out| {
        out.extend_from_slice(opening);
        text.write(row, out);
        out.push(b'"');
    })
}

fn write_nested<'a>(array: &'a dyn Array) -> WriteValue<'a> {
    match array.data_type() {
        DataType::List(_) => list::<i32>(array),
        DataType::LargeList(_) => list::<i64>(array),
        DataType::ListView(_) => list_view::<i32>(array),
        DataType::LargeListView(_) => list_view::<i64>(array),
        DataType::FixedSizeList(_, _) => {
            let list = array.as_fixed_size_list();
            let values = JsonColumn::new(list.values().as_ref());
            Box::new(move |row, out| {
                write_array(
                    &values,
                    index(list.value_offset(row)),
                    index(list.value_length()),
                    out,
                );
            })
        }
        DataType::Map(_, _) => map(array),
        _ => structure(array),
    }
}

fn list<'a, O: OffsetSizeTrait>(array: &'a dyn Array) -> WriteValue<'a> {
    let list = array.as_list::<O>();
    let offsets = list.value_offsets();
    let values = JsonColumn::new(list.values().as_ref());
    Box::new(move |row, out| {
        let start = index(offsets[row]);
        write_array(&values, start, index(offsets[row + 1]) - start, out);
    })
}

fn list_view<'a, O: OffsetSizeTrait>(array: &'a dyn Array) -> WriteValue<'a> {
    let list = array.as_list_view::<O>();
    let values = JsonColumn::new(list.values().as_ref());
    Box::new(move |row, out| {
        write_array(
            &values,
            index(list.value_offset(row)),
            index(list.value_size(row)),
            out,
        );
    })
}

/// An Arrow offset as an index; Arrow has checked that none is negative.
fn index<O: OffsetSizeTrait>(offset: O) -> usize {
    offset.as_usize()
}

fn write_array(values: &JsonColumn, start: usize, length: usize, out: &mut Vec<u8>) {
    out.push(b'[');
    for position in start..start + length {
        if position > start {
            out.push(b',');
        }
        values.write(position, out);
    }
    out.push(b']');
}

/// An object where the keys are text, otherwise an array of `[key, value]` pairs.
fn map<'a>(array: &'a dyn Array) -> WriteValue<'a> {
    let map = array.as_map();
    let offsets = map.value_offsets();
    let keys = JsonColumn::new(map.keys().as_ref());
    let values = JsonColumn::new(map.values().as_ref());
    let text_keys = is_text(map.key_type());
    let [opening, colon, closing, before, after]: [&[u8]; 5] = if text_keys {
        [b"{", b":", b"}", b"", b""]
    } else {
        [b"[", b",", b"]", b"[", b"]"]
    };
    Box::new(move |row, out| {
        let range = index(offsets[row])..index(offsets[row + 1]);
        out.extend_from_slice(opening);
        for position in range.clone() {
            if position > range.start {
                out.push(b',');
            }
            out.extend_from_slice(before);
            keys.write(position, out);
            out.extend_from_slice(colon);
            values.write(position, out);
            out.extend_from_slice(after);
        }
        out.extend_from_slice(closing);
    })
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => other.is_string(),
    }
}

fn structure<'a>(array: &'a dyn Array) -> WriteValue<'a> {
    let structure = array.as_struct();
    let members = Members::new(
        structure.fields().iter().map(|field| field.name().as_str()),
        structure.columns().iter().map(AsRef::as_ref),
    );
    Box::new(move |row, out| members.write(row, out))
}

/// The members of an object, with their names already in JSON.
pub(super) struct Members<'a> {
    /// What stands before a value: `{"a":`, `,"b":`.
    names: Vec<Vec<u8>>,
    values: Vec<JsonColumn<'a>>,
}

impl<'a> Members<'a> {
    pub(super) fn new<'n>(
        names: impl Iterator<Item = &'n str>,
        values: impl Iterator<Item = &'a dyn Array>,
    ) -> Self {
        Self {
            names: member_names(names),
            values: values.map(JsonColumn::new).collect(),
        }
    }

    /// Appends `{"a":1,"b":"x"}`.
    #[inline]
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.names.is_empty() {
            out.push(b'{');
        }
        for (name, value) in self.names.iter().zip(&self.values) {
            out.extend_from_slice(name);
            value.write(row, out);
        }
        out.push(b'}');
    }
}

pub(super) fn member_names<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Vec<u8>> {
    let mut opening = b'{';
    unique_names(names)
        .iter()
        .map(|name| {
            let mut prefix = vec![std::mem::replace(&mut opening, b',')];
            write_string(name, &mut prefix);
            prefix.push(b':');
            prefix
        })
        .collect()
}

/// Appends a JSON string; only what JSON demands is escaped.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    // Folding over all bytes without an early end lets the compiler look at many at once.
    if bytes.iter().fold(false, |found, byte| found | must_escape(*byte)) {
        write_escaped(bytes, out);
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

/// Escapes the text that begins at `start` and ends the buffer, where JSON demands it.
#[inline]
pub(super) fn escape_from(start: usize, out: &mut Vec<u8>) {
    if out[start..]
        .iter()
        .fold(false, |found, byte| found | must_escape(*byte))
    {
        let text = out.split_off(start);
        write_escaped(&text, out);
    }
}

#[inline(always)]
pub(super) fn must_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// Copies what stands between two bytes that must be escaped in one piece.
#[cold]
fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut rest = bytes;
    while let Some(position) = rest.iter().position(|byte| must_escape(*byte)) {
        out.extend_from_slice(&rest[..position]);
        match rest[position] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(DIGITS[usize::from(control >> 4)]);
                out.push(DIGITS[usize::from(control & 15)]);
            }
        }
        rest = &rest[position + 1..];
    }
    out.extend_from_slice(rest);
}
