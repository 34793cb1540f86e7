//! The embedded engine: the warehouse file of the data folder.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use arrow::array::Array as _;
use arrow::array::ArrayRef;
use arrow::array::StructArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::record_batch::RecordBatchOptions;
use bytesize::ByteSize;
use chrono::NaiveDate;
use duckdb::Config;
use duckdb::Connection;
use duckdb::InterruptHandle;
use duckdb::core::LogicalTypeHandle;
use duckdb::core::LogicalTypeId;
use duckdb::params_from_iter;
use duckdb::types::Decimal;
use duckdb::types::TimeUnit as DuckTimeUnit;
use duckdb::types::Value;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::connectors::BatchStream;
use crate::connectors::CancelOnDrop;
use crate::connectors::guard;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::query::Bind;
use crate::query::Statement;
use crate::query::ValueCheck;

/// How many chunks of 2,048 rows may wait between the engine and the reader.
const CHUNKS_IN_FLIGHT: usize = 16;

/// How soon a query that was told to stop is told so again.
const INTERRUPT_EVERY: Duration = Duration::from_millis(20);

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

/// The open warehouse. Cheap to clone; all clones are one database.
pub(crate) struct Warehouse {
    connection: Mutex<Connection>,
}

impl Warehouse {
    /// Opens the file, making it if need be, with every way out of it closed for good.
    pub(crate) fn open(
        path: &Path,
        spill_dir: &Path,
        memory_max: ByteSize,
        threads: usize,
    ) -> Result<Arc<Self>> {
        fs::create_dir_all(spill_dir)?;
        let connection = Connection::open_with_flags(path, Config::default()).map_err(|error| {
            Error::new(
                ErrorCode::Conflict,
                format!("cannot open `{}`: {}", path.display(), message(&error)),
            )
        })?;
        let settings = format!(
            "set memory_limit = '{}B';
             set threads = {threads};
             set temp_directory = '{}';
             set autoinstall_known_extensions = false;
             set autoload_known_extensions = false;
             set TimeZone = 'UTC';
             set enable_external_access = false;
             set lock_configuration = true;",
            memory_max.as_u64(),
            spill_dir.display().to_string().replace('\'', "''"),
        );
        connection.execute_batch(&settings).map_err(Error::internal)?;
        Ok(Arc::new(Self {
            connection: Mutex::new(connection),
        }))
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
        let connection = self.connect()?;
        let interrupt = Arc::new(Interrupt::new(&connection));
        let interrupt_on_drop = interrupt.clone();
        let cancel_on_drop = CancelOnDrop::new(move || interrupt_on_drop.stop());
        let (schema_sender, schema_receiver) = oneshot::channel();
        let (sender, batches) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let statement = statement.clone();
        let running = Running {
            interrupt,
            connection,
        };
        tokio::task::spawn_blocking(move || {
            let mut schema_sender = Some(schema_sender);
            if let Err(error) = run(&running.connection, &statement, &mut schema_sender, &sender) {
                match schema_sender.take() {
                    // Nobody waits any more; the query was given up.
                    Some(waiting) => drop(waiting.send(Err(error))),
                    None => drop(sender.blocking_send(Err(error))),
                }
            }
        });
        let schema = schema_receiver
            .await
            .map_err(|_| Error::internal("the query's thread ended without an answer"))??;
        Ok(BatchStream {
            schema,
            batches,
            cancel_on_drop,
        })
    }
}

/// Stops a query from another thread, but never once its connection is being closed:
/// the crate's own handle would then reach into freed memory.
struct Interrupt(Mutex<Option<Arc<InterruptHandle>>>);

impl Interrupt {
    fn new(connection: &Connection) -> Self {
        Self(Mutex::new(Some(connection.interrupt_handle())))
    }

