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
use std::thread::ScopedJoinHandle;

use arrow::array::Array as _;
use arrow::array::ArrayRef;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::error::Error;
use crate::error::Result;

/// Appends the bytes of a batch.
pub(super) type Encode<'e> = &'e (dyn Fn(&RecordBatch, &mut Vec<u8>) + Sync);

/// Rows that one thread encodes at a time.
pub(super) struct Piece {
    pub(super) batch: RecordBatch,
    /// Counted over all batches, from 0.
    pub(super) first_row: u64,
}

/// A larger batch is encoded in pieces, so that all threads have work and memory stays small.
const PIECE_ROWS_MAX: usize = 8_192;
const PIECE_BYTES_MAX: usize = 4 << 20;

/// A piece of work, and where its outcome goes.
struct Task<I, T> {
    item: I,
    outcome: SyncSender<Result<T>>,
}

/// The outcome of each piece of work, in order, as soon as a thread has made it.
type Outcome<T> = Result<Receiver<Result<T>>>;

/// Calls `write` with the bytes of one piece after another; never with none.
/// The first error of `batches` or `write` ends everything and is returned, as is a panic on any thread.
pub(super) fn encode_in_order(
    schema: &Schema,
    batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    threads: usize,
    encode: Encode,
    mut write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let new_encoder = || {
        let mut size_guess = 0;
        move |piece: Piece| {
            let mut bytes = Vec::with_capacity(size_guess);
            encode(&piece.batch, &mut bytes);
            size_guess = bytes.len() + bytes.len() / 8;
            Ok(bytes)
        }
    };
    let pieces = Pieces::new(batches, schema.fields().len(), u64::MAX);
    in_order(pieces, threads, threads, &new_encoder, |bytes: Vec<u8>| {
        write(&bytes)
    })
}

/// Has each item worked on by one of several workers, and calls `write` with the outcomes in the items' order.
/// So many items as `ahead` may wait for a worker.
/// The first error of any of them ends everything and is returned, as is a panic on any thread.
pub(super) fn in_order<I: Send, T: Send, W: FnMut(I) -> Result<T>>(
    items: impl Iterator<Item = Result<I>> + Send,
    threads: usize,
    ahead: usize,
    new_worker: &(impl Fn() -> W + Sync),
    write: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let threads = threads.max(1);
    let (task_sender, task_receiver) = sync_channel::<Task<I, T>>(ahead);
    let (outcome_sender, outcome_receiver) = sync_channel::<Outcome<T>>(threads + 1);
    // Only the workers hold the receiver: when the last of them is gone, the reader's sends fail.
    let task_receiver = Arc::new(Mutex::new(task_receiver));
    thread::scope(|scope| {
        let mut handles = Vec::with_capacity(threads + 1);
        for _ in 0..threads {
            let tasks = Arc::clone(&task_receiver);
            handles.push(scope.spawn(move || {
                work(&tasks, new_worker());
                Ok(())
            }));
        }
        drop(task_receiver);
        handles.push(scope.spawn(move || {
            hand_out(items, &task_sender, &outcome_sender);
            Ok(())
        }));
        let written = write_outcomes(outcome_receiver, write);
        // Every handle is joined here, since the scope itself would pass a panic on.
        let mut outcome = Ok(());
        for handle in handles {
            outcome = outcome.and(joined(handle));
        }
        outcome.and(written)
    })
}

/// Runs `work` on a thread of its own, so that its panic becomes an error.
pub(super) fn on_one_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| joined(scope.spawn(work)))
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

/// Batches, cut to the pieces that threads work on.
pub(super) struct Pieces<B> {
    batches: B,
    columns: usize,
    section_rows: u64,
    first_row: u64,
    /// The batch at work, how many of its rows are done, and how many go into a piece.
    current: Option<(RecordBatch, usize, usize)>,
}

impl<B> Pieces<B> {
    /// No piece has rows on both sides of a multiple of `section_rows`.
    pub(super) fn new(batches: B, columns: usize, section_rows: u64) -> Self {
        Self {
            batches,
            columns,
            section_rows: section_rows.max(1),
            first_row: 0,
            current: None,
        }
    }
}

impl<B: Iterator<Item = Result<RecordBatch>>> Iterator for Pieces<B> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((batch, start, rows_max)) = self.current.take()
                && start < batch.num_rows()
            {
                let section_left = self.section_rows - self.first_row % self.section_rows;
                let rows = rows_max
                    .min(batch.num_rows() - start)
                    .min(usize::try_from(section_left).unwrap_or(usize::MAX));
                let piece = Piece {
                    batch: batch.slice(start, rows),
                    first_row: self.first_row,
                };
                self.first_row += rows as u64;
                self.current = Some((batch, start + rows, rows_max));
                return Some(Ok(piece));
            }
            let batch = match self.batches.next()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            if let Err(error) = check_columns(&batch, self.columns) {
                return Some(Err(error));
            }
            let rows_max = piece_rows(&batch);
            self.current = Some((batch, 0, rows_max));
        }
    }
}

fn piece_rows(batch: &RecordBatch) -> usize {
    let fitting = batch.num_rows().saturating_mul(PIECE_BYTES_MAX) / bytes_of(batch).max(1);
    fitting.clamp(1, PIECE_ROWS_MAX)
}

/// About how much memory the rows of a batch take, without what else its buffers hold.
pub(super) fn bytes_of(batch: &RecordBatch) -> usize {
    let of_column = |array: &ArrayRef| {
        let whole = || array.get_array_memory_size();
        let data = array.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| whole())
    };
    batch.columns().iter().map(of_column).sum()
}

/// Returns when the items end, at an error, or when nobody wants more.
fn hand_out<I, T>(
    items: impl Iterator<Item = Result<I>>,
    tasks: &SyncSender<Task<I, T>>,
    outcomes: &SyncSender<Outcome<T>>,
) {
    for item in items {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                // It fails only if the writer has gone, with an error of its own.
                let _ = outcomes.send(Err(error));
                return;
            }
        };
        let (outcome_sender, outcome_receiver) = sync_channel(1);
        let task = Task {
            item,
            outcome: outcome_sender,
        };
        if outcomes.send(Ok(outcome_receiver)).is_err() || tasks.send(task).is_err() {
            return;
        }
    }
}

fn work<I, T>(tasks: &Mutex<Receiver<Task<I, T>>>, mut worker: impl FnMut(I) -> Result<T>) {
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(task) = next() {
        // It fails only if the writer has gone, with an error of its own.
        let _ = task.outcome.send(worker(task.item));
    }
}

fn write_outcomes<T>(outcomes: Receiver<Outcome<T>>, mut write: impl FnMut(T) -> Result<()>) -> Result<()> {
    for outcome in outcomes {
        let made = outcome?
            .recv()
            .map_err(|_| Error::internal("a thread ended before its piece was encoded"))??;
        write(made)?;
    }
    Ok(())
}

/// What a thread has come to; its panic is an error.
pub(super) fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    match thread.join() {
        Ok(outcome) => outcome,
        Err(panic) => Err(panicked(panic.as_ref())),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    Error::internal(format!("panic while encoding: {text}"))
}
