//! The embedded engine: the warehouse file of the data folder.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use bytesize::ByteSize;
use chrono::NaiveDate;
use duckdb::AccessMode;
use duckdb::Config;
use duckdb::Connection;
use duckdb::core::LogicalTypeHandle;
use duckdb::core::LogicalTypeId;
use duckdb::params_from_iter;
use duckdb::types::Decimal;
use duckdb::types::TimeUnit as DuckTimeUnit;
use duckdb::types::Value;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tracing::debug;

use crate::connectors::BatchStream;
use crate::connectors::Batches;
use crate::connectors::CancelOnDrop;
use crate::connectors::Made;
use crate::connectors::duckdb_file::Leash;
use crate::connectors::duckdb_file::Registered;
use crate::connectors::guard;
use crate::connectors::guard::Passed;
use crate::connectors::interrupt::Interrupt;
use crate::connectors::interrupt::Running;
use crate::connectors::not_listed;
use crate::connectors::plain::plain_batch;
use crate::connectors::plain::plain_schema;
use crate::connectors::stopped;
use crate::connectors::threads::Threads;
use crate::connectors::with_text_columns;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::memo::OfText;
use crate::query::Bind;
use crate::query::Statement;
use crate::query::ValueCheck;

/// How many chunks of 2,048 rows may wait between the engine and the reader.
const CHUNKS_IN_FLIGHT: usize = 16;

/// The types that Arrow has no exact counterpart for; such a column arrives as the engine's text form.
const TEXT_TYPES: [LogicalTypeId; 7] = [
    LogicalTypeId::Bignum,
    LogicalTypeId::Bit,
    LogicalTypeId::Geometry,
    LogicalTypeId::TimeNs,
    LogicalTypeId::TimeTZ,
    LogicalTypeId::UHugeint,
    LogicalTypeId::Union,
];

/// The open warehouse.
pub(crate) struct Warehouse {
    connection: Mutex<Connection>,
    known: Known,
    threads: Threads,
    /// Who writes to a table holds its lock.
    tables: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Last, so that it goes when the file is closed.
    _registered: Option<Registered>,
}

/// Texts that the guard always lets through, and whether Arrow could hold all of their columns last time.
type Known = OfText<bool>;

impl Warehouse {
    /// Opens the file, making it if need be, with every way out of it closed for good.
    pub(crate) fn open(
        path: &Path,
        spill_dir: &Path,
        memory_max: ByteSize,
        threads: usize,
    ) -> Result<Arc<Self>> {
        let warehouse = Self::open_as(AccessMode::Automatic, path, spill_dir, memory_max, threads)?;
        Ok(Arc::new(warehouse))
    }

    pub(super) fn registered(self, registered: Registered) -> Arc<Self> {
        Arc::new(Self {
            _registered: Some(registered),
            ..self
        })
    }

    pub(super) fn open_as(
        mode: AccessMode,
        path: &Path,
        spill_dir: &Path,
        memory_max: ByteSize,
        threads: usize,
    ) -> Result<Self> {
        fs::create_dir_all(spill_dir)?;
        // From the start: a file of another kind is no reason to load, let alone fetch, what can read it.
        let config = Config::default()
            .access_mode(mode)
            .and_then(|config| config.enable_autoload_extension(false))
            .and_then(|config| config.with("temp_directory", spill_dir.display().to_string()))
            .and_then(|config| config.enable_external_access(false))
            .map_err(Error::internal)?;
        let connection = Connection::open_with_flags(path, config).map_err(|error| {
            Error::new(
                ErrorCode::Conflict,
                format!("cannot open `{}`: {}", path.display(), message(&error)),
            )
        })?;
        let settings = format!(
            "set arrow_output_version = '1.5';
             set memory_limit = '{}B';
             set threads = {threads};
             set lock_configuration = true;",
            memory_max.as_u64(),
        );
        // Only an engine with ICU knows of time zones; one without it, as the bundled build is, is in UTC.
        if let Err(error) = connection.execute_batch("set TimeZone = 'UTC'") {
            debug!(%error, "the engine has no time zones");
        }
        connection.execute_batch(&settings).map_err(Error::internal)?;
        Ok(Self {
            connection: Mutex::new(connection),
            known: Known::default(),
            threads: Threads::default(),
            tables: Mutex::default(),
            _registered: None,
        })
    }

