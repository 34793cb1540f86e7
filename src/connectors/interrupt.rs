//! Stopping a query of the embedded engine from another thread.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use duckdb::Connection;
use duckdb::InterruptHandle;
use tracing::warn;

use crate::connectors::duckdb::Warehouse;

/// How soon a query that was told to stop is told so again.
const INTERRUPT_EVERY: Duration = Duration::from_millis(20);
/// A query that goes on for so long after that uses processors that nobody sees otherwise.
const WARN_AFTER: Duration = Duration::from_secs(5);

/// Stops a query from another thread, but never once its connection is being closed:
/// the crate's own handle would then reach into freed memory.
pub(super) struct Interrupt(Mutex<Option<Arc<InterruptHandle>>>);

impl Interrupt {
    pub(super) fn new(connection: &Connection) -> Self {
        Self(Mutex::new(Some(connection.interrupt_handle())))
    }

    /// Interrupts until the query has let go of its connection: the engine forgets an interrupt
    /// that comes just before a query starts.
    pub(super) fn stop(self: Arc<Self>) {
        if self.interrupt() {
            std::thread::spawn(move || {
                let told = Instant::now();
                let mut warned = false;
                while self.interrupt() {
                    if !warned && told.elapsed() > WARN_AFTER {
                        warn!("a query was told to stop and has not: the engine looks only between steps");
                        warned = true;
                    }
                    std::thread::sleep(INTERRUPT_EVERY);
                }
            });
        }
    }

    /// Says whether there was still something to interrupt.
    fn interrupt(&self) -> bool {
        let handle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handle.as_ref() {
            handle.interrupt();
        }
        handle.is_some()
    }
}

/// A connection in use. Takes its interrupt back before it closes.
pub(super) struct Running {
    pub(super) interrupt: Arc<Interrupt>,
    pub(super) connection: Connection,
    /// Goes after the connection: a file is closed when its warehouse is gone.
    pub(super) warehouse: Arc<Warehouse>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.interrupt
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}
