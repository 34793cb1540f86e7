//! Columns of Arrow arrays, made of the fields of a chunk.
//! A value that cannot be read was another when the file was surveyed.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::BooleanBuilder;
use arrow::array::NullBufferBuilder;
use arrow::array::PrimitiveBuilder;
use arrow::array::StringArray;
use arrow::array::types::Date32Type;
use arrow::array::types::Decimal128Type;
use arrow::array::types::Float64Type;
use arrow::array::types::Int64Type;
use arrow::array::types::TimestampMicrosecondType;
use arrow::buffer::Buffer;
use arrow::buffer::OffsetBuffer;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::ArrowPrimitiveType;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Error;
use crate::error::Result;
use crate::imports::calendar::Forms;
use crate::imports::calendar::moment;
use crate::imports::changed;
use crate::imports::chunk::Table;
use crate::imports::columns::Nulls;
use crate::imports::fields::Field;
use crate::imports::survey::Column;
use crate::imports::types::ColumnType;
use crate::imports::values::boolean;
use crate::imports::values::decimal;
use crate::imports::values::double;
use crate::imports::values::integer;

/// The rows that are no batch yet.
pub(super) struct Gathered {
    columns: Vec<Values>,
    pub(super) rows: usize,
}

/// What reading a field takes.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) nulls: &'a Nulls,
    pub(super) quote: u8,
}

enum Values {
    Boolean(BooleanBuilder),
    Integer(PrimitiveBuilder<Int64Type>),
    Decimal(PrimitiveBuilder<Decimal128Type>, u8, u8),
    Double(PrimitiveBuilder<Float64Type>),
    Date(PrimitiveBuilder<Date32Type>, Forms),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>, Forms),
    TimestampTz(PrimitiveBuilder<TimestampMicrosecondType>, Forms),
    Text(Texts),
}

struct Texts {
    /// Where each text ends, after a first 0.
    ends: Vec<i32>,
    bytes: Vec<u8>,
    nulls: NullBufferBuilder,
}

impl Gathered {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.iter().map(Values::new).collect(),
            rows: 0,
        }
    }

    pub(super) fn add(&mut self, table: &Table, bytes: &[u8], reading: Reading) -> Result<()> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.add(table.column(index), bytes, reading)?;
        }
        self.rows += table.rows();
        Ok(())
    }

    pub(super) fn take(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        self.rows = 0;
        let arrays = self
            .columns
            .iter_mut()
            .zip(schema.fields())
            .map(|(column, field)| {
                let array = column.finish()?;
                let typed = array
                    .to_data()
                    .into_builder()
                    .data_type(field.data_type().clone());
                Ok(arrow::array::make_array(typed.build()?))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(schema.clone(), arrays)?)
    }
}

impl Values {
    fn new(column: &Column) -> Self {
        let forms = column.forms;
        match column.column_type {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Integer => Self::Integer(typed(column)),
            ColumnType::Decimal { precision, scale } => Self::Decimal(typed(column), precision, scale),
            ColumnType::Double => Self::Double(typed(column)),
            ColumnType::Date => Self::Date(typed(column), forms),
            ColumnType::Timestamp => Self::Timestamp(typed(column), forms),
            ColumnType::TimestampTz => Self::TimestampTz(typed(column), forms),
            ColumnType::Text => Self::Text(Texts::new()),
        }
    }

    fn add<'f>(
        &mut self,
        fields: impl Iterator<Item = &'f Field>,
        bytes: &[u8],
        reading: Reading,
    ) -> Result<()> {
        // One value a field; what `read` cannot read is an error.
        macro_rules! append {
            ($builder:expr, $read:expr) => {
                for field in fields {
                    let text = field.of(bytes);
                    if text.is_empty() || reading.nulls.has(field, bytes) {
                        $builder.append_null();
                    } else {
                        $builder.append_value($read(text).ok_or_else(changed)?);
                    }
                }
            };
        }
        match self {
            Self::Boolean(values) => append!(values, boolean),
            Self::Integer(values) => append!(values, integer),
            Self::Decimal(values, precision, scale) => {
                append!(values, |text| decimal(text, *precision, *scale));
            }
            Self::Double(values) => append!(values, double),
            Self::Date(values, forms) => {
                append!(values, |text| moment(text, *forms)?.0.date());
            }
            Self::Timestamp(values, forms) => {
                append!(values, |text| moment(text, *forms)?.0.timestamp());
            }
            Self::TimestampTz(values, forms) => {
                append!(values, |text| moment(text, *forms)?.0.timestamp_in_zone());
            }
            Self::Text(texts) => {
                for field in fields {
                    texts.add(field, bytes, reading)?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Boolean(values) => Arc::new(values.finish()),
            Self::Integer(values) => Arc::new(values.finish()),
            Self::Decimal(values, ..) => Arc::new(values.finish()),
            Self::Double(values) => Arc::new(values.finish()),
            Self::Date(values, _) => Arc::new(values.finish()),
            Self::Timestamp(values, _) | Self::TimestampTz(values, _) => Arc::new(values.finish()),
            Self::Text(texts) => Arc::new(texts.finish()?),
        })
    }
}

fn typed<T: ArrowPrimitiveType>(column: &Column) -> PrimitiveBuilder<T> {
    PrimitiveBuilder::new().with_data_type(column.column_type.arrow())
}

impl Texts {
    fn new() -> Self {
        Self {
            ends: vec![0],
            bytes: Vec::new(),
            nulls: NullBufferBuilder::new(0),
        }
    }

    #[inline(always)]
    fn add(&mut self, field: &Field, bytes: &[u8], reading: Reading) -> Result<()> {
        if reading.nulls.has(field, bytes) {
            self.nulls.append_null();
        } else {
            field.append(bytes, reading.quote, &mut self.bytes);
            self.nulls.append_non_null();
        }
        self.ends
            .push(i32::try_from(self.bytes.len()).map_err(Error::internal)?);
        Ok(())
    }

    /// Arrow checks that the texts are UTF-8, as they were when the file was prepared.
    fn finish(&mut self) -> Result<StringArray> {
        let made = std::mem::replace(self, Self::new());
        self.bytes.reserve(made.bytes.len());
        self.ends.reserve(made.ends.len());
        let offsets = OffsetBuffer::new(ScalarBuffer::from(made.ends));
        let mut nulls = made.nulls;
        StringArray::try_new(offsets, Buffer::from_vec(made.bytes), nulls.finish()).map_err(|_| changed())
    }
}
