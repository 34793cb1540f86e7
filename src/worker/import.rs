//! Import jobs: an uploaded file is read whole to find out its types, and once more into a table.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use arrow::datatypes::DataType;
use arrow::datatypes::SchemaRef;
use bytesize::ByteSize;
use tracing::debug;
use tracing::error;

use crate::connectors::Batches;
use crate::connectors::load::BatchSender;
use crate::connectors::load::Destination;
use crate::connectors::sources::Connector;
use crate::data_import::DataImport;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::imports;
use crate::imports::ColumnType;
use crate::imports::CsvOptions;
use crate::imports::Prepared;
use crate::imports::ReadReport;
use crate::imports::Survey;
use crate::job::Job;
use crate::kill_point::kill_point;
use crate::objects::ObjectName;
use crate::objects::ObjectWriter;
use crate::plural::plural;
use crate::store::logs::Level;
use crate::worker::RETRY_EVERY;
use crate::worker::Run;
use crate::worker::Worker;
use crate::worker::sweep::blocking;

/// A file whose content is known.
struct Surveyed {
    prepared: Prepared,
    survey: Survey,
    options: CsvOptions,
}

impl Worker {
    pub(super) async fn run_import(&self, job: &Job, run: &Run) -> Result<()> {
        let id = job.import_id.unwrap_or_default();
        let import = self
            .store
            .import(id)
            .await?
            .ok_or_else(|| Error::internal("an import job without an import"))?;
        let source = self.source_of(job).await?;
        if !source.settings.writable {
            return Err(Error::new(
                ErrorCode::Forbidden,
                format!("source `{}` is not writable", source.name),
            ));
        }
        let connector = self.connector(&source)?;
        let destination = Destination {
            schema: import.schema_name.clone(),
            table: import.table_name.clone(),
            mode: import.mode,
            run: format!("{}-{}", import.upload, job.id),
            purpose: self.purpose_of(job).await?,
        };
        let begun = format!(
            "reading {} ({} bytes, sha256 {})",
            import.file_name, import.bytes, import.sha256
        );
        self.tell(job, Level::Info, &[begun]).await;
        let options = options(&import, &connector, &destination).await?;
        // Gone with the job, and with it what was made of the upload on the way.
        let folder = self.objects.work_folder(job.id, job.attempt)?;
        let work = folder.path().to_owned();
        let loaded = async {
            let surveyed = Arc::new(self.survey(&import, options, work, run).await?);
            self.tell(job, Level::Info, &surveyed.survey.lines()).await;
            let report = self.load(job, &connector, &destination, surveyed.clone(), run);
            Ok((surveyed, report.await?))
        };
        let loaded: Result<_> = loaded.await;
        blocking(move || {
            drop(folder);
            Ok(())
        })
        .await?;
        let (surveyed, report) = loaded?;
        let shown = destination.shown();
        let mut lines = vec![match (report.rows, import.mode) {
            (rows, Mode::Append) => format!("{} added to {shown}", plural(rows, "row")),
            (1, _) => format!("1 row is in {shown}"),
            (rows, _) => format!("{rows} rows are in {shown}"),
        }];
        if report.rejected > 0 {
            lines.push(format!(
                "{} left out; GET /jobs/{}/rejects.csv has them",
                match report.rejected {
                    1 => "1 row was".to_owned(),
                    rows => format!("{rows} rows were"),
                },
                job.id
            ));
        }
        self.tell(job, Level::Info, &lines).await;
        kill_point("import_loaded");
        let survey = serde_json::to_string(&surveyed.survey)?;
        // The rows are in the table, whatever becomes of the metadata: it is tried until it is written down.
        loop {
            match self.store.finish_import(job, &survey, report.rejected).await {
                Err(unwritten) if unwritten.code == ErrorCode::Internal => {
                    error!(job_id = job.id, error = %unwritten, "cannot write down that an import is done");
                }
                written => return written,
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    async fn survey(
        &self,
        import: &DataImport,
        options: CsvOptions,
        folder: std::path::PathBuf,
        run: &Run,
    ) -> Result<Surveyed> {
        let upload = self.objects.upload_path(&import.upload);
        let bytes_max = self.config.upload_bytes_max.as_u64();
        let (threads, stop) = (self.config.encode_threads, run.given_up.clone());
        let surveying = tokio::task::spawn_blocking(move || {
            let prepared = imports::prepare(&upload, &folder, &options, bytes_max, &stop)?;
            let survey = imports::survey(&prepared, &options, threads, &stop)?;
            Ok(Surveyed {
                prepared,
                survey,
                options,
            })
        });
        surveying.await.map_err(Error::internal)?
    }

    /// Reads the file a second time, into the table.
    async fn load(
        &self,
        job: &Job,
        connector: &Connector,
        destination: &Destination,
        surveyed: Arc<Surveyed>,
        run: &Run,
    ) -> Result<ReadReport> {
        let schema: SchemaRef = surveyed.survey.schema();
        let name = ObjectName::Rejects {
            job_id: job.id,
            attempt: job.attempt,
        };
        let rejects = self.objects.create(&name, ByteSize::b(u64::MAX));
        let (sender, batches) = Batches::channel();
        let read = Reading {
            surveyed,
            threads: self.config.encode_threads,
            stop: run.given_up.clone(),
            rows: run.rows.clone(),
        };
        let reading = tokio::task::spawn_blocking(move || read.run(sender, rejects));
        let loading = connector.load(destination, schema, batches);
        let loaded = loading.await;
        let read = reading.await.map_err(Error::internal)?;
        match (loaded, read) {
            // The reader ends with `cancelled` when the database wants no more; the database knows why.
            (Err(error), Err(read)) if read.code != ErrorCode::Cancelled => {
                debug!(%error, "the database gave up after the file");
                Err(read)
            }
            (Err(error), _) => Err(error),
            (Ok(_), read) => read,
        }
    }
}

struct Reading {
    surveyed: Arc<Surveyed>,
    threads: usize,
    stop: Arc<AtomicBool>,
    rows: Arc<AtomicU64>,
}

impl Reading {
    fn run(self, sender: BatchSender, mut rejects: ObjectWriter) -> Result<ReadReport> {
        let Surveyed {
            prepared,
            survey,
            options,
        } = &*self.surveyed;
        let mut send = |batch: arrow::record_batch::RecordBatch| {
            kill_point("import_batch");
            self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            sender.blocking_send(batch)
        };
        let read = imports::read(
            prepared,
            survey,
            options,
            self.threads,
            &self.stop,
            &mut send,
            Some(&mut rejects),
        );
        // The file of rejected rows is there before the rows that are not.
        let read = read.and_then(|report| {
            if report.rejected > 0 {
                rejects.publish_file()?;
            }
            Ok(report)
        });
        match read {
            Ok(report) => sender.end(Ok(())).map(|()| report),
            Err(error) => {
                let told = Error::new(error.code, error.message.clone());
                // Nobody may be taking rows any more; then nobody needs to know.
                let _ = sender.end(Err(told));
                Err(error)
            }
        }
    }
}

/// How the file is read: as its owner says, and so that an existing table's columns take it.
async fn options(
    import: &DataImport,
    connector: &Connector,
    destination: &Destination,
) -> Result<CsvOptions> {
    let mut options: CsvOptions = serde_json::from_str(&import.options)?;
    if import.mode != Mode::Append {
        return Ok(options);
    }
    let columns = connector.columns_of(destination).await?.unwrap_or_default();
    options.table = columns
        .into_iter()
        .map(|(name, of)| (name, of.as_ref().map_or(ColumnType::Text, column_type)))
        .collect();
    // The database would convert values, and round or cut them where they do not fit.
    for (name, given) in &options.schema {
        match options.table.iter().find(|(known, _)| known == name) {
            Some((_, of_table)) if of_table != given => {
                return Err(Error::invalid(format!(
                    "column `{name}` of table {} takes {of_table}, `schema` says {given}: leave it out of `schema`",
                    destination.shown()
                )));
            }
            _ => {}
        }
    }
    Ok(options)
}

fn column_type(of: &DataType) -> ColumnType {
    match of {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int64 => ColumnType::Integer,
        DataType::Decimal128(precision, scale) => ColumnType::Decimal {
            precision: *precision,
            scale: scale.unsigned_abs(),
        },
        DataType::Float64 => ColumnType::Double,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(_, None) => ColumnType::Timestamp,
        DataType::Timestamp(_, Some(_)) => ColumnType::TimestampTz,
        _ => ColumnType::Text,
    }
}
