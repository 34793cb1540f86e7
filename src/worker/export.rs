//! Makes a file: of a stored result, or of the rows of a query while it runs.

use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::connectors::BatchStream;
use crate::connectors::Cancel;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::exports;
use crate::exports::Format;
use crate::exports::options::Options;
use crate::job::Job;
use crate::kill_point::kill_point;
use crate::objects::Object;
use crate::objects::ObjectName;
use crate::objects::ObjectWriter;
use crate::report::Report;
use crate::report::slug;
use crate::results::ResultWriter;
use crate::results::Rows;
use crate::results::Written;
use crate::store::jobs::Claimed;
use crate::store::logs::Level;
use crate::store::now_us;
use crate::store::results::MadeOf;
use crate::store::results::NewExport;
use crate::store::results::NewResult;
use crate::store::results::Place;
use crate::store::results::StoredResult;
use crate::worker::Run;
use crate::worker::Worker;
use crate::worker::limit::Limited;
use crate::worker::limit::RowLimit;
use crate::worker::object_of;
use crate::worker::query::columns;
use crate::worker::query::microseconds;

/// Smaller pieces are gathered to this; larger ones are written as they are.
const BUFFER_BYTES: usize = 64 << 10;

/// What a running query left beside its file.
struct Made {
    schema: SchemaRef,
    file: Object,
    rows: u64,
    truncated: bool,
    /// The rows, where somebody may come back for them.
    written: Option<Written>,
}

impl Worker {
    /// Writes the file aside, publishes it, and only then names it in the job's row.
    pub(super) async fn run_export(
        &self,
        claimed: &Claimed,
        stored: Option<StoredResult>,
        run: &Run,
    ) -> Result<()> {
        let job = &claimed.job;
        let format = Format::parse(&job.format)
            .ok_or_else(|| Error::internal(format!("job with unknown format `{}`", job.format)))?;
        let options: Options = serde_json::from_str(&job.options)?;
        let report = self.report_of(job).await?;
        let encoder = || self.encoder(job, format, &options, run);
        let stored = match stored {
            None => None,
            Some(result) => {
                let rows = Rows::of(result.content.clone(), &self.objects, &object_of(&result))?;
                let encoder = encoder();
                let is_full = encoder.is_full.clone();
                match encoder.encode_stored(rows, u64::MAX).await {
                    // Fewer rows than others were given are a result of their own.
                    Err(_) if job.truncate && is_full.load(Ordering::Relaxed) => None,
                    file => Some((file?, MadeOf::Stored(result.id), result.created_at)),
                }
            }
        };
        let (file, made_of, time) = match stored {
            Some(stored) => stored,
            None if job.truncate => {
                let (file, result) = self.export_what_fits(claimed, &report, run, encoder).await?;
                (file, MadeOf::Query(result), now_us())
            }
            None => {
                let began = Instant::now();
                let made = self
                    .in_time(&report, self.encode_query(claimed, &report, encoder(), run))
                    .await?;
                let engine = began.elapsed();
                let result = match made.written {
                    Some(written) => self.new_result(&report, written, &made.schema, engine)?,
                    None => NewResult {
                        rows: i64::try_from(made.rows).map_err(Error::internal)?,
                        bytes: 0,
                        rows_kept: Place::No,
                        content: None,
                        truncated: made.truncated,
                        lifetime_us: self.lifetime_us(&report)?,
                        columns: columns(&made.schema)?,
                        engine_us: microseconds(engine)?,
                    },
                };
                (made.file, MadeOf::Query(result), now_us())
            }
        };
        let export = NewExport {
            file_name: file_name(&report, time, format, &options),
            bytes: i64::try_from(file.bytes()).map_err(Error::internal)?,
            tag: file.tag(),
            content: file.into_content(),
            lifetime_us: microseconds(self.config.result_lifetime)?,
        };
        if run.is_long() {
            self.tell(job, Level::Info, &[format!("encoded, {} bytes", export.bytes)])
                .await;
        }
        kill_point("file_published");
        self.keep(|| self.store.keep_export(job, &export, &made_of)).await
    }

    /// Encodes while the query runs. The rows are stored too if a later job may be given them.
    async fn encode_query(
        &self,
        claimed: &Claimed,
        report: &Report,
        encoder: Encoder,
        run: &Run,
    ) -> Result<Made> {
        let BatchStream {
            schema,
            batches,
            cancel_on_drop,
        } = self.query(claimed).await?;
        let job = &claimed.job;
        let limit = RowLimit::of(&self.config, report, job);
        let object = self.create(&ObjectName::Result {
            job_id: job.id,
            attempt: job.attempt,
        });
        let store = match report.cache.is_zero() {
            true => None,
            false => Some(ResultWriter::new(object, &schema)?),
        };
        let encoder = Encoder {
            on_write_error: Some(cancel_on_drop.cancel()),
            ..encoder
        };
        let rows = run.rows.clone();
        let encoding = tokio::task::spawn_blocking(move || {
            let mut rows = QueryRows {
                batches: Limited::new(batches, limit),
                told: rows,
                store,
            };
            let file = encoder.encode(&schema, &mut rows)?;
            // First the rows: should that fail, the file is not published either.
            let truncated = rows.batches.truncated;
            let written = rows.store.map(|store| store.finish(truncated)).transpose()?;
            Ok(Made {
                schema,
                file: file.publish()?,
                rows: rows.batches.rows,
                truncated,
                written,
            })
        });
        let made = encoding.await.map_err(Error::internal)?;
        drop(cancel_on_drop);
        made
    }

