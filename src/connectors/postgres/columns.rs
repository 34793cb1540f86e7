//! Values in PostgreSQL's binary form, gathered into columns.
//! The forms are those of the `send` functions of its types: integers and floats big-endian,
//! days and microseconds counted from 2000-01-01.

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
use arrow::datatypes::Int16Type;
use arrow::datatypes::Int32Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::SchemaRef;
use arrow::datatypes::Time64MicrosecondType;
use arrow::datatypes::TimeUnit;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::datatypes::UInt32Type;
use arrow::record_batch::RecordBatch;
use tokio_postgres::Column as Described;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use tokio_postgres::types::Kind;
use tokio_postgres::types::Type;

use crate::arrow_types::number_as_text;
use crate::connectors::BATCH_BYTES;
use crate::connectors::BATCH_ROWS;
use crate::connectors::postgres::numeric::Numeric;
use crate::connectors::utf8_array;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

pub(super) const DAYS_TO_2000: i32 = 10_957;
pub(super) const MICROSECONDS_TO_2000: i64 = 946_684_800_000_000;
/// What a 128-bit decimal holds, and a 64-bit one.
const PRECISION_MAX: i32 = 38;
const NARROW_PRECISION_MAX: u8 = 18;
/// What `jsonb` begins with.
const JSONB_VERSION: u8 = 1;

/// What becomes of a column of decimals that has a precision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decimals {
    Exact,
    /// One of them is no number.
    Text,
}

/// Whether the server is to write a type's values as text.
pub(super) fn needs_text(of: &Type) -> bool {
    !matches!(of.kind(), Kind::Enum(_))
        && !matches!(
            *of,
            Type::BOOL
                | Type::INT2
                | Type::INT4
                | Type::INT8
                | Type::OID
                | Type::FLOAT4
                | Type::FLOAT8
                | Type::NUMERIC
                | Type::TEXT
                | Type::VARCHAR
                | Type::BPCHAR
                | Type::NAME
                | Type::BYTEA
                | Type::DATE
                | Type::TIME
                | Type::TIMESTAMP
                | Type::TIMESTAMPTZ
                | Type::UUID
                | Type::JSON
                | Type::JSONB
        )
}