    /// Held by who writes to a table.
    pub(super) fn table_lock(&self, table: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|_, lock| Arc::strong_count(lock) > 1);
        tables.entry(table.to_lowercase()).or_default().clone()
    }

    /// Does what blocks on the engine.
    pub(super) fn run_on_thread(&self, task: impl FnOnce() + Send + 'static) -> Result<()> {
        Ok(self.threads.run(task)?)
    }

    /// A connection of its own, for one job.
    pub(crate) fn connect(&self) -> Result<Connection> {
        let connection = self
            .connection
            .lock()
            .map_err(|_| Error::internal("a thread panicked while it opened a connection"))?;
        connection.try_clone().map_err(Error::internal)
    }

    /// Runs a statement. Rows come as the engine makes them, held back while nobody takes them.
    pub(crate) async fn query(self: &Arc<Self>, statement: &Statement) -> Result<BatchStream> {
        self.query_on(statement, None).await
    }

    pub(super) async fn query_on(
        self: &Arc<Self>,
        statement: &Statement,
        leash: Option<Leash>,
    ) -> Result<BatchStream> {
        let connection = self.connect()?;
        let interrupt = Arc::new(Interrupt::new(&connection));
        let watch = leash.as_ref().map(|leash| leash.watch(interrupt.clone()));
        let interrupt_on_drop = interrupt.clone();
        let cancel_on_drop = CancelOnDrop::new(move || interrupt_on_drop.clone().stop());
        let (schema_sender, schema_receiver) = oneshot::channel();
        let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let statement = statement.clone();
        let running = Running {
            interrupt,
            connection,
            warehouse: self.clone(),
        };
        self.threads.run(move || {
            let mut schema_sender = Some(schema_sender);
            let known = &running.warehouse.known;
            if let Err(error) = run(
                &running.connection,
                known,
                &statement,
                &mut schema_sender,
                &sender,
            ) {
                let error = Leash::why(leash.as_ref(), error);
                match schema_sender.take() {
                    // Nobody waits any more; the query was given up.
                    Some(waiting) => drop(waiting.send(Err(error))),
                    None => drop(sender.blocking_send(Err(error))),
                }
            }
            drop(watch);
        })?;
        let schema = schema_receiver
            .await
            .map_err(|_| Error::internal("the query's thread ended without an answer"))??;
        Ok(BatchStream {
            schema,
            batches: Batches::new(receiver),
            cancel_on_drop,
        })
    }
}

type SchemaSender = oneshot::Sender<Result<SchemaRef>>;

fn run(
    connection: &Connection,
    known: &Known,
    statement: &Statement,
    schema_sender: &mut Option<SchemaSender>,
    sender: &mpsc::Sender<Result<Made>>,
) -> Result<()> {
    let remembered = known.get_of(&statement.sql);
    let passed = match remembered {
        Some(_) => Passed::ByText,
        None => guard::check(connection, &statement.sql)?,
    };
    connection
        .execute_batch("begin transaction read only")
        .map_err(failed)?;
    for check in &statement.checks {
        check_values(connection, check)?;
    }
    let binds = statement.binds.iter().map(value).collect::<Result<Vec<_>>>()?;
    let open = |sql: &str| {
        let mut prepared = connection.prepare(sql).map_err(failed)?;
        let schema = start(&mut prepared, &binds)?;
        Ok::<_, Error>((prepared, schema))
    };
    // A table may have got other columns since it is known.
    let direct = match remembered {
        Some(true) => Some(open(&statement.sql)?).filter(|(prepared, schema)| is_exact(prepared, schema)),
        _ => None,
    };
    let ((prepared, schema), exact) = match direct {
        Some(opened) => (opened, true),
        None => {
            let sql = exact_sql(connection, &statement.sql, &binds)?;
            (open(&sql)?, sql == statement.sql)
        }
    };
    if passed == Passed::ByText && remembered != Some(exact) {
        known.set_of(&statement.sql, exact);
    }
    let plain = Arc::new(plain_schema(&schema));
    if let Some(waiting) = schema_sender.take()
        && waiting.send(Ok(plain.clone())).is_err()
    {
        return Ok(());
    }
    // The iterator of the crate panics on an error in mid-stream; this returns it.
    while let Some(chunk) = prepared.step().map_err(failed)? {
        let batch = plain_batch(&chunk, &plain)?;
        if sender.blocking_send(Ok(Made::Batch(batch))).is_err() {
            return Ok(());
        }
    }
    // Nobody may be waiting any more; then nobody needs to know.
    let _ = sender.blocking_send(Ok(Made::End));
    Ok(())
}

fn start(prepared: &mut duckdb::Statement, binds: &[Value]) -> Result<SchemaRef> {
    let rows = prepared.stream_arrow(params_from_iter(binds)).map_err(failed)?;
    Ok(rows.get_schema())
}

