//! The values of one column on their way into an array.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::BinaryBuilder;
use arrow::array::BooleanBuilder;
use arrow::array::PrimitiveBuilder;
use arrow::array::StringBuilder;
use arrow::datatypes::Date32Type;
use arrow::datatypes::Float64Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::TimestampMicrosecondType;

use crate::connectors::sqlite::cells::Cell;
use crate::connectors::sqlite::kinds::Kind;
use crate::error::Error;
use crate::error::Result;

pub(super) enum Values {
    Boolean(BooleanBuilder),
    Integer(PrimitiveBuilder<Int64Type>),
    Real(PrimitiveBuilder<Float64Type>),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
}

impl Values {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Integer => Self::Integer(PrimitiveBuilder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Real => Self::Real(PrimitiveBuilder::new()),
            Kind::Binary => Self::Binary(BinaryBuilder::new()),
            Kind::Date => Self::Date(PrimitiveBuilder::new()),
            Kind::Timestamp => Self::Timestamp(PrimitiveBuilder::new()),
            Kind::Nothing | Kind::Text | Kind::Json | Kind::Number(_) | Kind::Any => {
                Self::Text(StringBuilder::new())
            }
        }
    }

    /// Takes a cell of the same kind.
    pub(super) fn push(&mut self, cell: Cell<'_>) -> Result<()> {
        match (self, cell) {
            (Self::Boolean(values), Cell::Boolean(boolean)) => values.append_value(boolean),
            (Self::Integer(values), Cell::Integer(integer)) => values.append_value(integer),
            (Self::Real(values), Cell::Real(real)) => values.append_value(real),
            (Self::Text(values), Cell::Text(text)) => values.append_value(text),
            (Self::Binary(values), Cell::Binary(bytes)) => values.append_value(bytes),
            (Self::Date(values), Cell::Date(days)) => values.append_value(days),
            (Self::Timestamp(values), Cell::Timestamp(microseconds)) => values.append_value(microseconds),
            (Self::Boolean(values), Cell::Null) => values.append_null(),
            (Self::Integer(values), Cell::Null) => values.append_null(),
            (Self::Real(values), Cell::Null) => values.append_null(),
            (Self::Text(values), Cell::Null) => values.append_null(),
            (Self::Binary(values), Cell::Null) => values.append_null(),
            (Self::Date(values), Cell::Null) => values.append_null(),
            (Self::Timestamp(values), Cell::Null) => values.append_null(),
            _ => return Err(Error::internal("a value is not of its column's kind")),
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(values) => Arc::new(values.finish()),
            Self::Integer(values) => Arc::new(values.finish()),
            Self::Real(values) => Arc::new(values.finish()),
            Self::Text(values) => Arc::new(values.finish()),
            Self::Binary(values) => Arc::new(values.finish()),
            Self::Date(values) => Arc::new(values.finish()),
            Self::Timestamp(values) => Arc::new(values.finish()),
        }
    }
}
