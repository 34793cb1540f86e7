//! Writes one page of a stored result as JSON, a piece at a time.

use std::fs::File;
use std::io::Write as _;

use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::exports::text::TextColumn;
use crate::exports::text::write_json_row;
use crate::http::jobs::iso_time;
use crate::http::poll::Paginated;
use crate::results::ResultReader;
use crate::store::results::StoredResult;

/// A large page is never held whole, but handed over in pieces of about this size.
const PIECE_BYTES: usize = 256 << 10;

/// What is left of a page.
pub(super) struct PageWriter {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    /// The batch at work, and its next row.
    current: Option<(RecordBatch, usize)>,
    /// What comes after the rows; gone when it has been written.
    end: Option<Vec<u8>>,
    piece: Vec<u8>,
    has_rows: bool,
}

impl PageWriter {
    pub(super) fn new(file: File, result: &StoredResult, page: u64, page_size: u64) -> Result<Self> {
        let reader = ResultReader::open(file)?;
        let rows = reader.rows();
        let schema = reader.schema();
        let fields: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let mut piece = b"{\"status\":\"success\",\"fields\":".to_vec();
        serde_json::to_writer(&mut piece, &fields)?;
        piece.extend_from_slice(b",\"values\":[");
        let paginated = Paginated {
            page,
            page_size,
            num_rows: rows,
            num_pages: rows.div_ceil(page_size),
        };
        let mut end = b"],\"paginated\":".to_vec();
        serde_json::to_writer(&mut end, &paginated)?;
        write!(
            end,
            ",\"last_cache_updated\":\"{}\"}}",
            iso_time(result.created_at)
        )?;
        let start = (page - 1).saturating_mul(page_size);
        Ok(Self {
            batches: Box::new(reader.batches(start..start.saturating_add(page_size))?),
            current: None,
            end: Some(end),
            piece,
            has_rows: false,
        })
    }

    pub(super) fn is_done(&self) -> bool {
        self.end.is_none()
    }

    /// The next bytes of the page.
    pub(super) fn write_piece(&mut self) -> Result<Vec<u8>> {
        while self.piece.len() < PIECE_BYTES {
            let (batch, from) = match self.current.take() {
                Some(current) => current,
                None => match self.batches.next() {
                    Some(batch) => (batch?, 0),
                    None => {
                        self.piece.extend(self.end.take().unwrap_or_default());
                        break;
                    }
                },
            };
            self.write_rows(batch, from);
        }
        Ok(std::mem::take(&mut self.piece))
    }

    /// Writes rows until the piece is full, and keeps the rest of the batch for the next.
    fn write_rows(&mut self, batch: RecordBatch, from: usize) {
        let columns: Vec<TextColumn> = batch
            .columns()
            .iter()
            .map(|array| TextColumn::new(array.as_ref()))
            .collect();
        let mut row = from;
        while row < batch.num_rows() && self.piece.len() < PIECE_BYTES {
            if self.has_rows {
                self.piece.push(b',');
            }
            self.has_rows = true;
            write_json_row(&columns, row, &mut self.piece);
            row += 1;
        }
        drop(columns);
        if row < batch.num_rows() {
            self.current = Some((batch, row));
        }
    }
}
