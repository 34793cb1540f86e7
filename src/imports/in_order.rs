//! Has items worked on by several threads and hands the outcomes on in the items' order.
//! A few items are in flight at a time; the slowest of source, workers and receiver sets the pace.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::error::Error;
use crate::error::Result;

/// A piece of work, and where its outcome goes.
struct Task<I, T> {
    item: I,
    outcome: SyncSender<T>,
}

/// One thread a state, which stays with its thread; the first error of `deliver` ends everything.
pub(super) fn in_order<I: Send, S: Send, T: Send>(
    items: impl Iterator<Item = I> + Send,
    states: &mut [S],
    work: &(impl Fn(&mut S, I) -> T + Sync),
    mut deliver: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let (task_sender, task_receiver) = sync_channel::<Task<I, T>>(1);
    let (outcome_sender, outcome_receiver) = sync_channel::<Receiver<T>>(states.len() + 1);
    // Only the workers hold the receiver: when the last of them is gone, the reader's sends fail.
    let task_receiver = Arc::new(Mutex::new(task_receiver));
    thread::scope(|scope| {
        let mut handles = Vec::with_capacity(states.len() + 1);
        for state in states {
            let tasks = Arc::clone(&task_receiver);
            handles.push(scope.spawn(move || {
                let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(task) = next() {
                    // It fails only if the receiver has gone, with an error of its own.
                    let _ = task.outcome.send(work(state, task.item));
                }
            }));
        }
        drop(task_receiver);
        handles.push(scope.spawn(move || {
            for item in items {
                let (outcome, outcomes) = sync_channel(1);
                let task = Task { item, outcome };
                if outcome_sender.send(outcomes).is_err() || task_sender.send(task).is_err() {
                    return;
                }
            }
        }));
        let delivered = outcome_receiver.into_iter().try_for_each(|outcome| {
            let gone = |_| Error::internal("a thread ended before its piece was done");
            deliver(outcome.recv().map_err(gone)?)
        });
        // Every handle is joined here, since the scope itself would pass a panic on.
        let mut panicked = false;
        for handle in handles {
            panicked |= handle.join().is_err();
        }
        if panicked {
            return Err(Error::internal("panic while reading a file"));
        }
        delivered
    })
}
