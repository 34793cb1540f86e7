//! Types as every reader of Arrow knows them: narrow decimals are new, and become 128 bits wide.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;

use crate::arrow_types::cast_batch;
use crate::arrow_types::changed_schema;
use crate::error::Result;

/// The schema with such types alone.
pub(crate) fn known_schema(schema: &Schema) -> Schema {
    changed_schema(schema, |data_type| match data_type {
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            Some(DataType::Decimal128(*precision, *scale))
        }
        _ => None,
    })
}

/// The batch with the types of its known schema.
pub(crate) fn known_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    cast_batch(batch.columns(), batch.num_rows(), schema)
}