fn check_values(connection: &Connection, check: &ValueCheck) -> Result<()> {
    guard::check(connection, &check.values_sql)?;
    let given: Vec<String> = (1..=check.values.len())
        .map(|number| format!("(${number})"))
        .collect();
    // Text is compared with the key's text, so that a word beside numbers is no conversion error.
    let key = match check.values.first() {
        Some(Bind::Text(_)) => "cast(allowed.key as varchar)",
        _ => "allowed.key",
    };
    let sql = format!(
        "select count(*) from (values {}) as given(value)
         where not exists (select 1 from ({}\n) as allowed(key) where {key} = given.value)",
        given.join(", "),
        check.values_sql
    );
    let binds = check.values.iter().map(value).collect::<Result<Vec<_>>>()?;
    let strangers: i64 = connection
        .query_row(&sql, params_from_iter(binds), |row| row.get(0))
        .map_err(failed)?;
    match strangers {
        0 => Ok(()),
        _ => Err(not_listed(&check.filter)),
    }
}

/// The query itself, or, if Arrow cannot hold some of its columns exactly, the query with these cast to text.
/// The engine tells a query's types without running it when it is to return no rows.
fn exact_sql(connection: &Connection, sql: &str, binds: &[Value]) -> Result<String> {
    let probe = format!("select * from (\n{sql}\n) as report limit 0");
    let mut prepared = connection.prepare(&probe).map_err(failed)?;
    let schema = start(&mut prepared, binds)?;
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let is_text: Vec<bool> = (0..names.len())
        .map(|index| needs_text(&prepared.column_logical_type(index)))
        .collect();
    let text = with_text_columns(sql, &names, &is_text, "varchar");
    Ok(text.unwrap_or_else(|| sql.to_owned()))
}

/// Whether Arrow can hold all columns of a statement that has been started.
fn is_exact(prepared: &duckdb::Statement, schema: &Schema) -> bool {
    (0..schema.fields().len()).all(|index| !needs_text(&prepared.column_logical_type(index)))
}

fn needs_text(logical_type: &LogicalTypeHandle) -> bool {
    TEXT_TYPES.contains(&logical_type.id())
        || (0..logical_type.num_children()).any(|index| needs_text(&logical_type.child(index)))
}

fn value(bind: &Bind) -> Result<Value> {
    Ok(match bind {
        Bind::Null => Value::Null,
        Bind::Text(text) => Value::Text(text.clone()),
        // As a literal would be: the engine's date arithmetic, for one, takes no BIGINT.
        Bind::Integer(integer) => match i32::try_from(*integer) {
            Ok(integer) => Value::Int(integer),
            Err(_) => Value::BigInt(*integer),
        },
        Bind::Decimal(digits) => Value::Decimal(decimal(digits)?),
        Bind::Boolean(boolean) => Value::Boolean(*boolean),
        Bind::Date(date) => Value::Date32(days(*date)?),
        Bind::Datetime(datetime) => {
            Value::Timestamp(DuckTimeUnit::Microsecond, datetime.and_utc().timestamp_micros())
        }
    })
}

fn days(date: NaiveDate) -> Result<i32> {
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).map_err(Error::internal)
}

fn decimal(digits: &str) -> Result<Decimal> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let unscaled: i128 = format!("{whole}{fraction}").parse().map_err(Error::internal)?;
    let scale = u8::try_from(fraction.len()).map_err(Error::internal)?;
    // One digit before the point, so that the engine writes 0.10 and not .10 where it turns it into text.
    let width = unscaled
        .unsigned_abs()
        .to_string()
        .len()
        .max(fraction.len() + 1)
        .min(38);
    let width = u8::try_from(width).map_err(Error::internal)?;
    Decimal::new(width, scale, unscaled).map_err(|error| Error::internal(error.to_string()))
}

/// The engine's word on the report's own SQL is what its author needs.
pub(super) fn failed(error: duckdb::Error) -> Error {
    let message = message(&error);
    if message.starts_with("INTERRUPT") {
        // Should nobody have stopped it: what another thread of the engine met is told the next time.
        return stopped().worth_another_try();
    }
    if message.contains("decoding Variant columns is not supported") {
        return Error::new(
            ErrorCode::SourceFailed,
            "a VARIANT column cannot be handed out: cast it to VARCHAR or JSON",
        );
    }
    // The engine names its file, which is the operator's.
    let disk = match &message {
        message if message.contains("Read-only file system") => ErrorKind::ReadOnlyFilesystem,
        message if message.contains("No space left on device") => ErrorKind::StorageFull,
        _ => return Error::new(ErrorCode::SourceFailed, message),
    };
    io::Error::new(disk, message).into()
}

/// The engine's message without what the crate wraps around it.
pub(crate) fn message(error: &duckdb::Error) -> String {
    match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => message.trim().to_owned(),
        other => other.to_string(),
    }
}
