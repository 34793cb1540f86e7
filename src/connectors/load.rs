//! Batches in, rows of a table out: what importing into any kind of database has in common.
//! Readers of the table see it as it was or as it will be, never half of it.

use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::Schema;
use arrow::datatypes::TimeUnit;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;

use crate::connectors::BATCHES_IN_FLIGHT;
use crate::connectors::Batches;
use crate::connectors::Made;
use crate::connectors::Purpose;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// The table in which a database remembers the imports that added to its tables, so that an import
/// that is done once more after a crash adds nothing twice.
pub(super) const ONCE_TABLE: &str = "holistics_imports";
/// Days after which it need not remember them.
pub(super) const ONCE_DAYS: u32 = 30;

/// A table that rows go to.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    pub(crate) mode: Mode,
    /// Names the work: what was done under it is not done again.
    pub(crate) run: String,
    pub(crate) purpose: Purpose,
}

impl Destination {
    /// The table as messages name it.
    pub(crate) fn shown(&self) -> String {
        match &self.schema {
            Some(schema) => format!("`{schema}.{}`", self.table),
            None => format!("`{}`", self.table),
        }
    }

    /// A table of the same schema, in quotes.
    pub(super) fn qualified(&self, table: &str, quote: fn(&str) -> String) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(table)),
            None => quote(table),
        }
    }

    /// A name for a table of the same schema that is not there yet.
    pub(super) fn staging(&self) -> String {
        let run: String = self
            .run
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(24)
            .collect();
        format!("holistics_import_{run}")
    }

    /// Whether doing it again after it was done would change something.
    pub(super) fn is_once(&self) -> bool {
        self.mode != Mode::Replace
    }

    pub(super) fn is_there_already(&self) -> Error {
        let message = format!(
            "there is a table {} already, and the import's mode is `fail`",
            self.shown()
        );
        Error::new(ErrorCode::Conflict, message)
    }

    /// Triggers, rules and conflict clauses of a table can swallow rows without an error.
    pub(super) fn check_all_there(&self, rows: u64, arrived: u64) -> Result<()> {
        if rows == arrived {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::Conflict,
            format!(
                "{arrived} of {rows} rows would be in {}: a trigger, a rule or a conflict clause of the table keeps the others out",
                self.shown()
            ),
        ))
    }

    /// Somebody has made it, or altered it, while the file was read.
    pub(super) fn has_changed(&self) -> Error {
        let message = format!(
            "{} was changed while the file was read: import it again",
            self.shown()
        );
        Error::new(ErrorCode::Conflict, message).worth_another_try()
    }

    pub(super) fn is_referred_to(&self, other: &str) -> Error {
        let message = format!(
            "{} cannot be replaced, since a foreign key of `{other}` refers to it: append to it",
            self.shown()
        );
        Error::new(ErrorCode::Conflict, message)
    }

    pub(super) fn is_no_table(&self, what: &str) -> Error {
        let message = format!("{} is {what}: imports go into tables", self.shown());
        Error::new(ErrorCode::Conflict, message)
    }
}

/// Which of a file's columns go where in a table that is there.
pub(super) fn check_names(destination: &Destination, file: &[&str], table: &[&str]) -> Result<()> {
    let unknown: Vec<String> = file
        .iter()
        .filter(|name| !table.contains(name))
        .map(|name| format!("`{name}`"))
        .collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "table {} has no column {}; it has {}",
            destination.shown(),
            unknown.join(", "),
            table.join(", ")
        ))),
    }
}

/// Asks how many values of a column are of a kind that the database would change, and for the least of them as text.
pub(super) fn count_changed(value: &str, text: &str, table: &str, is_changed: &str) -> String {
    format!("select count(*), min(cast({value} as {text})) from {table} where {is_changed}")
}

/// Why a file does not go into a column that keeps less of its values than they have.
pub(super) fn would_round(column: &str, declared: &str, count: i64, example: &str) -> Error {
    let values = match count {
        1 => "a value".to_owned(),
        count => format!("{count} values"),
    };
    Error::invalid(format!(
        "column `{column}` is {declared} and would not keep {values} of the file as they are, such as `{example}`"
    ))
}

/// The sending side of [`Batches`], for who makes them outside of a database.
pub(crate) struct BatchSender(mpsc::Sender<Result<Made>>);

