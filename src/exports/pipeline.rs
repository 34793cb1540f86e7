//! Encodes batches on several threads and hands the bytes on in the batches' order.
//! A few batches are in flight at a time; the slowest of source, encoders and writer sets the pace.

use std::any::Any;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;

use arrow::array::Array;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::error::Error;
use crate::error::Result;

/// Appends the bytes of a batch.
pub(super) type Encode<'e> = &'e (dyn Fn(&RecordBatch, &mut Vec<u8>) + Sync);

/// A larger batch is encoded in pieces, so that all threads have work and memory stays small.
const PIECE_ROWS_MAX: usize = 8_192;
const PIECE_BYTES_MAX: usize = 4 << 20;

/// A piece of work, and where its bytes go.
struct Piece {
    batch: RecordBatch,
    encoded: SyncSender<Vec<u8>>,
}

/// The bytes of each piece, in order, as soon as a thread has made them.
type Encoded = Result<Receiver<Vec<u8>>>;

/// Calls `write` with the bytes of one piece after another; never with none.
/// The first error of `batches` or `write` ends everything and is returned, as is a panic on any thread.
pub(super) fn encode_in_order(
    schema: &Schema,
    batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    threads: usize,
    encode: Encode,
    write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let threads = threads.max(1);
    let columns = schema.fields().len();
    let (piece_sender, piece_receiver) = sync_channel::<Piece>(threads);
    let (encoded_sender, encoded_receiver) = sync_channel::<Encoded>(threads + 1);
    // Only the encoders hold the receiver: when the last of them is gone, the reader's sends fail.
    let piece_receiver = Arc::new(Mutex::new(piece_receiver));
    thread::scope(|scope| {
        let mut handles = Vec::with_capacity(threads + 1);
        for _ in 0..threads {
            let pieces = Arc::clone(&piece_receiver);
            handles.push(scope.spawn(move || encode_pieces(&pieces, encode)));
        }
        drop(piece_receiver);
        handles.push(scope.spawn(move || read_pieces(batches, columns, &piece_sender, &encoded_sender)));
        let written = write_pieces(encoded_receiver, write);
        // Every handle is joined here, since the scope itself would pass a panic on.
        let mut outcome = Ok(());
        for handle in handles {
            outcome = outcome.and(handle.join().map_err(|panic| panicked(panic.as_ref())));
        }
        outcome.and(written)
    })
}

/// Runs `work` on a thread of its own, so that its panic becomes an error.
pub(super) fn on_one_thread(work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(outcome) => outcome,
        Err(panic) => Err(panicked(panic.as_ref())),
    })
}

/// Checks that a batch has the columns that were announced.
pub(super) fn check_columns(batch: &RecordBatch, columns: usize) -> Result<()> {
    if batch.num_columns() == columns {
        return Ok(());
    }
    Err(Error::internal(format!(
        "a batch has {} columns, its schema {columns}",
        batch.num_columns()
    )))
}

/// Returns when the batches end, at an error, or when nobody wants more.
fn read_pieces(
    batches: impl Iterator<Item = Result<RecordBatch>>,
    columns: usize,
    pieces: &SyncSender<Piece>,
    encoded: &SyncSender<Encoded>,
) {
    for batch in batches {
        let batch = match batch.and_then(|batch| check_columns(&batch, columns).map(|()| batch)) {
            Ok(batch) => batch,
            Err(error) => {
                // It fails only if the writer has gone, with an error of its own.
                let _ = encoded.send(Err(error));
                return;
            }
        };
        let step = piece_rows(&batch);
        for start in (0..batch.num_rows()).step_by(step) {
            let (bytes_sender, bytes_receiver) = sync_channel(1);
            let piece = Piece {
                batch: batch.slice(start, step.min(batch.num_rows() - start)),
                encoded: bytes_sender,
            };
            if encoded.send(Ok(bytes_receiver)).is_err() || pieces.send(piece).is_err() {
                return;
            }
        }
    }
}

fn piece_rows(batch: &RecordBatch) -> usize {
    let bytes: usize = batch
        .columns()
        .iter()
        .map(|array| {
            let whole = || array.get_array_memory_size();
            array
                .to_data()
                .get_slice_memory_size()
                .unwrap_or_else(|_| whole())
        })
        .sum();
    let rows = batch.num_rows();
    let fitting = rows.saturating_mul(PIECE_BYTES_MAX) / bytes.max(1);
    fitting.clamp(1, PIECE_ROWS_MAX)
}

fn encode_pieces(pieces: &Mutex<Receiver<Piece>>, encode: Encode) {
    let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let mut size_guess = 0;
    while let Ok(piece) = next() {
        let mut bytes = Vec::with_capacity(size_guess);
        encode(&piece.batch, &mut bytes);
        size_guess = bytes.len() + bytes.len() / 8;
        // It fails only if the writer has gone, with an error of its own.
        let _ = piece.encoded.send(bytes);
    }
}

fn write_pieces(encoded: Receiver<Encoded>, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    for piece in encoded {
        let bytes = piece?
            .recv()
            .map_err(|_| Error::internal("a thread ended before its piece was encoded"))?;
        write(&bytes)?;
    }
    Ok(())
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    Error::internal(format!("panic while encoding: {text}"))
}
