//! What the readers of imports must do, a file a subject.

mod prepare;
mod property;
mod python;
mod records;
mod rejects;
mod types;
mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::Array as _;
use arrow::array::AsArray as _;
use arrow::array::types::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::ArrayFormatter;
use arrow::util::display::FormatOptions;
use tempfile::TempDir;

use crate::error::Result;
use crate::imports::CsvOptions;
use crate::imports::Prepared;
use crate::imports::ReadReport;
use crate::imports::Survey;
use crate::imports::columns::Nulls;
use crate::imports::parse_schema;
use crate::imports::prepare as prepare_file;
use crate::imports::read::Reader;
use crate::imports::splitter::Sizes;
use crate::imports::survey::survey_in;

type Row = Vec<Option<String>>;

static NEVER: AtomicBool = AtomicBool::new(false);

struct Loaded {
    survey: Survey,
    rows: Vec<Row>,
    batches: Vec<RecordBatch>,
    report: ReadReport,
    rejects: String,
}

impl Loaded {
    fn types(&self) -> Vec<String> {
        let columns = self.survey.columns.iter();
        columns.map(|column| column.column_type.to_string()).collect()
    }
}

/// How the work is divided, which must make no difference.
#[derive(Clone, Copy)]
struct How {
    threads: usize,
    chunk: usize,
    batch_rows: usize,
}

const USUAL: How = How {
    threads: 2,
    chunk: 1 << 20,
    batch_rows: 8_192,
};

fn upload(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upload");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn prepared(bytes: &[u8], options: &CsvOptions) -> Result<(TempDir, Prepared)> {
    let (folder, path) = upload(bytes);
    let prepared = prepare_file(&path, folder.path(), options, 1 << 30, &NEVER)?;
    Ok((folder, prepared))
}

fn load_as(bytes: &[u8], options: &CsvOptions, how: How) -> Result<Loaded> {
    let (_folder, prepared) = prepared(bytes, options)?;
    let sizes = |_| Sizes {
        chunk: how.chunk,
        record_max: 64 << 20,
    };
    let survey = survey_in(&prepared, options, how.threads, &NEVER, sizes)?;
    // It is stored in between.
    let survey: Survey = serde_json::from_str(&serde_json::to_string(&survey).unwrap()).unwrap();
    let mut batches = Vec::new();
    let mut rejects = Vec::new();
    let reader = Reader {
        survey: &survey,
        nulls: Nulls(options.null.clone().map(String::into_bytes)),
        schema: survey.schema(),
        sizes: sizes(0),
        batch_rows: how.batch_rows,
    };
    let mut keep = |batch| {
        batches.push(batch);
        Ok(())
    };
    let report = reader.read(&prepared, how.threads, &NEVER, &mut keep, Some(&mut rejects))?;
    Ok(Loaded {
        rows: batches.iter().flat_map(rows).collect(),
        survey,
        batches,
        report,
        rejects: String::from_utf8(rejects).unwrap(),
    })
}

fn load(text: &str, options: &CsvOptions) -> Result<Loaded> {
    load_as(text.as_bytes(), options, USUAL)
}

fn loaded(text: &str) -> Loaded {
    load(text, &CsvOptions::default()).unwrap()
}

fn refusal(text: &str, options: &CsvOptions) -> String {
    match load(text, options) {
        Ok(_) => panic!("{text:?} was read"),
        Err(error) => error.to_string(),
    }
}

fn with_schema(schema: &str) -> CsvOptions {
    CsvOptions {
        schema: parse_schema(schema).unwrap(),
        ..CsvOptions::default()
    }
}

fn with_header(header: bool) -> CsvOptions {
    CsvOptions {
        header: Some(header),
        ..CsvOptions::default()
    }
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let options = FormatOptions::new();
    let value = |column: usize, row: usize| {
        let array = match batch
            .column(column)
            .as_primitive_opt::<TimestampMicrosecondType>()
        {
            // Arrow writes only zones that are numbers.
            Some(moments) if moments.timezone().is_some() => Arc::new(moments.clone().with_timezone_utc()),
            _ => batch.column(column).clone(),
        };
        let formatter = ArrayFormatter::try_new(&array, &options).unwrap();
        array.is_valid(row).then(|| formatter.value(row).to_string())
    };
    let row = |row: usize| {
        (0..batch.num_columns())
            .map(|column| value(column, row))
            .collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

fn row(values: &[&str]) -> Row {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}
