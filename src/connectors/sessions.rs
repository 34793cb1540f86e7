//! Connections to database servers, used again. Each lives on a thread of its own with a runtime of its own:
//! rows are then read and turned into batches without waking another thread for each packet.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tracing::warn;

use crate::connectors::BatchStream;
use crate::connectors::CancelOnDrop;
use crate::connectors::Purpose;
use crate::connectors::permits::Permits;
use crate::connectors::rows::Rows;
use crate::connectors::rows::channel;
use crate::connectors::stopped;
use crate::error::Result;
use crate::query::Statement;

/// A connection that nobody uses for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long a database has to say that it stopped a query.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A kind of database server: how to reach it, ask it and stop it.
pub(super) trait Server: Send + Sync + 'static {
    type Connection;

    async fn connect(&self) -> Result<Self::Connection>;

    /// Whether a connection that was used before still is one.
    async fn is_open(&self, connection: &mut Self::Connection) -> bool;

    /// Runs a statement to its end and leaves the connection as it was.
    async fn run(&self, connection: &mut Self::Connection, task: &Task, rows: &mut Rows) -> Result<()>;

    /// Stops what the connection does, and returns when the database has.
    async fn stop(&self, connection: Self::Connection);
}

/// What a session is to run.
pub(super) struct Task {
    pub(super) statement: Statement,
    pub(super) purpose: Purpose,
}

/// A task on its way to a session.
struct Order {
    task: Task,
    rows: Rows,
    /// Turns true when the query is to stop.
    stop: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
}

type Idle = Mutex<Vec<mpsc::UnboundedSender<Order>>>;

/// The connections to one source.
pub(super) struct Sessions<S> {
    server: Arc<S>,
    idle: Arc<Idle>,
    permits: Permits,
}

impl<S: Server> Sessions<S> {
    pub(super) fn new(server: S, permits: Permits) -> Self {
        Self {
            server: Arc::new(server),
            idle: Arc::default(),
            permits,
        }
    }

    pub(super) fn server(&self) -> &S {
        &self.server
    }

    /// How many connections there may be.
    pub(super) fn permits(&self) -> &Permits {
        &self.permits
    }

    /// Runs a statement as soon as one of the source's connections is free.
    pub(super) async fn query(&self, statement: &Statement, purpose: Purpose) -> Result<BatchStream> {
        let permit = self.permits.one().await?;
        let (rows, answer) = channel();
        let (stop_sender, stop) = watch::channel(false);
        let cancel_on_drop = CancelOnDrop::new(move || {
            stop_sender.send_replace(true);
        });
        self.give(Order {
            task: Task {
                statement: statement.clone(),
                purpose,
            },
            rows,
            stop,
            permit,
        })?;
        let (schema, batches) = answer.wait().await?;
        Ok(BatchStream {
            schema,
            batches,
            cancel_on_drop,
        })
    }

    /// Hands a task to a session that waits for one, or to a new one.
    fn give(&self, order: Order) -> Result<()> {
        let mut order = order;
        while let Some(session) = { lock(&self.idle).pop() } {
            match session.send(order) {
                Ok(()) => return Ok(()),
                // It has just ended.
                Err(mpsc::error::SendError(unsent)) => order = unsent,
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (server, idle) = (self.server.clone(), self.idle.clone());
        let thread = std::thread::Builder::new().name("session".to_owned());
        thread.spawn(move || runtime.block_on(session(&*server, &idle, order)))?;
        Ok(())
    }
}

/// One connection's life: a task after the other, until there are none for a while or one goes wrong.
async fn session<S: Server>(server: &S, idle: &Idle, first: Order) {
    let mut connection = None;
    let mut next = Some(first);
    while let Some(order) = next.take() {
        connection = do_order(server, connection, order).await;
        if connection.is_none() {
            return;
        }
        let (sender, mut receiver) = mpsc::unbounded_channel();
        lock(idle).push(sender.clone());
        next = tokio::time::timeout(IDLE_MAX, receiver.recv())
            .await
            .ok()
            .flatten();
        if next.is_none() {
            lock(idle).retain(|waiting| !waiting.same_channel(&sender));
            // Somebody may have found it just before.
            next = receiver.try_recv().ok();
        }
    }
}

/// Does one task. What is left of the connection is as good as new.
async fn do_order<S: Server>(
    server: &S,
    connection: Option<S::Connection>,
    order: Order,
) -> Option<S::Connection> {
    let Order {
        task,
        mut rows,
        mut stop,
        permit,
    } = order;
    let mut connection = connection;
    let outcome = {
        let run = async {
            if let Some(used) = &mut connection
                && !server.is_open(used).await
            {
                connection = None;
            }
            let connection = match &mut connection {
                Some(connection) => connection,
                none => none.insert(server.connect().await?),
            };
            server.run(connection, &task, &mut rows).await
        };
        tokio::select! {
            outcome = run => outcome,
            // An error means that the sender is gone, which is a stop too.
            _ = stop.wait_for(|stop| *stop) => Err(stopped()),
        }
    };
    let is_done = outcome.is_ok();
    rows.end(outcome).await;
    if !is_done && let Some(connection) = connection.take() {
        // Where nothing comes through, its place is not kept from others for that.
        let stopped = tokio::time::timeout(STOP_TIMEOUT, server.stop(connection)).await;
        if stopped.is_err() {
            warn!("a database has not answered that it stopped a query");
        }
    }
    drop(permit);
    connection
}

fn lock(idle: &Idle) -> MutexGuard<'_, Vec<mpsc::UnboundedSender<Order>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
