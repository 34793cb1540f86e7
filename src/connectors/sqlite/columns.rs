//! Values of SQLite, gathered into columns. Where a column's values turn out to be of another kind than
//! was thought, the rest of the rows is only looked at: the next attempt then knows every such column.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use rusqlite::Row;
use rusqlite::types::Value;
use rusqlite::types::ValueRef;

use crate::connectors::BATCH_BYTES;
use crate::connectors::BATCH_ROWS;
use crate::connectors::sqlite::cells::Casts;
use crate::connectors::sqlite::cells::cell;
use crate::connectors::sqlite::cells::described;
use crate::connectors::sqlite::cells::is_utf8;
use crate::connectors::sqlite::cells::kept;
use crate::connectors::sqlite::kinds::Kind;
use crate::connectors::sqlite::kinds::Seen;
use crate::connectors::sqlite::values::Values;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::source::Mismatch;

/// What a number counts for in the size of a batch.
const NUMBER_BYTES: usize = 8;

/// A column of a query, and what is known of its values.
#[derive(Clone, Debug)]
pub(super) struct Known {
    name: String,
    /// Empty where there is none.
    declared: String,
    learned: Learned,
}

#[derive(Clone, Copy, Debug)]
enum Learned {
    /// As its declared type is understood.
    Declared(Kind),
    /// Its type says nothing; it has had such values.
    Seen(Seen),
    /// It has had values that are not of its declared type.
    Misfits,
}

impl Known {
    pub(super) fn new(name: &str, declared: Option<&str>, mismatch: Mismatch) -> Self {
        let declared = declared.unwrap_or_default();
        Self {
            name: name.to_owned(),
            declared: declared.to_owned(),
            learned: match Kind::declared(declared) {
                // Text stays text, whatever else is in between.
                Some(Kind::Text | Kind::Json) if mismatch == Mismatch::Text => Learned::Misfits,
                Some(kind) => Learned::Declared(kind),
                None => Learned::Seen(Seen::Nothing),
            },
        }
    }

    /// With what an earlier run has learned, if it was of the same column.
    pub(super) fn or_earlier(self, earlier: &Self) -> Self {
        match self.name == earlier.name && self.declared == earlier.declared {
            true => earlier.clone(),
            false => self,
        }
    }

    /// `None` until its first values are there.
    fn kind(&self) -> Option<Kind> {
        match self.learned {
            Learned::Declared(kind) => Some(kind),
            Learned::Misfits | Learned::Seen(Seen::Several) => Some(Kind::Any),
            Learned::Seen(_) => None,
        }
    }

    fn misfit(&self, row: u64, value: ValueRef<'_>) -> Error {
        let why = match self.learned {
            Learned::Seen(_) => "cannot be handed out as text".to_owned(),
            _ => format!("is not of the declared type `{}`", self.declared),
        };
        Error::new(
            ErrorCode::SourceFailed,
            format!(
                "column `{}`, row {row}: {} {why}: convert it in the report's SQL, or set `mismatch` of the source to `text`",
                self.name,
                described(value)
            ),
        )
    }
}

/// The rows that are no batch yet.
pub(super) struct Columns<'c> {
    columns: Vec<Column>,
    casts: Casts<'c>,
    mismatch: Mismatch,
    /// Rows of the whole query.
    row: u64,
    rows: usize,
    bytes: usize,
    /// Whether a value was of another kind; then there are no more batches.
    is_misfit: bool,
}

struct Column {
    known: Known,
    /// `None` while it is not decided.
    kind: Option<Kind>,
    /// The values until then.
    first: Vec<Value>,
    values: Values,
}

impl<'c> Columns<'c> {
    pub(super) fn new(known: Vec<Known>, casts: Casts<'c>, mismatch: Mismatch) -> Self {
        let columns = known.into_iter().map(|known| {
            let kind = known.kind();
            Column {
                known,
                kind,
                first: Vec::new(),
                values: Values::new(kind.unwrap_or(Kind::Nothing)),
            }
        });
        Self {
            columns: columns.collect(),
            casts,
            mismatch,
            row: 0,
            rows: 0,
            bytes: 0,
            is_misfit: false,
        }
    }

