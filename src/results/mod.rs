//! The stored result: the rows of one run in one immutable Arrow IPC file, zstd-compressed,
//! with the number of rows of each batch in its footer, so that a page costs the batches it needs.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Cursor;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::ops::Range;

use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::datatypes::SchemaRef;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::FileReader;
use arrow::ipc::reader::FileReaderBuilder;
use arrow::ipc::writer::FileWriter;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::objects::Object;
use crate::objects::ObjectName;
use crate::objects::ObjectWriter;
use crate::objects::Objects;

/// A stored batch has up to this many rows: enough to compress and encode well, few to read for a page.
const BATCH_ROWS: usize = 16_384;
/// And about this many bytes, for results with large cells.
const BATCH_BYTES: usize = 8 << 20;
/// The footer's key for the rows of each batch, a JSON array.
const BATCH_ROWS_KEY: &str = "holistics.batch_rows";

/// What is around the columns of a batch, at most.
const HEAD_BYTES: u64 = 1 << 10;
/// What is around the up to three buffers of a column, at most.
const COLUMN_HEAD_BYTES: u64 = 320;
/// What the file's end says of a batch, at most.
const BATCH_END_BYTES: u64 = 64;

/// The file format's footer takes nested types down to about 60 levels.
const DEPTH_MAX: usize = 50;

/// What was written.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    /// There were more, but not so many were allowed.
    pub(crate) truncated: bool,
    pub(crate) object: Object,
}

/// Takes batches of any size and writes stored batches; holds no more than one of these.
pub(crate) struct ResultWriter {
    schema: SchemaRef,
    writer: FileWriter<BufWriter<ObjectWriter>>,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    waiting_bytes: usize,
    batch_rows: Vec<u64>,
    rows: u64,
    /// How many bytes the schema takes, which is at the file's end once more.
    schema_bytes: u64,
}

impl ResultWriter {
    pub(crate) fn new(object: ObjectWriter, schema: &SchemaRef) -> Result<Self> {
        for field in schema.fields() {
            if depth(field.data_type()) > DEPTH_MAX {
                return Err(Error::new(
                    ErrorCode::SourceFailed,
                    format!(
                        "column `{}` is nested deeper than {DEPTH_MAX} levels: cast it to VARCHAR",
                        field.name()
                    ),
                ));
            }
        }
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD))?;
        let bytes_left = object.bytes_left();
        let mut writer = FileWriter::try_new_with_options(BufWriter::new(object), schema, options)?;
        writer.flush()?;
        Ok(Self {
            schema: schema.clone(),
            schema_bytes: bytes_left - writer.get_ref().get_ref().bytes_left(),
            writer,
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
            batch_rows: Vec::new(),
            rows: 0,
        })
    }

    pub(crate) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        // A chunk with huge cells is cut, so that a page does not have to read all of it.
        let bytes = batch.get_array_memory_size();
        let step = match bytes > BATCH_BYTES {
            true => (batch.num_rows() * BATCH_BYTES / bytes).max(1),
            false => BATCH_ROWS,
        };
        let mut start = 0;
        while start < batch.num_rows() {
            let rows = step.min(batch.num_rows() - start);
            self.waiting_bytes += bytes * rows / batch.num_rows();
            self.waiting_rows += rows;
            self.waiting.push(batch.slice(start, rows));
            start += rows;
            if self.waiting_rows + step.min(2_048) > BATCH_ROWS || self.waiting_bytes >= BATCH_BYTES {
                self.write_waiting()?;
            }
        }
        Ok(())
    }

    /// Writes as many of the next rows as the file can take for certain, however badly they compress,
    /// and says how many these are.
    pub(crate) fn write_what_fits(&mut self, batch: &RecordBatch) -> Result<usize> {
        if !self.fits(batch)? {
            // What the waiting ones take is known when they are written.
            self.write_waiting()?;
            self.writer.flush()?;
        }
        let mut rows = batch.num_rows();
        while rows > 0 && !self.fits(&batch.slice(0, rows))? {
            rows /= 2;
        }
        self.write(batch.slice(0, rows))?;
        Ok(rows)
    }

    fn fits(&self, batch: &RecordBatch) -> Result<bool> {
        let buffer = self.writer.get_ref();
        let written = buffer.buffer().len() as u64;
        // The end has the schema once more, and the place and the rows of each batch.
        let end = self.schema_bytes + HEAD_BYTES + (self.batch_rows.len() as u64 + 2) * BATCH_END_BYTES;
        let rows: u64 = self
            .waiting
            .iter()
            .chain([batch])
            .map(bytes_max)
            .sum::<Result<_>>()?;
        Ok(written + rows + end <= buffer.get_ref().bytes_left())
    }

    fn write_waiting(&mut self) -> Result<()> {
        if self.waiting_rows == 0 {
            return Ok(());
        }
        let batch = concat_batches(&self.schema, &self.waiting)?;
        self.waiting.clear();
        self.waiting_rows = 0;
        self.waiting_bytes = 0;
        self.batch_rows.push(batch.num_rows() as u64);
        Ok(self.writer.write(&batch)?)
    }

    /// Ends the file and gives it its name.
    pub(crate) fn finish(mut self, truncated: bool) -> Result<Written> {
        self.write_waiting()?;
        let index = serde_json::to_string(&self.batch_rows)?;
        self.writer.write_metadata(BATCH_ROWS_KEY, index);
        self.writer.finish()?;
        let mut buffer = self.writer.into_inner()?;
        buffer.flush()?;
        let object = buffer
            .into_inner()
            .map_err(|error| Error::from(error.into_error()))?;
        Ok(Written {
            rows: self.rows,
            truncated,
            object: object.publish()?,
        })
    }
}

