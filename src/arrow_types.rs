//! Other types for the columns of a schema, at any depth, and batches cast to them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::FieldRef;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::record_batch::RecordBatchOptions;

use crate::error::Result;

/// What marks a text column whose values are numbers with more digits than a number type holds.
const EXTENSION: &str = "ARROW:extension:name";
const NUMBER_AS_TEXT: &str = "holistics.number";

/// The field, marked as numbers that are kept as text.
pub(crate) fn number_as_text(field: Field) -> Field {
    field.with_metadata(HashMap::from([(EXTENSION.to_owned(), NUMBER_AS_TEXT.to_owned())]))
}

/// Whether a column's texts are numbers.
pub(crate) fn is_number_as_text(field: &Field) -> bool {
    field
        .metadata()
        .get(EXTENSION)
        .is_some_and(|name| name == NUMBER_AS_TEXT)
}

/// What a type becomes; `None` leaves it as it is.
type Change = fn(&DataType) -> Option<DataType>;

/// The schema with its types changed, without metadata.
pub(crate) fn changed_schema(schema: &Schema, change: Change) -> Schema {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| changed_field(field, change))
        .collect();
    Schema::new(fields)
}

fn changed_field(field: &Field, change: Change) -> FieldRef {
    let data_type = changed_type(field.data_type(), change);
    Arc::new(
        field
            .clone()
            .with_data_type(data_type)
            .with_metadata(HashMap::new()),
    )
}

fn changed_type(data_type: &DataType, change: Change) -> DataType {
    let inner = |field: &FieldRef| changed_field(field, change);
    match data_type {
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(inner(field), *length),
        DataType::Map(field, sorted) => DataType::Map(inner(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => match change(other) {
            Some(changed) => changed_type(&changed, change),
            None => other.clone(),
        },
    }
}

/// A batch of these columns, each cast to its type in the schema if it is of another.
pub(crate) fn cast_batch(columns: &[ArrayRef], rows: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = columns
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(column.clone()),
            false => Ok(cast(column, field.data_type())?),
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        schema.clone(),
        columns,
        &options,
    )?)
}
