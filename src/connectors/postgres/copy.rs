//! Batches in the binary form of PostgreSQL's `COPY`.

use arrow::array::Array;
use arrow::array::AsArray as _;
use arrow::array::BooleanArray;
use arrow::array::PrimitiveArray;
use arrow::array::StringArray;
use arrow::datatypes::DataType;
use arrow::datatypes::Date32Type;
use arrow::datatypes::Decimal128Type;
use arrow::datatypes::Float64Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;

use crate::connectors::postgres::columns::DAYS_TO_2000;
use crate::connectors::postgres::columns::MICROSECONDS_TO_2000;
use crate::connectors::postgres::numeric;
use crate::error::Error;
use crate::error::Result;

/// What the stream begins with: a signature, no flags, no extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// And ends with.
pub(super) const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

const NULL: [u8; 4] = (-1_i32).to_be_bytes();

enum Values<'a> {
    Boolean(&'a BooleanArray),
    Integer(&'a PrimitiveArray<Int64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, u16),
    Double(&'a PrimitiveArray<Float64Type>),
    Date(&'a PrimitiveArray<Date32Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Text(&'a StringArray),
}

struct Column<'a> {
    array: &'a dyn Array,
    has_nulls: bool,
    values: Values<'a>,
}

/// Adds the rows of a batch.
pub(super) fn write_rows(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
    let columns = batch
        .columns()
        .iter()
        .map(|array| column(array.as_ref()))
        .collect::<Result<Vec<_>>>()?;
    let count = i16::try_from(columns.len())
        .map_err(|_| Error::invalid("a table of PostgreSQL has at most 1600 columns"))?;
    for row in 0..batch.num_rows() {
        out.extend_from_slice(&count.to_be_bytes());
        for column in &columns {
            match column.has_nulls && column.array.is_null(row) {
                true => out.extend_from_slice(&NULL),
                false => write(&column.values, row, out)?,
            }
        }
    }
    Ok(())
}

fn column(array: &dyn Array) -> Result<Column<'_>> {
    let values = match array.data_type() {
        DataType::Boolean => Values::Boolean(array.as_boolean()),
        DataType::Int64 => Values::Integer(array.as_primitive()),
        DataType::Decimal128(_, scale) => Values::Decimal(
            array.as_primitive(),
            u16::try_from(*scale).map_err(Error::internal)?,
        ),
        DataType::Float64 => Values::Double(array.as_primitive()),
        DataType::Date32 => Values::Date(array.as_primitive()),
        DataType::Timestamp(_, _) => Values::Timestamp(array.as_primitive()),
        DataType::Utf8 => Values::Text(array.as_string()),
        other => return Err(Error::internal(format!("no import makes {other}"))),
    };
    Ok(Column {
        array,
        has_nulls: array.null_count() > 0,
        values,
    })
}

fn write(values: &Values, row: usize, out: &mut Vec<u8>) -> Result<()> {
    match values {
        Values::Boolean(values) => fixed(out, [u8::from(values.value(row))]),
        Values::Integer(values) => fixed(out, values.value(row).to_be_bytes()),
        Values::Decimal(values, scale) => numeric::write(values.value(row), *scale, out),
        Values::Double(values) => fixed(out, values.value(row).to_be_bytes()),
        Values::Date(values) => fixed(out, (values.value(row) - DAYS_TO_2000).to_be_bytes()),
        Values::Timestamp(values) => {
            fixed(out, (values.value(row) - MICROSECONDS_TO_2000).to_be_bytes());
        }
        Values::Text(values) => {
            let text = values.value(row);
            let length = i32::try_from(text.len()).map_err(Error::internal)?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
    Ok(())
}

fn fixed<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    // No value of fixed length has more than a byte's worth of bytes.
    out.extend_from_slice(&[0, 0, 0, N as u8]);
    out.extend_from_slice(&bytes);
}