/// The rows that are no batch yet.
pub(super) struct Columns {
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

struct Column {
    field: Field,
    values: Values,
}

enum Values {
    Boolean(BooleanBuilder),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Oid(PrimitiveBuilder<UInt32Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Decimal64(PrimitiveBuilder<Decimal64Type>, i16),
    Decimal128(PrimitiveBuilder<Decimal128Type>, i16),
    Numeric(StringBuilder),
    /// UTF-8, which is looked at a batch at a time.
    Text(BinaryBuilder),
    Jsonb(StringBuilder),
    Uuid(StringBuilder),
    Binary(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
}

/// Does the same with the builder of whichever type.
macro_rules! each {
    ($values:expr, $builder:ident => $done:expr) => {
        match $values {
            Values::Boolean($builder) => $done,
            Values::Int16($builder) => $done,
            Values::Int32($builder) => $done,
            Values::Int64($builder) => $done,
            Values::Oid($builder) => $done,
            Values::Float32($builder) => $done,
            Values::Float64($builder) => $done,
            Values::Decimal64($builder, _) => $done,
            Values::Decimal128($builder, _) => $done,
            Values::Numeric($builder) | Values::Jsonb($builder) | Values::Uuid($builder) => $done,
            Values::Text($builder) | Values::Binary($builder) => $done,
            Values::Date($builder) => $done,
            Values::Time($builder) => $done,
            Values::Timestamp($builder) => $done,
        }
    };
}

impl Columns {
    /// The columns of a query as the server sends them.
    pub(super) fn new(described: &[Described], decimals: Decimals) -> Result<Self> {
        let columns = described.iter().map(|described| {
            let mut values = values(described.type_(), described.type_modifier(), decimals);
            let data_type = values.finish(described.name())?.data_type().clone();
            let field = Field::new(described.name(), data_type, true);
            Ok(Column {
                field: match &values {
                    Values::Numeric(_) => number_as_text(field),
                    _ => field,
                },
                values,
            })
        });
        Ok(Self {
            columns: columns.collect::<Result<_>>()?,
            rows: 0,
            bytes: 0,
        })
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|column| column.field.clone()).collect()
    }

    pub(super) fn push(&mut self, row: &Row) -> Result<()> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            let Raw(raw) = row.try_get(index).map_err(Error::internal)?;
            match raw {
                None => each!(&mut column.values, values => values.append_null()),
                Some(bytes) => {
                    self.bytes += bytes.len();
                    column
                        .values
                        .push(bytes)
                        .map_err(|fault| fault.of(column.field.name()))?;
                }
            }
        }
        self.rows += 1;
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

/// A value as it came.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(
        _: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Why a value cannot be kept.
enum Fault {
    /// It has not the form of its type.
    Form,
    NotUtf8,
    TooLate,
    /// It is no number, though its column has a precision.
    NoNumber,
}

impl Fault {
    fn of(&self, column: &str) -> Error {
        let failed = |message: String| Error::new(ErrorCode::SourceFailed, message);
        match self {
            Self::Form => Error::internal(format!("column `{column}` is not in the form of its type")),
            Self::NotUtf8 => failed(format!(
                "column `{column}` has text that is not UTF-8: convert it in the report's SQL"
            )),
            Self::TooLate => failed(format!(
                "column `{column}` has a time after the year 294246: cast it to text in the report's SQL"
            )),
            Self::NoNumber => {
                failed(format!("column `{column}` has a numeric that is no number")).worth_another_try()
            }
        }
    }
}

fn values(of: &Type, modifier: i32, decimals: Decimals) -> Values {
    let timestamps = |zone: Option<&str>| {
        let data_type = DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        Values::Timestamp(PrimitiveBuilder::new().with_data_type(data_type))
    };
    match *of {
        Type::BOOL => Values::Boolean(BooleanBuilder::new()),
        Type::INT2 => Values::Int16(PrimitiveBuilder::new()),
        Type::INT4 => Values::Int32(PrimitiveBuilder::new()),
        Type::INT8 => Values::Int64(PrimitiveBuilder::new()),
        Type::OID => Values::Oid(PrimitiveBuilder::new()),
        Type::FLOAT4 => Values::Float32(PrimitiveBuilder::new()),
        Type::FLOAT8 => Values::Float64(PrimitiveBuilder::new()),
        Type::NUMERIC => numerics(modifier, decimals),
        Type::BYTEA => Values::Binary(BinaryBuilder::new()),
        Type::DATE => Values::Date(PrimitiveBuilder::new()),
        Type::TIME => Values::Time(PrimitiveBuilder::new()),
        Type::TIMESTAMP => timestamps(None),
        Type::TIMESTAMPTZ => timestamps(Some("UTC")),
        Type::UUID => Values::Uuid(StringBuilder::new()),
        Type::JSONB => Values::Jsonb(StringBuilder::new()),
        _ => Values::Text(BinaryBuilder::new()),
    }
}

/// Decimals that fit 128 bits by their column's precision; others are exact only as text.
fn numerics(modifier: i32, decimals: Decimals) -> Values {
    let text = Values::Numeric(StringBuilder::new());
    if modifier < 4 || decimals == Decimals::Text {
        return text;
    }
    let precision = ((modifier - 4) >> 16) & 0xffff;
    // Eleven bits with a sign.
    let scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
    if precision > PRECISION_MAX || scale < 0 || scale > precision {
        return text;
    }
    let (Ok(precision), Ok(arrow_scale)) = (u8::try_from(precision), i8::try_from(scale)) else {
        return text;
    };
    let scale = i16::from(arrow_scale);
    if precision <= NARROW_PRECISION_MAX {
        let data_type = DataType::Decimal64(precision, arrow_scale);
        Values::Decimal64(PrimitiveBuilder::new().with_data_type(data_type), scale)
    } else {
        let data_type = DataType::Decimal128(precision, arrow_scale);
        Values::Decimal128(PrimitiveBuilder::new().with_data_type(data_type), scale)
    }
}

impl Values {
    fn push(&mut self, bytes: &[u8]) -> std::result::Result<(), Fault> {
        match self {
            Self::Boolean(values) => values.append_value(fixed::<1>(bytes)?[0] != 0),
            Self::Int16(values) => values.append_value(i16::from_be_bytes(fixed(bytes)?)),
            Self::Int32(values) => values.append_value(i32::from_be_bytes(fixed(bytes)?)),
            Self::Int64(values) => values.append_value(i64::from_be_bytes(fixed(bytes)?)),
            Self::Oid(values) => values.append_value(u32::from_be_bytes(fixed(bytes)?)),
            Self::Float32(values) => values.append_value(f32::from_be_bytes(fixed(bytes)?)),
            Self::Float64(values) => values.append_value(f64::from_be_bytes(fixed(bytes)?)),
            Self::Decimal64(values, scale) => {
                let numeric = number(bytes)?;
                values.append_value(match numeric.narrow(*scale) {
                    Some(unscaled) => unscaled,
                    None => i64::try_from(unscaled(&numeric, *scale)?).map_err(|_| Fault::Form)?,
                });
            }
            Self::Decimal128(values, scale) => {
                let numeric = number(bytes)?;
                values.append_value(match numeric.narrow(*scale) {
                    Some(unscaled) => unscaled.into(),
                    None => unscaled(&numeric, *scale)?,
                });
            }
            Self::Numeric(values) => {
                let numeric = Numeric::parse(bytes).ok_or(Fault::Form)?;
                values.append_value(numeric.to_string());
            }
            Self::Jsonb(values) => match bytes.split_first() {
                Some((&JSONB_VERSION, json)) => values.append_value(utf8(json)?),
                _ => return Err(Fault::Form),
            },
            Self::Uuid(values) => values.append_value(utf8(&uuid(fixed(bytes)?))?),
            Self::Text(values) | Self::Binary(values) => values.append_value(bytes),
            Self::Date(values) => values.append_value(match i32::from_be_bytes(fixed(bytes)?) {
                // Infinities as the encoders know them.
                i32::MAX => i32::MAX,
                i32::MIN => -i32::MAX,
                days => days.checked_add(DAYS_TO_2000).ok_or(Fault::TooLate)?,
            }),
            Self::Time(values) => values.append_value(i64::from_be_bytes(fixed(bytes)?)),
            Self::Timestamp(values) => values.append_value(match i64::from_be_bytes(fixed(bytes)?) {
                i64::MAX => i64::MAX,
                i64::MIN => -i64::MAX,
                time => time.checked_add(MICROSECONDS_TO_2000).ok_or(Fault::TooLate)?,
            }),
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

fn fixed<const N: usize>(bytes: &[u8]) -> std::result::Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| Fault::Form)
}

fn utf8(bytes: &[u8]) -> std::result::Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)
}

fn number(bytes: &[u8]) -> std::result::Result<Numeric<'_>, Fault> {
    let numeric = Numeric::parse(bytes).ok_or(Fault::Form)?;
    match numeric.is_number() {
        true => Ok(numeric),
        false => Err(Fault::NoNumber),
    }
}

fn unscaled(numeric: &Numeric<'_>, scale: i16) -> std::result::Result<i128, Fault> {
    numeric.unscaled(scale).ok_or(Fault::Form)
}

/// As everybody writes it: `f81d4fae-7dec-11d0-a765-00a0c91e6bf6`.
fn uuid(bytes: [u8; 16]) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let places = (0..36).filter(|place| !matches!(place, 8 | 13 | 18 | 23));
    for (place, digit) in places.zip(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15])) {
        text[place] = b"0123456789abcdef"[usize::from(digit)];
    }
    text
}
