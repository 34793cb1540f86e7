//! Writes one page of a stored result, as JSON or as an Arrow stream, a piece at a time.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use crate::error::Result;
use crate::exports::json_rows::JsonRows;
use crate::exports::widely_known::known_batch;
use crate::exports::widely_known::known_schema;
use crate::http::encoding::weight;
use crate::http::jobs::iso_time;
use crate::http::params::count;
use crate::http::poll::Paginated;
use crate::results::ResultReader;
use crate::store::results::StoredResult;

/// A large page is never held whole, but handed over in pieces of about this size.
const PIECE_BYTES: usize = 256 << 10;
const PAGE_SIZE_DEFAULT: u64 = 25;
const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
const JSON: &str = "application/json";

/// Which page a client wants, and how.
#[derive(Clone, Debug)]
pub(super) struct View {
    page: u64,
    pub(super) page_size: u64,
    arrow: bool,
}

impl View {
    pub(super) fn new(page: Option<&str>, page_size: Option<&str>, headers: &HeaderMap) -> Result<Self> {
        let accepted: Vec<&str> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let accepted = accepted.join(",");
        let arrow = weight(&accepted, ARROW_STREAM).unwrap_or_default();
        Ok(Self {
            page: count("_page", page, 1)?,
            page_size: count("_page_size", page_size, PAGE_SIZE_DEFAULT)?,
            arrow: arrow > 0.0 && arrow >= weight(&accepted, JSON).unwrap_or_default(),
        })
    }

    /// How many of so many rows are on this page.
    pub(super) fn rows_of(&self, rows: i64) -> i64 {
        let size = i64::try_from(self.page_size).unwrap_or(i64::MAX);
        let before = i64::try_from(self.page - 1)
            .unwrap_or(i64::MAX)
            .saturating_mul(size);
        rows.saturating_sub(before).clamp(0, size)
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self.arrow {
            true => ARROW_STREAM,
            false => JSON,
        }
    }
}

/// What is left of a page.
pub(super) struct PageWriter {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    /// The batch at work, and its next row.
    current: Option<(RecordBatch, usize)>,
    form: Form,
    is_done: bool,
}

enum Form {
    Json {
        piece: Vec<u8>,
        has_rows: bool,
        /// What comes after the rows.
        end: Vec<u8>,
    },
    Arrow(Box<StreamWriter<Vec<u8>>>, SchemaRef),
}

impl PageWriter {
    /// `submitted` is the job's id where the page answers its submit.
    pub(super) fn new(
        reader: ResultReader,
        result: &StoredResult,
        view: &View,
        submitted: Option<i64>,
    ) -> Result<Self> {
        let rows = reader.rows();
        let schema = reader.schema();
        let paginated = Paginated {
            page: view.page,
            page_size: view.page_size,
            num_rows: rows,
            num_pages: rows.div_ceil(view.page_size),
            truncated: result.truncated,
        };
        let updated = iso_time(result.created_at);
        let form = match view.arrow {
            true => arrow_form(&schema, &paginated, updated)?,
            false => json_form(&schema, &paginated, &updated, submitted)?,
        };
        let start = (view.page - 1).saturating_mul(view.page_size);
        Ok(Self {
            batches: Box::new(reader.batches(start..start.saturating_add(view.page_size))?),
            current: None,
            form,
            is_done: false,
        })
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// The next bytes of the page.
    pub(super) fn write_piece(&mut self) -> Result<Vec<u8>> {
        while self.form.piece().len() < PIECE_BYTES {
            let (batch, from) = match self.current.take() {
                Some(current) => current,
                None => match self.batches.next() {
                    Some(batch) => (batch?, 0),
                    None => {
                        self.form.end()?;
                        self.is_done = true;
                        break;
                    }
                },
            };
            let next = self.form.write_rows(&batch, from)?;
            if next < batch.num_rows() {
                self.current = Some((batch, next));
            }
        }
        Ok(std::mem::take(self.form.piece()))
    }
}

fn json_form(schema: &Schema, paginated: &Paginated, updated: &str, submitted: Option<i64>) -> Result<Form> {
    let fields: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let mut piece = b"{\"status\":\"success\",".to_vec();
    if let Some(job_id) = submitted {
        write!(piece, "\"job_id\":{job_id},")?;
    }
    piece.extend_from_slice(b"\"fields\":");
    serde_json::to_writer(&mut piece, &fields)?;
    piece.extend_from_slice(b",\"values\":[");
    let mut end = b"],\"paginated\":".to_vec();
    serde_json::to_writer(&mut end, paginated)?;
    write!(end, ",\"last_cache_updated\":\"{updated}\"}}")?;
    Ok(Form::Json {
        piece,
        has_rows: false,
        end,
    })
}

/// What JSON says beside the rows is in the schema's metadata.
fn arrow_form(schema: &Schema, paginated: &Paginated, updated: String) -> Result<Form> {
    let metadata = HashMap::from([
        ("paginated".to_owned(), serde_json::to_string(paginated)?),
        ("last_cache_updated".to_owned(), updated),
    ]);
    let schema = Arc::new(known_schema(schema).with_metadata(metadata));
    let writer = StreamWriter::try_new(Vec::new(), &schema)?;
    Ok(Form::Arrow(Box::new(writer), schema))
}

impl Form {
    fn piece(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Json { piece, .. } => piece,
            Self::Arrow(writer, _) => writer.get_mut(),
        }
    }

    /// Writes rows until the piece is full, and says which row is next.
    fn write_rows(&mut self, batch: &RecordBatch, from: usize) -> Result<usize> {
        match self {
            Self::Json { piece, has_rows, .. } => Ok(write_json_rows(batch, from, piece, has_rows)),
            Self::Arrow(writer, schema) => {
                let bytes = batch.get_array_memory_size().max(1);
                let fitting = batch.num_rows() * PIECE_BYTES / bytes;
                let rows = fitting.clamp(1, batch.num_rows() - from);
                writer.write(&known_batch(&batch.slice(from, rows), schema)?)?;
                Ok(from + rows)
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        match self {
            Self::Json { piece, end, .. } => {
                piece.append(end);
                Ok(())
            }
            Self::Arrow(writer, _) => Ok(writer.finish()?),
        }
    }
}

fn write_json_rows(batch: &RecordBatch, from: usize, piece: &mut Vec<u8>, has_rows: &mut bool) -> usize {
    if from < batch.num_rows() && std::mem::replace(has_rows, true) {
        piece.push(b',');
    }
    JsonRows::for_page(batch).write(from..batch.num_rows(), Some(b','), PIECE_BYTES, piece)
}