/// As many bytes as these rows take at most: their buffers as they are, bits for which of them are NULL,
/// and what is around them, which is there once more for each stored batch.
fn bytes_max(batch: &RecordBatch) -> Result<u64> {
    let mut bytes = 0;
    let mut head = HEAD_BYTES;
    for column in batch.columns() {
        let data = column.to_data();
        let buffers = data.get_slice_memory_size()? as u64 + batch.num_rows() as u64 / 8;
        // What is inside a nested column may have as many such bits as it has values.
        bytes += buffers * if data.data_type().is_nested() { 2 } else { 1 };
        head += COLUMN_HEAD_BYTES * columns_in(data.data_type());
    }
    Ok(bytes + head * (bytes / BATCH_BYTES as u64 + 2))
}

/// A column and all that are nested in it.
fn columns_in(data_type: &DataType) -> u64 {
    1 + nested(data_type).into_iter().map(columns_in).sum::<u64>()
}

fn depth(data_type: &DataType) -> usize {
    1 + nested(data_type).into_iter().map(depth).max().unwrap_or(0)
}

fn nested(data_type: &DataType) -> Vec<&DataType> {
    match data_type {
        DataType::List(field) | DataType::FixedSizeList(field, _) | DataType::Map(field, _) => {
            vec![field.data_type()]
        }
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        _ => Vec::new(),
    }
}

/// The rows of a stored result, not yet looked into.
pub(crate) enum Rows {
    Inline(Vec<u8>),
    File(File),
}

impl Rows {
    /// Those that are given, or those of the file of this name.
    pub(crate) fn of(content: Option<Vec<u8>>, objects: &Objects, name: &ObjectName) -> Result<Self> {
        match content {
            Some(content) => Ok(Self::Inline(content)),
            None => objects.open_object(name).map(Self::File),
        }
    }

    /// Reads the index, which may take its time.
    pub(crate) fn open(self) -> Result<ResultReader> {
        match self {
            Self::Inline(content) => ResultReader::new(Box::new(Cursor::new(content))),
            Self::File(file) => ResultReader::new(Box::new(BufReader::new(file))),
        }
    }
}

/// Where the bytes of a stored result come from: a file, or memory.
pub(crate) trait Bytes: Read + Seek + Send {}
impl<T: Read + Seek + Send> Bytes for T {}

/// An open stored result.
pub(crate) struct ResultReader {
    reader: FileReader<Box<dyn Bytes>>,
    /// The number of the first row of each batch, and at the end the number of rows.
    starts: Vec<u64>,
}

impl ResultReader {
    fn new(bytes: Box<dyn Bytes>) -> Result<Self> {
        let reader = FileReaderBuilder::new().build(bytes)?;
        let index = reader
            .custom_metadata()
            .get(BATCH_ROWS_KEY)
            .ok_or_else(|| Error::internal("a stored result without its index"))?;
        let batch_rows: Vec<u64> = serde_json::from_str(index)?;
        let mut starts = vec![0];
        let mut rows = 0;
        for count in batch_rows {
            rows += count;
            starts.push(rows);
        }
        Ok(Self { reader, starts })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The rows from `range.start` up to `range.end`, as far as they exist, a stored batch at a time.
    pub(crate) fn batches(
        mut self,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send> {
        let end = range.end.min(self.rows());
        let start = range.start.min(end);
        let first = self
            .starts
            .partition_point(|batch_start| *batch_start <= start)
            .saturating_sub(1);
        let mut position = end;
        if start < end {
            position = self.starts.get(first).copied().unwrap_or(0);
            self.reader.set_index(first)?;
        }
        let mut reader = self.reader;
        Ok(std::iter::from_fn(move || {
            if position >= end {
                return None;
            }
            let batch = match reader.next() {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return Some(Err(error.into())),
                None => return Some(Err(Error::internal("a stored result that ends early"))),
            };
            let rows = batch.num_rows() as u64;
            let from = start.saturating_sub(position);
            let to = rows.min(end - position);
            position += rows;
            if from >= to {
                return Some(Err(Error::internal("a stored result whose index is wrong")));
            }
            Some(Ok(batch.slice(from as usize, (to - from) as usize)))
        }))
    }
}