    fn encoder(&self, job: &Job, format: Format, options: &Options, run: &Run) -> Encoder {
        Encoder {
            format,
            options: options.clone(),
            object: self.create(&ObjectName::Export {
                job_id: job.id,
                attempt: job.attempt,
                format: format.extension(),
            }),
            threads: self.config.encode_threads,
            given_up: run.given_up.clone(),
            on_write_error: None,
            is_full: Arc::default(),
            read: Arc::default(),
        }
    }
}

/// Everything it takes to write the file, on a thread of its own.
pub(super) struct Encoder {
    format: Format,
    options: Options,
    object: ObjectWriter,
    threads: usize,
    given_up: Arc<AtomicBool>,
    /// Called when the file cannot be written: the query's next rows may be long in coming.
    on_write_error: Option<Cancel>,
    /// Turns true when the file passes the limit of its bytes.
    pub(super) is_full: Arc<AtomicBool>,
    /// How many rows were read for it.
    pub(super) read: Arc<AtomicU64>,
}

impl Encoder {
    /// Writes and publishes the file of the first of these rows.
    pub(super) async fn encode_stored(self, rows: Rows, rows_max: u64) -> Result<Object> {
        let encoding = tokio::task::spawn_blocking(move || {
            let rows = rows.open()?;
            self.encode(&rows.schema(), rows.batches(0..rows_max)?)?.publish()
        });
        encoding.await.map_err(Error::internal)?
    }

    fn encode(
        self,
        schema: &SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    ) -> Result<ObjectWriter> {
        let (given_up, read) = (self.given_up, self.read);
        let batches = batches.map(|batch| match given_up.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorCode::Cancelled, "the export was stopped")),
            false => batch.inspect(|batch| {
                read.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            }),
        });
        let file = File {
            object: self.object,
            on_error: self.on_write_error,
            is_full: self.is_full,
        };
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        exports::encode(
            self.format,
            &self.options,
            schema,
            batches,
            self.threads,
            &mut out,
        )?;
        out.flush()?;
        let file = out.into_inner().map_err(|error| error.into_error())?;
        Ok(file.object)
    }
}

/// The file, and who is to hear of an error before the source's next rows are there.
struct File {
    object: ObjectWriter,
    on_error: Option<Cancel>,
    is_full: Arc<AtomicBool>,
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.object.write(bytes);
        if let Err(error) = &written {
            let is_full = error.kind() == io::ErrorKind::FileTooLarge;
            self.is_full.store(is_full, Ordering::Relaxed);
            if let Some(on_error) = &self.on_error {
                on_error();
            }
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.object.flush()
    }
}

/// The rows of a running query, told, and stored on their way if they are to be.
struct QueryRows {
    batches: Limited,
    /// How many have come, for others to see.
    told: Arc<AtomicU64>,
    store: Option<ResultWriter>,
}

impl Iterator for QueryRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.batches.blocking_next().transpose()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        kill_point("export_batch");
        self.told.store(self.batches.rows, Ordering::Relaxed);
        if let Some(store) = &mut self.store
            && let Err(error) = store.write(batch.clone())
        {
            return Some(Err(error));
        }
        Some(Ok(batch))
    }
}

/// Such as `1846-users-growth-20260201-044824.csv`, after the time of the data, in UTC.
fn file_name(report: &Report, time_us: i64, format: Format, options: &Options) -> String {
    let time = chrono::DateTime::from_timestamp_micros(time_us).unwrap_or_default();
    let parts = [
        report.id.to_string(),
        slug(&report.title),
        time.format("%Y%m%d-%H%M%S").to_string(),
    ];
    let stem: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let mut name = format!("{}.{}", stem.join("-"), format.extension());
    if let Some(compression) = options.compress {
        name.push('.');
        name.push_str(compression.extension());
    }
    name
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use arrow::array::ArrayRef;
    use arrow::array::StringArray;
    use bytesize::ByteSize;

    use super::*;
    use crate::objects::Objects;

    /// A query that makes some rows and then none before it is stopped.
    #[test]
    fn file_that_cannot_be_written_stops_the_query_while_it_works() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path()).unwrap();
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(100); 1000]));
        let rows = RecordBatch::try_from_iter([("x", texts)]).unwrap();
        // The others gather more rows before they write any.
        for format in [Format::Csv, Format::Json, Format::Ndjson] {
            let name = ObjectName::Export {
                job_id: 1,
                attempt: 1,
                format: format.extension(),
            };
            let (stop, stopped) = mpsc::channel();
            let encoder = Encoder {
                format,
                options: Options::default(),
                object: objects.create(&name, ByteSize::kib(1)),
                threads: 2,
                given_up: Arc::default(),
                on_write_error: Some(Arc::new(move || {
                    let _ = stop.send(());
                })),
                is_full: Arc::default(),
                read: Arc::default(),
            };
            let first = std::iter::once(Ok(rows.clone()));
            let rest = std::iter::once_with(move || {
                stopped.recv().unwrap();
                Err(Error::new(ErrorCode::Cancelled, "the query was stopped"))
            });
            let error = encoder
                .encode(&rows.schema(), first.chain(rest))
                .map(drop)
                .unwrap_err();
            assert_eq!(error.code, ErrorCode::TooLarge, "{error}");
        }
    }
}
