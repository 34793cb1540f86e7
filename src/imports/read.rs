//! The rows of a surveyed file as Arrow batches, in order.
//! The file is read as the survey has found it; what has become of it since is an error.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::datatypes::Field as ArrowField;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::imports::batches::Gathered;
use crate::imports::batches::Reading;
use crate::imports::changed;
use crate::imports::chunk::Bad;
use crate::imports::chunk::Table;
use crate::imports::chunk::Why;
use crate::imports::columns::Nulls;
use crate::imports::columns::is_value;
use crate::imports::fields::Field;
use crate::imports::fields::count_lines;
use crate::imports::in_order::in_order;
use crate::imports::options::CsvOptions;
use crate::imports::prepare::Prepared;
use crate::imports::rejects;
use crate::imports::rejects::Expected;
use crate::imports::rejects::Reject;
use crate::imports::rejects::describe;
use crate::imports::splitter::Fault;
use crate::imports::splitter::Sizes;
use crate::imports::splitter::Splitter;
use crate::imports::survey::Survey;
use crate::imports::types::ColumnType;

const BATCH_ROWS: usize = 8_192;

#[derive(Clone, Debug)]
pub(crate) struct ReadReport {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) first_rejects: Vec<Reject>,
}

impl Survey {
    pub(crate) fn schema(&self) -> SchemaRef {
        let field =
            |column: &super::survey::Column| ArrowField::new(&column.name, column.column_type.arrow(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
}

/// Hands one batch after another to `batch`, on this thread. Rows that cannot be read go to `rejects` as CSV.
pub(crate) fn read(
    prepared: &Prepared,
    survey: &Survey,
    options: &CsvOptions,
    threads: usize,
    stop: &AtomicBool,
    batch: &mut dyn FnMut(RecordBatch) -> Result<()>,
    rejects: Option<&mut dyn Write>,
) -> Result<ReadReport> {
    let sizes = Sizes::for_columns(survey.columns.len());
    Reader {
        survey,
        nulls: Nulls(options.null.clone().map(String::into_bytes)),
        schema: survey.schema(),
        sizes,
        batch_rows: BATCH_ROWS,
    }
    .read(prepared, threads, stop, batch, rejects)
}

pub(super) struct Reader<'a> {
    pub(super) survey: &'a Survey,
    pub(super) nulls: Nulls,
    pub(super) schema: SchemaRef,
    pub(super) sizes: Sizes,
    pub(super) batch_rows: usize,
}

/// What a thread keeps from one chunk to the next.
struct Worker {
    table: Table,
    gathered: Gathered,
}

/// What a chunk is made into.
struct Made {
    batches: Vec<RecordBatch>,
    lines: u64,
    /// With the text of the record.
    bad: Vec<(rejects::Found, Vec<u8>)>,
}

impl Reader<'_> {
    pub(super) fn read(
        &self,
        prepared: &Prepared,
        threads: usize,
        stop: &AtomicBool,
        batch: &mut dyn FnMut(RecordBatch) -> Result<()>,
        mut rejects: Option<&mut dyn Write>,
    ) -> Result<ReadReport> {
        let survey = self.survey;
        if prepared.length != survey.length {
            return Err(changed());
        }
        let names: Vec<String> = survey.columns.iter().map(|column| column.name.clone()).collect();
        let wanted = |column: &super::survey::Column| column.wanted.then_some(column.column_type);
        let types: Vec<Option<ColumnType>> = survey.columns.iter().map(wanted).collect();
        let expected = Expected {
            header: survey.header,
            names: &names,
            types: &types,
        };
        if let Some(out) = &mut rejects {
            rejects::write_head(out)?;
        }
        let splitter = Splitter::open(prepared, survey.body, survey.dialect(), self.sizes, stop)?;
        let mut workers: Vec<Worker> = (0..threads.max(1)).map(|_| self.worker()).collect();
        let mut line = survey.body_line;
        let mut report = ReadReport {
            rows: 0,
            rejected: 0,
            first_rejects: Vec::new(),
        };
        let make = |worker: &mut Worker, chunk: std::result::Result<Vec<u8>, Fault>| {
            chunk.map(|bytes| self.make(worker, &bytes))
        };
        in_order(splitter, &mut workers, &make, |made| {
            let made: Made = made.map_err(|fault| fault.error(line, self.sizes.record_max))??;
            for (found, record) in made.bad {
                let reject = expected.reject(found, line);
                report.rejected += 1;
                if let Some(out) = &mut rejects {
                    rejects::write(out, &reject, &record)?;
                }
                if report.first_rejects.len() < rejects::SHOWN {
                    report.first_rejects.push(reject);
                }
            }
            if report.rejected > survey.rejected {
                return Err(changed());
            }
            line += made.lines;
            for rows in made.batches {
                report.rows += rows.num_rows() as u64;
                batch(rows)?;
            }
            Ok(())
        })?;
        if report.rows != survey.rows || report.rejected != survey.rejected {
            return Err(changed());
        }
        Ok(report)
    }

    fn worker(&self) -> Worker {
        Worker {
            table: Table::new(self.survey.dialect(), self.survey.columns.len()),
            gathered: Gathered::new(&self.survey.columns),
        }
    }

    fn make(&self, worker: &mut Worker, bytes: &[u8]) -> Result<Made> {
        let dialect = self.survey.dialect();
        let reading = Reading {
            nulls: &self.nulls,
            quote: dialect.quote,
        };
        let mut bad: Vec<Bad> = Vec::new();
        let mut batches = Vec::new();
        let Worker { table, gathered } = worker;
        let mut at = 0;
        while at < bytes.len() {
            at = table.fill(bytes, at, &mut bad);
            if self.survey.rejected > 0 {
                table.sift(&mut bad, |fields| self.fault(fields, bytes));
            }
            gathered.add(table, bytes, reading)?;
            if gathered.rows > 0 && (gathered.rows >= self.batch_rows || at == bytes.len()) {
                batches.push(gathered.take(&self.schema)?);
            }
        }
        if gathered.rows > 0 {
            batches.push(gathered.take(&self.schema)?);
        }
        bad.sort_by_key(|bad| bad.start);
        let records = bad.iter().map(|bad| rejects::record(bytes, bad));
        let bad = describe(bytes, dialect, &bad, usize::MAX)
            .into_iter()
            .zip(records);
        Ok(Made {
            batches,
            lines: count_lines(bytes, dialect),
            bad: bad.collect(),
        })
    }

    fn fault(&self, fields: &[Field], bytes: &[u8]) -> Option<Why> {
        let mut columns = self.survey.columns.iter().zip(fields).enumerate();
        columns.find_map(|(index, (column, field))| {
            let fits =
                !column.wanted || is_value(field, bytes, column.column_type, &self.nulls, column.forms);
            (!fits).then_some(Why::Value(index, *field))
        })
    }
}