    /// Interrupts until the query has let go of its connection: the engine forgets an interrupt
    /// that comes just before a query starts.
    fn stop(self: Arc<Self>) {
        if self.interrupt() {
            std::thread::spawn(move || {
                while self.interrupt() {
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
struct Running {
    interrupt: Arc<Interrupt>,
    connection: Connection,
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

type SchemaSender = oneshot::Sender<Result<SchemaRef>>;

fn run(
    connection: &Connection,
    statement: &Statement,
    schema_sender: &mut Option<SchemaSender>,
    sender: &mpsc::Sender<Result<RecordBatch>>,
) -> Result<()> {
    guard::check(connection, &statement.sql)?;
    connection
        .execute_batch("begin transaction read only")
        .map_err(failed)?;
    for check in &statement.checks {
        check_value(connection, check)?;
    }
    let binds = statement.binds.iter().map(value).collect::<Result<Vec<_>>>()?;
    let mut prepared = connection.prepare(&statement.sql).map_err(failed)?;
    let mut schema = start(&mut prepared, &binds)?;
    if let Some(sql) = with_text_columns(&prepared, &schema, &statement.sql) {
        prepared = connection.prepare(&sql).map_err(failed)?;
        schema = start(&mut prepared, &binds)?;
    }
    let plain = Arc::new(plain_schema(&schema));
    if let Some(waiting) = schema_sender.take()
        && waiting.send(Ok(plain.clone())).is_err()
    {
        return Ok(());
    }
    // The iterator of the crate panics on an error in mid-stream; this returns it.
    while let Some(chunk) = prepared.step().map_err(failed)? {
        if sender.blocking_send(plain_batch(&chunk, &plain)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn start(prepared: &mut duckdb::Statement, binds: &[Value]) -> Result<SchemaRef> {
    let rows = prepared.stream_arrow(params_from_iter(binds)).map_err(failed)?;
    Ok(rows.get_schema())
}

fn check_value(connection: &Connection, check: &ValueCheck) -> Result<()> {
    guard::check(connection, &check.values_sql)?;
    let sql = format!(
        "select exists (select 1 from ({}\n) as allowed(key) where key = $1)",
        check.values_sql
    );
    let found: bool = connection
        .query_row(&sql, [value(&check.value)?], |row| row.get(0))
        .map_err(failed)?;
    match found {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "filter `{}` must be one of the values that its `values_sql` lists",
            check.filter
        ))),
    }
}

/// The same query with each column that Arrow cannot hold exactly cast to text, if there is any.
fn with_text_columns(prepared: &duckdb::Statement, schema: &Schema, sql: &str) -> Option<String> {
    let is_text: Vec<bool> = (0..schema.fields().len())
        .map(|index| needs_text(&prepared.column_logical_type(index)))
        .collect();
    if !is_text.contains(&true) {
        return None;
    }
    let columns: Vec<String> = is_text
        .iter()
        .zip(schema.fields())
        .enumerate()
        .map(|(index, (is_text, field))| {
            let name = quote_identifier(field.name());
            match is_text {
                true => format!("cast(c{index} as varchar) as {name}"),
                false => format!("c{index} as {name}"),
            }
        })
        .collect();
    let aliases: Vec<String> = (0..columns.len()).map(|index| format!("c{index}")).collect();
    Some(format!(
        "select {} from (\n{sql}\n) as report({})",
        columns.join(", "),
        aliases.join(", ")
    ))
}

fn needs_text(logical_type: &LogicalTypeHandle) -> bool {
    TEXT_TYPES.contains(&logical_type.id())
        || (0..logical_type.num_children()).any(|index| needs_text(&logical_type.child(index)))
}

fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Enumerations become plain text: their dictionaries differ from chunk to chunk in other engines.
fn plain_schema(schema: &Schema) -> Schema {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), plain_type(field.data_type()), true))
        .collect();
    Schema::new(fields)
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        other => other.clone(),
    }
}

fn plain_batch(chunk: &StructArray, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = chunk
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() {
            DataType::Dictionary(_, _) => Ok(cast(column, field.data_type())?),
            _ => Ok(column.clone()),
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(chunk.len()));
    Ok(RecordBatch::try_new_with_options(
        schema.clone(),
        columns,
        &options,
    )?)
}

fn value(bind: &Bind) -> Result<Value> {
    Ok(match bind {
        Bind::Null => Value::Null,
        Bind::Text(text) => Value::Text(text.clone()),
        Bind::Integer(integer) => Value::BigInt(*integer),
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
fn failed(error: duckdb::Error) -> Error {
    let message = message(&error);
    if message.starts_with("INTERRUPT") {
        return Error::new(ErrorCode::Cancelled, "the query was stopped");
    }
    Error::new(ErrorCode::SourceFailed, message)
}

/// The engine's message without what the crate wraps around it.
pub(crate) fn message(error: &duckdb::Error) -> String {
    match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => message.trim().to_owned(),
        other => other.to_string(),
    }
}
