//! Parquet: typed columns, Snappy, a row group a thread at a time.
//! A column of a type that Parquet lacks, at any depth, is in its text form.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::Array as _;
use arrow::array::ArrayRef;
use arrow::array::AsArray as _;
use arrow::array::PrimitiveArray;
use arrow::array::RecordBatch;
use arrow::array::StringBuilder;
use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::datatypes::TimeUnit;
use arrow::datatypes::TimestampMillisecondType;
use arrow::datatypes::TimestampSecondType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowColumnChunk;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::error::Error;
use crate::error::Result;
use crate::exports::names::unique_names;
use crate::exports::pipeline;
use crate::exports::text::TextColumn;

/// Enough to compress well, few enough for some of them to be in memory at a time.
const GROUP_ROWS: usize = 122_880;
/// Large cells make smaller groups.
const GROUP_BYTES: usize = 16 << 20;

/// A column gets no dictionary if more of its first values are different than this, in percent:
/// looking each value up takes longer than all the rest, and saves nothing.
const DISTINCT_PERCENT_MAX: usize = 95;
/// Of fewer values nothing can be said.
const SAMPLE_ROWS_MIN: usize = 256;

/// Writes a whole file.
pub(super) fn write(
    schema: &SchemaRef,
    mut batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    threads: usize,
    out: &mut (impl Write + Send),
) -> Result<()> {
    let first = pipeline::on_one_thread(|| batches.next().transpose())?;
    if let Some(batch) = &first {
        pipeline::check_columns(batch, schema.fields().len())?;
    }
    let names = unique_names(schema.fields().iter().map(|field| field.name().as_str()));
    let named = names.into_iter().zip(schema.fields());
    let columns: Vec<Column> = named.map(|(name, field)| Column::of(name, field)).collect();
    let fields: Vec<Field> = columns.iter().map(|column| column.field.clone()).collect();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("holistics ", env!("CARGO_PKG_VERSION")).to_owned());
    for (column, array) in columns.iter().zip(first.iter().flat_map(RecordBatch::columns)) {
        if is_mostly_distinct(array) {
            let path = ColumnPath::new(vec![column.field.name().clone()]);
            properties = properties.set_column_dictionary_enabled(path, false);
        }
    }
    // Narrow decimals are numbers of 32 or 64 bits in the file, but no reader needs to know such types of Arrow.
    let options = ArrowWriterOptions::new()
        .with_properties(properties.build())
        .with_skip_arrow_metadata(true);
    let writer =
        ArrowWriter::try_new_with_options(out, Arc::new(Schema::new(fields)), options).map_err(failed)?;
    let (mut file, factory) = writer.into_serialized_writer().map_err(failed)?;
    let groups = Groups {
        batches,
        waiting: first,
        number: 0,
    };
    let new_encoder = || |group: Group| encode(&group, &columns, &factory);
    pipeline::in_order(
        groups,
        threads,
        0,
        &new_encoder,
        |chunks: Vec<ArrowColumnChunk>| {
            let mut group = file.next_row_group().map_err(failed)?;
            for chunk in chunks {
                chunk.append_to_row_group(&mut group).map_err(failed)?;
            }
            group.close().map(|_| ()).map_err(failed)
        },
    )?;
    file.close().map(|_| ()).map_err(failed)
}

/// Whether a column that is no list or struct hardly ever has a value twice, by its first rows.
fn is_mostly_distinct(array: &ArrayRef) -> bool {
    if array.len() < SAMPLE_ROWS_MIN || array.data_type().is_nested() {
        return false;
    }
    let column = TextColumn::new(array.as_ref());
    let mut values = HashSet::with_capacity(array.len());
    let mut rows = 0;
    for row in (0..array.len()).filter(|row| !column.is_null(*row)) {
        let mut value = Vec::new();
        column.write(row, &mut value);
        values.insert(value);
        rows += 1;
    }
    values.len() * 100 > rows * DISTINCT_PERCENT_MAX
}

/// The rows of one row group.
struct Group {
    number: usize,
    batches: Vec<RecordBatch>,
}

/// Gathers batches to row groups.
struct Groups<I> {
    batches: I,
    /// What did not fit into the last group.
    waiting: Option<RecordBatch>,
    number: usize,
}