impl BatchSender {
    /// Waits until there is room; an error if nobody takes batches any more.
    pub(crate) fn blocking_send(&self, batch: RecordBatch) -> Result<()> {
        self.send(Ok(Made::Batch(batch)))
    }

    /// Says that all batches were sent, or why they could not be. Without it they are not all there.
    pub(crate) fn end(self, outcome: Result<()>) -> Result<()> {
        self.send(outcome.map(|()| Made::End))
    }

    fn send(&self, made: Result<Made>) -> Result<()> {
        self.0
            .blocking_send(made)
            .map_err(|_| Error::new(ErrorCode::Cancelled, "the import was stopped"))
    }
}

impl Batches {
    /// Takes all batches and does nothing with them but count their rows: they are in the table already,
    /// and whoever reads the file still has its rejected rows to write down.
    pub(super) fn blocking_skip(mut self) -> Result<u64> {
        let mut rows = 0;
        while let Some(batch) = self.blocking_next()? {
            rows += batch.num_rows() as u64;
        }
        Ok(rows)
    }

    pub(super) async fn skip(self) -> Result<u64> {
        let skipping = tokio::task::spawn_blocking(move || self.blocking_skip());
        skipping.await.map_err(Error::internal)?
    }

    pub(crate) fn channel() -> (BatchSender, Self) {
        let (sender, receiver) = mpsc::channel(BATCHES_IN_FLIGHT);
        (BatchSender(sender), Self::new(receiver))
    }
}

/// How a database declares a column of a type that imports make.
pub(super) struct TypeNames {
    pub(super) boolean: &'static str,
    pub(super) integer: &'static str,
    pub(super) decimal: &'static str,
    pub(super) double: &'static str,
    pub(super) date: &'static str,
    pub(super) timestamp: &'static str,
    pub(super) timestamptz: &'static str,
    pub(super) text: &'static str,
}

impl TypeNames {
    pub(super) fn of(&self, field: &Field) -> Result<String> {
        Ok(match field.data_type() {
            DataType::Boolean => self.boolean.to_owned(),
            DataType::Int64 => self.integer.to_owned(),
            DataType::Decimal128(precision, scale) => format!("{}({precision},{scale})", self.decimal),
            DataType::Float64 => self.double.to_owned(),
            DataType::Date32 => self.date.to_owned(),
            DataType::Timestamp(TimeUnit::Microsecond, None) => self.timestamp.to_owned(),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => self.timestamptz.to_owned(),
            DataType::Utf8 => self.text.to_owned(),
            other => return Err(Error::internal(format!("no column can be made for {other}"))),
        })
    }

    /// The columns of a table, in parentheses.
    pub(super) fn columns(
        &self,
        fields: &[std::sync::Arc<Field>],
        quote: fn(&str) -> String,
    ) -> Result<String> {
        let columns = fields
            .iter()
            .map(|field| Ok(format!("{} {}", quote(field.name()), self.of(field)?)));
        Ok(format!("({})", columns.collect::<Result<Vec<_>>>()?.join(", ")))
    }
}

/// The types of a table's columns are those for which the file was read; else it is to be read once more.
pub(super) fn check_types<'a>(
    destination: &Destination,
    schema: &Schema,
    columns: impl IntoIterator<Item = (&'a str, Option<&'a DataType>)>,
) -> Result<()> {
    for (name, wanted) in columns {
        let Ok(field) = schema.field_with_name(name) else {
            continue;
        };
        let fits = match (field.data_type(), wanted.unwrap_or(&DataType::Utf8)) {
            (DataType::Timestamp(_, given), DataType::Timestamp(_, wanted)) => {
                given.is_some() == wanted.is_some()
            }
            (given, wanted) => given == wanted,
        };
        if !fits {
            return Err(destination.has_changed());
        }
    }
    Ok(())
}

/// What the columns of a file are called.
pub(super) fn names(schema: &Schema) -> Vec<&str> {
    let fields = schema.fields().iter();
    fields.map(|field| field.name().as_str()).collect()
}

/// Precision and scale of a type that is declared like `decimal(12,2)`; the scale may be left out.
pub(super) fn digits(declared: &str) -> Option<(u8, i8)> {
    let (_, rest) = declared.split_once('(')?;
    let (inner, _) = rest.split_once(')')?;
    let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
    Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
}

/// Names as a list of quoted identifiers.
pub(super) fn list(names: &[&str], quote: fn(&str) -> String) -> String {
    let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
    quoted.join(", ")
}
