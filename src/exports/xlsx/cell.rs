//! What an XLSX cell can hold as itself: numbers that survive, booleans, dates within Excel's calendar.
//! Everything else is shown in its text form.

use arrow::array::Array;
use arrow::array::AsArray;
use arrow::datatypes::ArrowNativeType;
use arrow::datatypes::DataType;
use arrow::datatypes::Float16Type;
use arrow::datatypes::TimeUnit;
use arrow::datatypes::i256;

use crate::exports::calendar::SECONDS_PER_DAY;
use crate::exports::calendar::ticks_per_second;
use crate::exports::indirect::Indirect;
use crate::exports::numbers::write_decimal;
use crate::exports::numbers::write_single;
use crate::exports::text::raw_values;

/// Excel keeps 15 digits of a number.
pub(super) const EXACT_MAX: u128 = 999_999_999_999_999;

/// Powers of ten up to here are exact as doubles, and so a division by one is rounded once.
pub(super) const EXACT_POWER_MAX: i8 = 22;

/// 1900-03-01, the first day on which Excel's count is right: it has a 29 February 1900.
const SERIAL_MIN: i64 = 61;
/// 9999-12-31.
const SERIAL_MAX: i64 = 2_958_465;
const SERIAL_OF_1970: i64 = 25_569;

/// The content of a cell that is not empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    Number(f64),
    Boolean(bool),
    /// Days since 1899-12-30, shown as `style`.
    Moment {
        serial: f64,
        style: MomentStyle,
    },
    /// The value's text form.
    Text,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MomentStyle {
    Date,
    Timestamp,
    TimestampFraction,
    Time,
    TimeFraction,
}

/// The content of a row that is not null.
pub(super) type ReadCell<'a> = Box<dyn Fn(usize) -> Cell + Send + Sync + 'a>;

/// Prepares the cells of a column.
pub(super) fn cells<'a>(array: &'a dyn Array) -> ReadCell<'a> {
    if let Some(indirect) = Indirect::of(array) {
        let children: Vec<ReadCell> = indirect.children.into_iter().map(cells).collect();
        let locate = indirect.locate;
        return Box::new(move |row| {
            let (child, row) = locate(row);
            children[child](row)
        });
    }
    match *array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean().values();
            Box::new(move |row| Cell::Boolean(values.value(row)))
        }
        DataType::Int8 => each(array, |value: i8| integer(value.into())),
        DataType::Int16 => each(array, |value: i16| integer(value.into())),
        DataType::Int32 => each(array, |value: i32| integer(value.into())),
        DataType::Int64 => each(array, |value: i64| integer(value.into())),
        DataType::UInt8 => each(array, |value: u8| integer(value.into())),
        DataType::UInt16 => each(array, |value: u16| integer(value.into())),
        DataType::UInt32 => each(array, |value: u32| integer(value.into())),
        DataType::UInt64 => each(array, |value: u64| integer(value.into())),
        DataType::Float16 => {
            let values = array.as_primitive::<Float16Type>().values();
            Box::new(move |row| single(values[row].to_f32()))
        }
        DataType::Float32 => each(array, single),
        DataType::Float64 => each(array, double),
        DataType::Decimal32(_, scale) => each(array, move |value: i32| decimal(value.into(), scale)),
        DataType::Decimal64(_, scale) => each(array, move |value: i64| decimal(value.into(), scale)),
        DataType::Decimal128(_, scale) => each(array, move |value: i128| decimal(value, scale)),
        DataType::Decimal256(_, scale) => each(array, move |value: i256| {
            value.to_i128().map_or(Cell::Text, |value| decimal(value, scale))
        }),
        DataType::Date32 => each(array, |days: i32| moment(days.into(), 0.0, MomentStyle::Date)),
        DataType::Date64 => each(array, date64),
        DataType::Timestamp(unit, _) => each(array, move |value| timestamp(value, unit)),
        DataType::Time32(unit) => each(array, move |value: i32| time(value.into(), unit)),
        DataType::Time64(unit) => each(array, move |value: i64| time(value, unit)),
        _ => Box::new(|_| Cell::Text),
    }
}

