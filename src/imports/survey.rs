//! What a file is made of: its columns, their names and types, and which rows cannot be read.
//! Every row is looked at, so that no row after the first thousand can make an import fail.

use std::sync::atomic::AtomicBool;

use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::Result;
use crate::imports::calendar::Forms;
use crate::imports::chunk::Bad;
use crate::imports::chunk::Table;
use crate::imports::chunk::Why;
use crate::imports::columns::Nulls;
use crate::imports::columns::Seen;
use crate::imports::columns::is_value;
use crate::imports::dialect;
use crate::imports::fields::Dialect;
use crate::imports::fields::Field;
use crate::imports::fields::count_lines;
use crate::imports::first;
use crate::imports::first::First;
use crate::imports::in_order::in_order;
use crate::imports::names;
use crate::imports::options::CsvOptions;
use crate::imports::options::Encoding;
use crate::imports::prepare::Compression;
use crate::imports::prepare::Prepared;
use crate::imports::rejects;
use crate::imports::rejects::Expected;
use crate::imports::rejects::Reject;
use crate::imports::rejects::describe;
use crate::imports::rejects::too_many;
use crate::imports::splitter::Fault;
use crate::imports::splitter::Sizes;
use crate::imports::splitter::Splitter;
use crate::imports::types::ColumnType;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Survey {
    pub(crate) encoding: Encoding,
    pub(crate) compression: Compression,
    pub(crate) delimiter: char,
    pub(crate) quote: char,
    pub(super) bare_returns: bool,
    pub(crate) header: bool,
    /// Without those that cannot be read.
    pub(crate) rows: u64,
    pub(crate) columns: Vec<Column>,
    pub(crate) rejected: u64,
    pub(crate) first_rejects: Vec<Reject>,
    /// Where the rows begin: offset in the prepared file, and line.
    pub(super) body: u64,
    pub(super) body_line: u64,
    /// Bytes of the prepared file.
    pub(super) length: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Column {
    /// What every database takes in quotes; no two are alike.
    pub(crate) name: String,
    /// As the header has it.
    pub(crate) original: String,
    pub(crate) column_type: ColumnType,
    pub(crate) nullable: bool,
    /// The type is the caller's, so that a value may not fit.
    pub(super) wanted: bool,
    pub(super) forms: Forms,
    /// Dates that are text because day and month cannot be told apart.
    pub(super) unsettled: bool,
}

impl Survey {
    pub(super) fn dialect(&self) -> Dialect {
        Dialect {
            // Both were bytes before.
            delimiter: self.delimiter as u8,
            quote: self.quote as u8,
            bare_returns: self.bare_returns,
        }
    }
}

/// Reads the whole file.
pub(crate) fn survey(
    prepared: &Prepared,
    options: &CsvOptions,
    threads: usize,
    stop: &AtomicBool,
) -> Result<Survey> {
    survey_in(prepared, options, threads, stop, Sizes::for_columns)
}

pub(super) fn survey_in(
    prepared: &Prepared,
    options: &CsvOptions,
    threads: usize,
    stop: &AtomicBool,
    sizes: impl Fn(usize) -> Sizes,
) -> Result<Survey> {
    let dialect = dialect::detect(prepared, options)?;
    let first = first::find(prepared, dialect, sizes(1), stop)?;
    let width = first.fields.len();
    let header = known_header(options, &first.fields)?;
    let with_header = header.unwrap_or(true);
    let work = Work {
        dialect,
        nulls: Nulls(options.null.clone().map(String::into_bytes)),
        wanted: wanted_types(options, &names_of(&first, with_header))?,
    };
    let (start, line) = if with_header {
        (first.end, first.next_line)
    } else {
        (first.start, first.line)
    };
    let sizes = sizes(width);
    let splitter = Splitter::open(prepared, start, dialect, sizes, stop)?;
    let mut looked = look(&work, splitter, threads, line, sizes)?;
    let header = match header {
        Some(header) => header,
        None => work.is_header(&first, &mut looked),
    };
    let names = names_of(&first, header);
    let expected = Expected {
        header,
        names: &names.iter().map(|(_, safe)| safe.clone()).collect::<Vec<_>>(),
        types: &work.wanted,
    };
    let first_rejects: Vec<Reject> = looked
        .found
        .into_iter()
        .map(|(line, found)| expected.reject(found, line))
        .collect();
    if looked.rejected > options.errors_max {
        return Err(too_many(looked.rejected, options.errors_max, &first_rejects));
    }
    let (body, body_line) = if header {
        (first.end, first.next_line)
    } else {
        (first.start, first.line)
    };
    Ok(Survey {
        encoding: prepared.encoding,
        compression: prepared.compression,
        delimiter: dialect.delimiter.into(),
        quote: dialect.quote.into(),
        bare_returns: dialect.bare_returns,
        header,
        rows: looked.rows,
        columns: columns(names, &work.wanted, &looked.seen)?,
        rejected: looked.rejected,
        first_rejects,
        body,
        body_line,
        length: prepared.length,
    })
}

/// Original and safe names.
fn names_of(first: &First, header: bool) -> Vec<(String, String)> {
    let originals = if header {
        first.fields.clone()
    } else {
        (0..first.fields.len()).map(names::unnamed).collect()
    };
    let safe = names::safe(&originals);
    originals.into_iter().zip(safe).collect()
}

/// What is known of the header before the rows are looked at. Who names columns knows what they are called.
fn known_header(options: &CsvOptions, first: &[String]) -> Result<Option<bool>> {
    if options.header.is_some() || options.schema.is_empty() {
        return Ok(options.header);
    }
    let unnamed: Vec<String> = (0..first.len()).map(names::unnamed).collect();
    let is_unnamed = options.schema.iter().all(|(name, _)| unnamed.contains(name));
    let is_first = options.schema.iter().all(|(name, _)| first.contains(name));
    Ok(Some(is_first || !is_unnamed))
}

/// The types that the caller wants, by column.
fn wanted_types(options: &CsvOptions, names: &[(String, String)]) -> Result<Vec<Option<ColumnType>>> {
    let mut types = vec![None; names.len()];
    for (name, column_type) in &options.schema {
        let by_original = names.iter().position(|(original, _)| original == name);
        let by_safe = || names.iter().position(|(_, safe)| safe == name);
        let Some(index) = by_original.or_else(by_safe) else {
            const SHOWN: usize = 50;
            let known: Vec<String> = names
                .iter()
                .take(SHOWN)
                .map(|(_, safe)| format!("`{safe}`"))
                .collect();
            let more = if names.len() > SHOWN { " and more" } else { "" };
            return Err(Error::invalid(format!(
                "the file has no column `{name}`; it has {}{more}",
                known.join(", ")
            )));
        };
        if types[index].is_some() {
            return Err(Error::invalid(format!("`schema` names column `{name}` twice")));
        }
        types[index] = Some(*column_type);
    }
    for ((_, name), wanted) in names.iter().zip(&mut types) {
        let of_table = || options.table.iter().find(|(known, _)| known == name);
        *wanted = wanted.or_else(|| of_table().map(|(_, column_type)| *column_type));
    }
    Ok(types)
}

fn columns(
    names: Vec<(String, String)>,
    wanted: &[Option<ColumnType>],
    seen: &[Seen],
) -> Result<Vec<Column>> {
    let column = |(((original, name), wanted), seen): (((String, String), &Option<ColumnType>), &Seen)| {
        let found = match wanted {
            None => seen.found(),
            Some(wanted) => seen.wanted(*wanted).ok_or_else(|| {
                Error::invalid(format!(
                    "column `{name}` can be no {wanted}: nothing tells days from months in its dates; \
                     it can be `text`"
                ))
            })?,
        };
        Ok(Column {
            name,
            original,
            column_type: found.column_type,
            nullable: seen.is_nullable(found.column_type),
            wanted: wanted.is_some(),
            forms: found.forms,
            unsettled: found.unsettled,
        })
    };
    names.into_iter().zip(wanted).zip(seen).map(column).collect()
}

/// What all workers need to know.
struct Work {
    dialect: Dialect,
    nulls: Nulls,
    wanted: Vec<Option<ColumnType>>,
}

/// What a worker keeps from one chunk to the next.
struct Worker {
    seen: Vec<Seen>,
    table: Table,
}

/// What is found in a chunk.
struct Scanned {
    rows: u64,
    lines: u64,
    rejected: u64,
    found: Vec<rejects::Found>,
}

/// What is found in all of them.
struct Looked {
    rows: u64,
    rejected: u64,
    /// With the first line of their chunk.
    found: Vec<(u64, rejects::Found)>,
    seen: Vec<Seen>,
}

fn look(work: &Work, splitter: Splitter, threads: usize, mut line: u64, sizes: Sizes) -> Result<Looked> {
    let mut workers: Vec<Worker> = (0..threads.max(1)).map(|_| work.worker()).collect();
    let mut looked = Looked {
        rows: 0,
        rejected: 0,
        found: Vec::new(),
        seen: Vec::new(),
    };
    let scan = |worker: &mut Worker, chunk: std::result::Result<Vec<u8>, Fault>| {
        chunk.map(|bytes| work.scan(worker, &bytes))
    };
    in_order(splitter, &mut workers, &scan, |scanned| {
        let scanned: Scanned = scanned.map_err(|fault| fault.error(line, sizes.record_max))?;
        looked.rows += scanned.rows;
        looked.rejected += scanned.rejected;
        let room = rejects::SHOWN.saturating_sub(looked.found.len());
        let found = scanned.found.into_iter().take(room);
        looked.found.extend(found.map(|found| (line, found)));
        line += scanned.lines;
        Ok(())
    })?;
    looked.seen = work.worker().seen;
    for worker in &workers {
        merge(&mut looked.seen, &worker.seen);
    }
    Ok(looked)
}

fn merge(all: &mut [Seen], some: &[Seen]) {
    for (all, some) in all.iter_mut().zip(some) {
        all.merge(some);
    }
}

impl Work {
    fn worker(&self) -> Worker {
        Worker {
            seen: self.wanted.iter().map(|wanted| Seen::new(*wanted)).collect(),
            table: Table::new(self.dialect, self.wanted.len()),
        }
    }

    fn scan(&self, worker: &mut Worker, bytes: &[u8]) -> Scanned {
        let mut bad: Vec<Bad> = Vec::new();
        let mut rows = 0;
        let mut at = 0;
        let checked = self.wanted.iter().any(Option::is_some);
        while at < bytes.len() {
            at = worker.table.fill(bytes, at, &mut bad);
            if checked {
                let fault = |fields: &[Field]| self.fault(fields, bytes);
                worker.table.sift(&mut bad, fault);
            }
            rows += worker.table.rows() as u64;
            for (column, seen) in worker.seen.iter_mut().enumerate() {
                seen.see(&worker.table, column, bytes, &self.nulls);
            }
        }
        bad.sort_by_key(|bad| bad.start);
        Scanned {
            rows,
            lines: count_lines(bytes, self.dialect),
            rejected: bad.len() as u64,
            found: describe(bytes, self.dialect, &bad, rejects::SHOWN),
        }
    }

    fn fault(&self, fields: &[Field], bytes: &[u8]) -> Option<Why> {
        let mut columns = self.wanted.iter().zip(fields).enumerate();
        columns.find_map(|(column, (wanted, field))| {
            let fits = is_value(field, bytes, (*wanted)?, &self.nulls, Forms::ALL);
            (!fits).then_some(Why::Value(column, *field))
        })
    }

    /// Whether the first record is a header; if not, it is a row, and is looked at like the others.
    /// It is none if all columns have types, and all its own values are of just these.
    fn is_header(&self, first: &First, looked: &mut Looked) -> bool {
        let mut worker = self.worker();
        let scanned = self.scan(&mut worker, &first.bytes);
        let mut all = looked.seen.clone();
        merge(&mut all, &worker.seen);
        let mut columns = worker.seen.iter().zip(&looked.seen).zip(&all);
        let is_row = columns.all(|((own, others), all)| {
            let (own_found, all_type) = (own.found(), all.found().column_type);
            // Dates of the others may need this one to tell days from months.
            let others_type = match others.found() {
                found if found.unsettled => all_type,
                found => found.column_type,
            };
            let alike = own.is_empty() || own_found.unsettled || own_found.column_type.is_like(others_type);
            alike && others_type != ColumnType::Text && all_type.is_like(others_type)
        });
        if is_row && scanned.rejected == 0 {
            looked.seen = all;
            looked.rows += scanned.rows;
            return false;
        }
        true
    }
}
