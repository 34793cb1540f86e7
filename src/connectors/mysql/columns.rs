//! Rows in MySQL's binary form, gathered into columns. Each value is read from the packet into its column at once.

use arrow::array::ArrayBuilder;
use arrow::array::ArrayRef;
use arrow::array::BinaryBuilder;
use arrow::array::BooleanBuilder;
use arrow::array::PrimitiveBuilder;
use arrow::array::StringBuilder;
use arrow::datatypes::DataType;
use arrow::datatypes::Date32Type;
use arrow::datatypes::Decimal64Type;
use arrow::datatypes::Decimal128Type;
use arrow::datatypes::Field;
use arrow::datatypes::Float32Type;
use arrow::datatypes::Float64Type;
use arrow::datatypes::Int8Type;
use arrow::datatypes::Int16Type;
use arrow::datatypes::Int32Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::SchemaRef;
use arrow::datatypes::TimeUnit;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::datatypes::UInt8Type;
use arrow::datatypes::UInt16Type;
use arrow::datatypes::UInt32Type;
use arrow::datatypes::UInt64Type;
use arrow::record_batch::RecordBatch;

use crate::arrow_types::number_as_text;
use crate::connectors::BATCH_BYTES;
use crate::connectors::BATCH_ROWS;
use crate::connectors::mysql::bytes::Bytes;
use crate::connectors::mysql::client::Described;
use crate::connectors::mysql::values::Digits;
use crate::connectors::mysql::values::Moment;
use crate::connectors::mysql::values::unscaled;
use crate::connectors::mysql::values::write_time;
use crate::connectors::utf8_array;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// What a 128-bit decimal holds, and a 64-bit one.
const PRECISION_MAX: u32 = 38;
const NARROW_PRECISION_MAX: u32 = 18;
const UNSIGNED: u16 = 32;
/// The character set of what is no text.
const BINARY: u16 = 63;
/// The first bits of a row's NULLs mean nothing.
const UNUSED_BITS: usize = 2;

/// Which columns are to be text because a value of one fits no other type.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct AsText {
    pub(super) days: bool,
    pub(super) decimals: bool,
}

/// The rows that are no batch yet.
pub(super) struct Columns {
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    as_text: AsText,
}

struct Column {
    field: Field,
    values: Values,
}

