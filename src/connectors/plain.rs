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

/// Enumerations become plain text, at any depth: a stored result has one dictionary a column or none.
pub(super) fn plain_schema(schema: &Schema) -> Schema {
    changed_schema(schema, |data_type| match data_type {
        DataType::Dictionary(_, values) => Some(values.as_ref().clone()),
        _ => None,
    })
}

pub(super) fn plain_batch(chunk: &StructArray, schema: &SchemaRef) -> Result<RecordBatch> {
    cast_batch(chunk.columns(), chunk.len(), schema)
}