    /// Whether the kinds of all columns are decided.
    pub(super) fn are_decided(&self) -> bool {
        self.columns.iter().all(|column| column.kind.is_some())
    }

    /// Decides the rest by the values that have come.
    pub(super) fn decide(&mut self) -> Result<SchemaRef> {
        let mut fields = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            let kind = column.decide(&mut self.casts)?;
            fields.push(kind.field(&column.known.name));
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    pub(super) fn push(&mut self, row: &Row<'_>) -> Result<()> {
        self.row += 1;
        let is_strict = self.mismatch == Mismatch::Error;
        for (index, column) in self.columns.iter_mut().enumerate() {
            let value = row.get_ref(index).map_err(Error::internal)?;
            let fits = column.push(value, self.is_misfit, &mut self.casts)?;
            if is_strict && ((!fits && column.is_declared()) || (column.takes_anything() && !is_utf8(value)))
            {
                return Err(column.known.misfit(self.row, value));
            }
            self.is_misfit |= !fits;
            self.bytes += size(value);
        }
        self.rows += 1;
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        !self.is_misfit && (self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// What has been gathered.
    pub(super) fn take(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        self.rows = 0;
        self.bytes = 0;
        let arrays = self.columns.iter_mut().map(|column| column.values.finish());
        Ok(RecordBatch::try_new(schema.clone(), arrays.collect())?)
    }

    /// What is known now and was not before, if a value was of another kind.
    pub(super) fn learned(&self) -> Option<Vec<Known>> {
        self.is_misfit
            .then(|| self.columns.iter().map(|column| column.known.clone()).collect())
    }
}

impl Column {
    fn is_declared(&self) -> bool {
        !matches!(self.known.learned, Learned::Seen(_))
    }

    fn takes_anything(&self) -> bool {
        matches!(self.kind, None | Some(Kind::Any))
    }

    /// Says whether the value is of the column's kind; if not, the kind is another from here on.
    /// When only looking, nothing is kept.
    fn push(&mut self, value: ValueRef<'_>, only_looks: bool, casts: &mut Casts<'_>) -> Result<bool> {
        let Some(kind) = self.kind else {
            self.learn(value);
            match only_looks {
                true => self.first = Vec::new(),
                false => self.first.push(kept(value)),
            }
            return Ok(true);
        };
        let Some(cell) = cell(kind, value, casts)? else {
            self.learn(value);
            self.kind = match self.known.learned {
                Learned::Seen(seen) => Some(seen.kind()),
                _ => self.known.kind(),
            };
            return Ok(false);
        };
        // An integer fits beside smaller ones, but not beside a float that may come.
        if matches!(value, ValueRef::Integer(_)) && !self.is_declared() {
            self.learn(value);
        }
        if !only_looks {
            self.values.push(cell)?;
        }
        Ok(true)
    }

    fn learn(&mut self, value: ValueRef<'_>) {
        self.known.learned = match self.known.learned {
            Learned::Seen(seen) => Learned::Seen(seen.and(Seen::of(value))),
            Learned::Declared(_) | Learned::Misfits => Learned::Misfits,
        };
    }

    fn decide(&mut self, casts: &mut Casts<'_>) -> Result<Kind> {
        let kind = match (self.kind, self.known.learned) {
            (Some(kind), _) => return Ok(kind),
            (None, Learned::Seen(seen)) => seen.kind(),
            (None, _) => Kind::Any,
        };
        self.kind = Some(kind);
        self.values = Values::new(kind);
        for value in std::mem::take(&mut self.first) {
            match cell(kind, ValueRef::from(&value), casts)? {
                Some(cell) => self.values.push(cell)?,
                None => return Err(Error::internal("a value is not of the kind that was seen")),
            }
        }
        Ok(kind)
    }
}

fn size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => NUMBER_BYTES,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
    }
}
