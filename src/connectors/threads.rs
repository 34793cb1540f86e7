//! Threads for what blocks on an engine, used again: starting one takes as long as a small query.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::mpsc;
use std::thread;

/// Deep expressions are bound by recursion; the engine counts on the stack of a main thread.
const STACK_BYTES: usize = 16 << 20;
/// More than this many do not wait for work.
const IDLE_MAX: usize = 16;

type Task = Box<dyn FnOnce() + Send>;
type Idle = Mutex<Vec<mpsc::Sender<Task>>>;

/// Threads of an engine. Those without work end when this is dropped.
#[derive(Default)]
pub(super) struct Threads(Arc<Idle>);

impl Threads {
    /// Runs a task at once, on a thread that waits for one or on a new one.
    pub(super) fn run(&self, task: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut task: Task = Box::new(task);
        while let Some(thread) = lock(&self.0).pop() {
            match thread.send(task) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(unsent)) => task = unsent,
            }
        }
        let idle = Arc::downgrade(&self.0);
        let thread = thread::Builder::new()
            .name("query".to_owned())
            .stack_size(STACK_BYTES);
        thread.spawn(move || work(task, &idle)).map(drop)
    }
}

/// Does one task after another, as long as there may be more.
fn work(first: Task, idle: &Weak<Idle>) {
    first();
    while let Some(next) = wait(idle) {
        let Ok(task) = next.recv() else {
            return;
        };
        task();
    }
}

/// Where the next task will come from; nowhere once the engine is gone or enough threads wait.
fn wait(idle: &Weak<Idle>) -> Option<mpsc::Receiver<Task>> {
    let idle = idle.upgrade()?;
    let mut idle = lock(&idle);
    if idle.len() >= IDLE_MAX {
        return None;
    }
    let (sender, receiver) = mpsc::channel();
    idle.push(sender);
    Some(receiver)
}

fn lock(idle: &Idle) -> MutexGuard<'_, Vec<mpsc::Sender<Task>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The thread that a task ran on, once it is ready for the next.
    fn thread_of(threads: &Threads) -> thread::ThreadId {
        let (sender, receiver) = mpsc::channel();
        threads
            .run(move || sender.send(thread::current().id()).unwrap())
            .unwrap();
        let id = receiver.recv().unwrap();
        while lock(&threads.0).is_empty() {
            thread::yield_now();
        }
        id
    }

    #[test]
    fn thread_is_used_again() {
        let threads = Threads::default();
        assert_eq!(thread_of(&threads), thread_of(&threads));
    }

    #[test]
    fn panic_in_a_task_ends_its_thread_alone() {
        let threads = Threads::default();
        let first = thread_of(&threads);
        let (sender, receiver) = mpsc::channel::<()>();
        threads
            .run(move || {
                let _sender = sender;
                panic!("on purpose");
            })
            .unwrap();
        assert!(receiver.recv().is_err());
        assert_ne!(thread_of(&threads), first);
    }

    #[test]
    fn idle_threads_end_with_their_engine() {
        let threads = Threads::default();
        let (sender, receiver) = mpsc::channel::<()>();
        thread_local!(static KEPT: std::cell::RefCell<Option<mpsc::Sender<()>>> = const { std::cell::RefCell::new(None) });
        threads.run(move || KEPT.set(Some(sender))).unwrap();
        drop(threads);
        assert!(receiver.recv().is_err(), "the thread has dropped what it kept");
    }
}