impl<I: Iterator<Item = Result<RecordBatch>>> Iterator for Groups<I> {
    type Item = Result<Group>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut group = Vec::new();
        let mut rows = 0;
        let mut bytes = 0;
        while rows < GROUP_ROWS && bytes < GROUP_BYTES {
            let batch = match self.waiting.take().map(Ok).or_else(|| self.batches.next()) {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            };
            if batch.num_rows() == 0 {
                continue;
            }
            let of_row = pipeline::bytes_of(&batch) / batch.num_rows() + 1;
            let fitting = ((GROUP_BYTES - bytes) / of_row).max(1);
            let taken = batch.num_rows().min(GROUP_ROWS - rows).min(fitting);
            if taken < batch.num_rows() {
                self.waiting = Some(batch.slice(taken, batch.num_rows() - taken));
            }
            rows += taken;
            bytes += taken * of_row;
            group.push(batch.slice(0, taken));
        }
        if group.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Ok(Group {
            number: self.number - 1,
            batches: group,
        }))
    }
}

fn encode(
    group: &Group,
    columns: &[Column],
    factory: &ArrowRowGroupWriterFactory,
) -> Result<Vec<ArrowColumnChunk>> {
    let mut writers = factory.create_column_writers(group.number).map_err(failed)?;
    for batch in &group.batches {
        pipeline::check_columns(batch, columns.len())?;
        let mut leaves = writers.iter_mut();
        for (column, array) in columns.iter().zip(batch.columns()) {
            for leaf in compute_leaves(&column.field, &column.convert(array)).map_err(failed)? {
                let writer = leaves
                    .next()
                    .ok_or_else(|| Error::internal("a column too many"))?;
                writer.write(&leaf).map_err(failed)?;
            }
        }
    }
    let chunks = writers.into_iter().map(|writer| writer.close().map_err(failed));
    chunks.collect()
}

/// A column as it is in the file.
struct Column {
    field: Field,
    form: ColumnForm,
}

enum ColumnForm {
    AsIs,
    /// Parquet counts no seconds.
    Milliseconds,
    Text,
}

impl Column {
    fn of(name: impl Into<String>, field: &Field) -> Self {
        let (data_type, form) = match field.data_type() {
            DataType::Timestamp(TimeUnit::Second, zone) => (
                DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
                ColumnForm::Milliseconds,
            ),
            other if is_native(other) => (other.clone(), ColumnForm::AsIs),
            _ => (DataType::Utf8, ColumnForm::Text),
        };
        Self {
            field: Field::new(name, data_type, true),
            form,
        }
    }

    fn convert(&self, array: &ArrayRef) -> ArrayRef {
        match (&self.form, self.field.data_type()) {
            (ColumnForm::Milliseconds, DataType::Timestamp(_, zone)) => {
                // The outermost values stand for infinity and stay outermost.
                let seconds = array.as_primitive::<TimestampSecondType>();
                let milliseconds: PrimitiveArray<TimestampMillisecondType> =
                    seconds.unary(|value: i64| match value {
                        i64::MAX => i64::MAX,
                        value if value == -i64::MAX => value,
                        value => value.saturating_mul(1_000),
                    });
                Arc::new(milliseconds.with_timezone_opt(zone.clone()))
            }
            (ColumnForm::Text, _) => text(array),
            _ => array.clone(),
        }
    }
}

fn text(array: &ArrayRef) -> ArrayRef {
    let column = TextColumn::new(array.as_ref());
    let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 16);
    let mut value = Vec::new();
    for row in 0..array.len() {
        if column.is_null(row) {
            builder.append_null();
            continue;
        }
        value.clear();
        column.write(row, &mut value);
        builder.append_value(String::from_utf8_lossy(&value));
    }
    Arc::new(builder.finish())
}

/// Whether Parquet has the type, and every reader understands it.
fn is_native(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Time32(TimeUnit::Millisecond)
        | DataType::Time64(_)
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _) => true,
        DataType::Timestamp(unit, _) => *unit != TimeUnit::Second,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => is_native(field.data_type()),
        DataType::Struct(fields) => {
            !fields.is_empty() && fields.iter().all(|field| is_native(field.data_type()))
        }
        _ => false,
    }
}

/// A full disk shows itself as what it is.
fn failed(error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => (*source).into(),
            Err(source) => Error::internal(source),
        },
        other => Error::internal(other),
    }
}
