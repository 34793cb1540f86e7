//! An Arrow IPC stream: the columns' own types, in batches that are neither tiny nor huge.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;

use crate::error::Result;
use crate::exports::pipeline;
use crate::exports::widely_known::known_batch;
use crate::exports::widely_known::known_schema;

/// A reader holds a batch at a time, and waits for all of it: large ones make it late, tiny ones cost it more than
/// they save.
const BATCH_ROWS: usize = 16_384;
const BATCH_BYTES: usize = 1 << 20;

/// Writes a whole stream.
pub(super) fn write(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    out: &mut impl Write,
) -> Result<()> {
    let known = Arc::new(known_schema(schema));
    let mut writer = StreamWriter::try_new(out, &known)?;
    let mut waiting = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for batch in batches {
        let batch = batch?;
        pipeline::check_columns(&batch, schema.fields().len())?;
        let batch = known_batch(&batch, &known)?;
        rows += batch.num_rows();
        bytes += pipeline::bytes_of(&batch);
        waiting.push(batch);
        if rows >= BATCH_ROWS || bytes >= BATCH_BYTES {
            writer.write(&joined(&known, &waiting)?)?;
            waiting.clear();
            (rows, bytes) = (0, 0);
        }
    }
    if rows > 0 {
        writer.write(&joined(&known, &waiting)?)?;
    }
    Ok(writer.finish()?)
}

fn joined(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    match batches {
        [batch] => Ok(batch.clone()),
        _ => Ok(concat_batches(schema, batches)?),
    }
}
