//! Batches of the embedded engine without dictionaries.

use arrow::array::Array as _;
use arrow::array::StructArray;
use arrow::datatypes::DataType;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::arrow_types::cast_batch;
use crate::arrow_types::changed_schema;
use crate::error::Result;

/// At any depth, enumerations become plain text, since a stored result has one dictionary a column or none, and views
/// of bytes the bytes: a part of a batch would be stored with all that the whole has.
pub(super) fn plain_schema(schema: &Schema) -> Schema {
    changed_schema(schema, |data_type| match data_type {
        DataType::Dictionary(_, values) => Some(values.as_ref().clone()),
        DataType::BinaryView => Some(DataType::Binary),
        _ => None,
    })
}

pub(super) fn plain_batch(chunk: &StructArray, schema: &SchemaRef) -> Result<RecordBatch> {
    cast_batch(chunk.columns(), chunk.len(), schema)
}