/// The cells of a column of texts that are numbers: those that Excel holds exactly become numbers.
pub(super) fn number_texts<'a>(array: &'a dyn Array) -> ReadCell<'a> {
    let Some(texts) = array.as_string_opt::<i32>() else {
        return cells(array);
    };
    Box::new(move |row| match exact_number(texts.value(row)) {
        Some(number) => Cell::Number(number),
        None => Cell::Text,
    })
}

/// The number that a text is, if it has no more than 15 digits that count.
fn exact_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = [whole, fraction].concat();
    let plain = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (plain && digits.trim_start_matches('0').len() <= 15)
        .then(|| text.parse().ok())
        .flatten()
}

fn each<'a, N: ArrowNativeType>(
    array: &dyn Array,
    read: impl Fn(N) -> Cell + Send + Sync + 'a,
) -> ReadCell<'a> {
    let values = raw_values::<N>(array);
    Box::new(move |row| read(values[row]))
}

fn integer(value: i128) -> Cell {
    decimal(value, 0)
}

fn double(value: f64) -> Cell {
    if value.is_finite() {
        Cell::Number(value)
    } else {
        Cell::Text
    }
}

/// 0.1 in single precision becomes 0.1, not 0.10000000149011612.
fn single(value: f32) -> Cell {
    let mut text = Vec::with_capacity(16);
    write_single(value, &mut text);
    double(parse(&text).unwrap_or(f64::NAN))
}

/// A number if 15 digits hold it; zeros at the end of a fraction do not count.
pub(super) fn decimal(value: i128, scale: i8) -> Cell {
    let (mut value, mut scale) = (value, scale);
    if value == 0 {
        return Cell::Number(0.0);
    }
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    if value.unsigned_abs() > EXACT_MAX {
        return Cell::Text;
    }
    if (0..=EXACT_POWER_MAX).contains(&scale) {
        return Cell::Number(value as f64 / 10_f64.powi(scale.into()));
    }
    let mut text = Vec::with_capacity(64);
    write_decimal(value, scale, &mut text);
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    match parse(&text) {
        Some(number) if scale > 0 || digits <= 15 => Cell::Number(number),
        _ => Cell::Text,
    }
}

fn parse(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn date64(milliseconds: i64) -> Cell {
    if milliseconds % (SECONDS_PER_DAY * 1_000) == 0 {
        moment(milliseconds / (SECONDS_PER_DAY * 1_000), 0.0, MomentStyle::Date)
    } else {
        timestamp(milliseconds, TimeUnit::Millisecond)
    }
}

fn timestamp(value: i64, unit: TimeUnit) -> Cell {
    let ticks_per_day = ticks_per_second(unit) * SECONDS_PER_DAY;
    let style = if value % ticks_per_second(unit) == 0 {
        MomentStyle::Timestamp
    } else {
        MomentStyle::TimestampFraction
    };
    let fraction = value.rem_euclid(ticks_per_day) as f64 / ticks_per_day as f64;
    moment(value.div_euclid(ticks_per_day), fraction, style)
}

/// 24:00:00 is text: Excel would show it as 00:00:00.
fn time(value: i64, unit: TimeUnit) -> Cell {
    let ticks_per_day = ticks_per_second(unit) * SECONDS_PER_DAY;
    if !(0..ticks_per_day).contains(&value) {
        return Cell::Text;
    }
    let style = if value % ticks_per_second(unit) == 0 {
        MomentStyle::Time
    } else {
        MomentStyle::TimeFraction
    };
    Cell::Moment {
        serial: value as f64 / ticks_per_day as f64,
        style,
    }
}

/// Excel's number for a day, counted from 1970-01-01; `None` for infinities as well, far beyond the last day.
#[inline]
pub(super) fn date_serial(days: i64) -> Option<i64> {
    let serial = days.checked_add(SERIAL_OF_1970)?;
    (SERIAL_MIN..=SERIAL_MAX).contains(&serial).then_some(serial)
}

fn moment(days: i64, fraction: f64, style: MomentStyle) -> Cell {
    let Some(day) = date_serial(days) else {
        return Cell::Text;
    };
    let serial = day as f64 + fraction;
    // The sum may round up into the day after the last.
    if serial < (SERIAL_MAX + 1) as f64 {
        Cell::Moment { serial, style }
    } else {
        Cell::Text
    }
}