enum Values {
    Bit(BooleanBuilder),
    Bits(PrimitiveBuilder<UInt64Type>),
    Int8(PrimitiveBuilder<Int8Type>),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    UInt8(PrimitiveBuilder<UInt8Type>),
    UInt16(PrimitiveBuilder<UInt16Type>),
    UInt32(PrimitiveBuilder<UInt32Type>),
    UInt64(PrimitiveBuilder<UInt64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Decimal64(PrimitiveBuilder<Decimal64Type>, Digits),
    Decimal128(PrimitiveBuilder<Decimal128Type>, Digits),
    Number(StringBuilder),
    /// UTF-8, which is looked at a batch at a time.
    Text(BinaryBuilder),
    Binary(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    DateText(StringBuilder),
    Datetime(PrimitiveBuilder<TimestampMicrosecondType>),
    DatetimeText(StringBuilder, u8),
    Time(StringBuilder, u8),
}

/// Does the same with the builder of whichever type.
macro_rules! each {
    ($values:expr, $builder:ident => $done:expr) => {
        match $values {
            Values::Bit($builder) => $done,
            Values::Bits($builder) | Values::UInt64($builder) => $done,
            Values::Int8($builder) => $done,
            Values::Int16($builder) => $done,
            Values::Int32($builder) => $done,
            Values::Int64($builder) => $done,
            Values::UInt8($builder) => $done,
            Values::UInt16($builder) => $done,
            Values::UInt32($builder) => $done,
            Values::Float32($builder) => $done,
            Values::Float64($builder) => $done,
            Values::Decimal64($builder, _) => $done,
            Values::Decimal128($builder, _) => $done,
            Values::Number($builder)
            | Values::DateText($builder)
            | Values::DatetimeText($builder, _)
            | Values::Time($builder, _) => $done,
            Values::Text($builder) | Values::Binary($builder) => $done,
            Values::Date($builder) => $done,
            Values::Datetime($builder) => $done,
        }
    };
}

impl Columns {
    pub(super) fn new(described: &[Described], as_text: AsText) -> Result<Self> {
        let columns = described.iter().map(|described| {
            let mut values = values(described, as_text)?;
            let data_type = values.finish(&described.name)?.data_type().clone();
            let field = Field::new(&described.name, data_type, true);
            Ok(Column {
                field: match &values {
                    Values::Number(_) => number_as_text(field),
                    _ => field,
                },
                values,
            })
        });
        Ok(Self {
            columns: columns.collect::<Result<_>>()?,
            rows: 0,
            bytes: 0,
            as_text,
        })
    }

    /// What would have been better as text.
    pub(super) fn as_text(&self) -> AsText {
        self.as_text
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|column| column.field.clone()).collect()
    }

    /// Takes a row: a bit for each NULL, then the values that are none.
    pub(super) fn push(&mut self, row: &[u8]) -> Result<()> {
        let mut bytes = Bytes(row);
        let nulls = bytes.taken((self.columns.len() + UNUSED_BITS).div_ceil(8));
        for (index, column) in self.columns.iter_mut().enumerate() {
            let bit = index + UNUSED_BITS;
            let pushed = match nulls.and_then(|nulls| nulls.get(bit / 8)) {
                Some(bits) if (bits >> (bit % 8)) & 1 == 1 => {
                    each!(&mut column.values, values => values.append_null());
                    Ok(())
                }
                Some(_) => column.values.push(&mut bytes),
                None => Err(Fault::Form),
            };
            if let Err(fault) = pushed {
                self.as_text.days |= fault == Fault::NoDay;
                self.as_text.decimals |= fault == Fault::Digits;
                return Err(fault.of(column.field.name()));
            }
        }
        self.rows += 1;
        self.bytes += row.len();
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// What has been gathered.
    pub(super) fn take(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        self.rows = 0;
        self.bytes = 0;
        let columns = self.columns.iter_mut();
        let arrays = columns.map(|column| column.values.finish(column.field.name()));
        Ok(RecordBatch::try_new(
            schema.clone(),
            arrays.collect::<Result<_>>()?,
        )?)
    }
}

/// Why a value cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// It has not the form of its type.
    Form,
    NotUtf8,
    /// It is no day that there is.
    NoDay,
    /// It has more digits than its column says.
    Digits,
}

impl Fault {
    fn of(self, column: &str) -> Error {
        let failed = |message: String| Error::new(ErrorCode::SourceFailed, message);
        match self {
            Self::Form => Error::internal(format!("column `{column}` is not in the form of its type")),
            Self::NotUtf8 => failed(format!(
                "column `{column}` has text that is not UTF-8: convert it in the report's SQL"
            )),
            Self::NoDay => failed(format!("column `{column}` has a date that is no day")).worth_another_try(),
            Self::Digits => {
                failed(format!("column `{column}` has a decimal with too many digits")).worth_another_try()
            }
        }
    }
}

fn values(of: &Described, as_text: AsText) -> Result<Values> {
    let is_unsigned = of.flags & UNSIGNED != 0;
    Ok(match (of.kind, is_unsigned) {
        (0x01, false) => Values::Int8(PrimitiveBuilder::new()),
        (0x01, true) => Values::UInt8(PrimitiveBuilder::new()),
        (0x02, false) => Values::Int16(PrimitiveBuilder::new()),
        // A year as well.
        (0x02, true) | (0x0d, _) => Values::UInt16(PrimitiveBuilder::new()),
        (0x03 | 0x09, false) => Values::Int32(PrimitiveBuilder::new()),
        (0x03 | 0x09, true) => Values::UInt32(PrimitiveBuilder::new()),
        (0x08, false) => Values::Int64(PrimitiveBuilder::new()),
        (0x08, true) => Values::UInt64(PrimitiveBuilder::new()),
        (0x04, _) => Values::Float32(PrimitiveBuilder::new()),
        (0x05, _) => Values::Float64(PrimitiveBuilder::new()),
        (0x00 | 0xf6, _) => decimals(of, is_unsigned, as_text),
        (0x0a, _) if as_text.days => Values::DateText(StringBuilder::new()),
        (0x0a, _) => Values::Date(PrimitiveBuilder::new()),
        (0x07 | 0x0c, _) if as_text.days => Values::DatetimeText(StringBuilder::new(), of.decimals),
        (0x07 | 0x0c, _) => Values::Datetime(
            PrimitiveBuilder::new().with_data_type(DataType::Timestamp(TimeUnit::Microsecond, None)),
        ),
        (0x0b, _) => Values::Time(StringBuilder::new(), of.decimals),
        (0x10, _) if of.length == 1 => Values::Bit(BooleanBuilder::new()),
        (0x10, _) => Values::Bits(PrimitiveBuilder::new()),
        // What is NULL in every row, and JSON, which is text whatever it says.
        (0x06 | 0xf5, _) => Values::Text(BinaryBuilder::new()),
        (0x0f | 0xf7..=0xfe, _) if of.character_set != BINARY => Values::Text(BinaryBuilder::new()),
        // Vectors and shapes.
        (0x0f | 0xf2 | 0xf7..=0xff, _) => Values::Binary(BinaryBuilder::new()),
        (kind, _) => {
            return Err(Error::new(
                ErrorCode::SourceFailed,
                format!(
                    "column `{}` has a type that is not known here (number {kind}): cast it to text in the report's SQL",
                    of.name
                ),
            ));
        }
    })
}

/// Decimals that fit 128 bits by what the server says of their column; others are exact only as text.
fn decimals(of: &Described, is_unsigned: bool, as_text: AsText) -> Values {
    let text = Values::Number(StringBuilder::new());
    // The sign and the point have a place each.
    let others = u32::from(!is_unsigned) + u32::from(of.decimals > 0);
    let precision = of.length.saturating_sub(others);
    let is_known = (1..=PRECISION_MAX).contains(&precision) && u32::from(of.decimals) <= precision;
    let (Ok(all), Ok(scale)) = (u8::try_from(precision), i8::try_from(of.decimals)) else {
        return text;
    };
    if !is_known || as_text.decimals {
        return text;
    }
    let digits = Digits {
        all,
        after_point: of.decimals,
    };
    if precision <= NARROW_PRECISION_MAX {
        let data_type = DataType::Decimal64(all, scale);
        Values::Decimal64(PrimitiveBuilder::new().with_data_type(data_type), digits)
    } else {
        let data_type = DataType::Decimal128(all, scale);
        Values::Decimal128(PrimitiveBuilder::new().with_data_type(data_type), digits)
    }
}

impl Values {
    fn push(&mut self, bytes: &mut Bytes<'_>) -> std::result::Result<(), Fault> {
        match self {
            Self::Bit(values) => values.append_value(bits(bytes)? != 0),
            Self::Bits(values) => values.append_value(bits(bytes)?),
            Self::Int8(values) => values.append_value(i8::from_le_bytes(fixed(bytes)?)),
            Self::Int16(values) => values.append_value(i16::from_le_bytes(fixed(bytes)?)),
            Self::Int32(values) => values.append_value(i32::from_le_bytes(fixed(bytes)?)),
            Self::Int64(values) => values.append_value(i64::from_le_bytes(fixed(bytes)?)),
            Self::UInt8(values) => values.append_value(u8::from_le_bytes(fixed(bytes)?)),
            Self::UInt16(values) => values.append_value(u16::from_le_bytes(fixed(bytes)?)),
            Self::UInt32(values) => values.append_value(u32::from_le_bytes(fixed(bytes)?)),
            Self::UInt64(values) => values.append_value(u64::from_le_bytes(fixed(bytes)?)),
            Self::Float32(values) => values.append_value(f32::from_le_bytes(fixed(bytes)?)),
            Self::Float64(values) => values.append_value(f64::from_le_bytes(fixed(bytes)?)),
            Self::Decimal64(values, digits) => {
                let unscaled = unscaled(text(bytes)?, *digits).ok_or(Fault::Digits)?;
                values.append_value(i64::try_from(unscaled).map_err(|_| Fault::Digits)?);
            }
            Self::Decimal128(values, digits) => {
                values.append_value(unscaled(text(bytes)?, *digits).ok_or(Fault::Digits)?);
            }
            Self::Number(values) => {
                let utf8 = std::str::from_utf8(text(bytes)?).map_err(|_| Fault::NotUtf8)?;
                values.append_value(utf8);
            }
            Self::Text(values) | Self::Binary(values) => values.append_value(text(bytes)?),
            Self::Date(values) => values.append_value(moment(bytes)?.days().ok_or(Fault::NoDay)?),
            Self::Datetime(values) => {
                values.append_value(moment(bytes)?.microseconds().ok_or(Fault::NoDay)?);
            }
            Self::DateText(values) => {
                moment(bytes)?.write_date(values).map_err(|_| Fault::Form)?;
                values.append_value("");
            }
            Self::DatetimeText(values, decimals) => {
                let moment = moment(bytes)?;
                moment.write(values, *decimals).map_err(|_| Fault::Form)?;
                values.append_value("");
            }
            Self::Time(values, decimals) => {
                let sent = bytes.moment().ok_or(Fault::Form)?;
                write_time(values, sent, *decimals).ok_or(Fault::Form)?;
                values.append_value("");
            }
        }
        Ok(())
    }

    fn finish(&mut self, column: &str) -> Result<ArrayRef> {
        match self {
            Self::Text(values) => utf8_array(values.finish()).ok_or_else(|| Fault::NotUtf8.of(column)),
            _ => Ok(each!(self, values => ArrayBuilder::finish(values))),
        }
    }
}

fn fixed<const N: usize>(bytes: &mut Bytes<'_>) -> std::result::Result<[u8; N], Fault> {
    bytes.fixed().ok_or(Fault::Form)
}

fn text<'a>(bytes: &mut Bytes<'a>) -> std::result::Result<&'a [u8], Fault> {
    bytes.text().ok_or(Fault::Form)
}

fn moment(bytes: &mut Bytes<'_>) -> std::result::Result<Moment, Fault> {
    bytes.moment().and_then(Moment::parse).ok_or(Fault::Form)
}

/// Up to 64 bits, the highest first.
fn bits(bytes: &mut Bytes<'_>) -> std::result::Result<u64, Fault> {
    let sent = text(bytes)?;
    match sent.len() {
        0..=8 => Ok(sent.iter().fold(0, |bits, byte| (bits << 8) | u64::from(*byte))),
        _ => Err(Fault::Form),
    }
}
