//! Runs a job's statement on its source.

use crate::config::Config;
use crate::connectors::BatchStream;
use crate::connectors::Purpose;
use crate::connectors::duckdb_file::EngineSettings;
use crate::connectors::sources::Connector;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::job::Job;
use crate::secret::SecretKey;
use crate::source::Source;
use crate::source::WAREHOUSE_ID;
use crate::store::jobs::Claimed;
use crate::worker::Worker;

impl Worker {
    pub(super) async fn query(&self, claimed: &Claimed) -> Result<BatchStream> {
        let statement = claimed.statement()?;
        let job = &claimed.job;
        if job.source_id == WAREHOUSE_ID {
            return self.warehouse.query(&statement).await;
        }
        let source = self.source_of(job).await?;
        let purpose = self.purpose_of(job).await?;
        self.connector(&source)?.query(&statement, purpose).await
    }

    pub(super) async fn source_of(&self, job: &Job) -> Result<Source> {
        let source = self.store.source(job.source_id).await?;
        source.ok_or_else(|| Error::new(ErrorCode::SourceFailed, "the source of this job has been removed"))
    }

    pub(super) async fn purpose_of(&self, job: &Job) -> Result<Purpose> {
        let subject = match (job.report_id, job.import_id) {
            (Some(report_id), _) => format!("report={report_id}"),
            (None, import_id) => format!("import={}", import_id.unwrap_or_default()),
        };
        Ok(Purpose {
            job_id: job.id,
            subject,
            user: self.store.email_of(job.user_id).await?,
        })
    }

    pub(crate) fn connector(&self, source: &Source) -> Result<Connector> {
        if source.id == WAREHOUSE_ID {
            return Ok(Connector::of_warehouse(self.warehouse.clone()));
        }
        if let Some(known) = self.sources.known(source) {
            return Ok(known);
        }
        let password = SecretKey::open_of(&self.config.data_dir, source)?;
        let connector = Connector::new(
            source,
            password.as_ref(),
            self.config.query_timeout,
            &engine_settings(&self.config),
        )?;
        Ok(self.sources.keep(source, connector))
    }
}

/// What the embedded engine gets for a file of its own.
pub(crate) fn engine_settings(config: &Config) -> EngineSettings {
    EngineSettings {
        warehouse_file: config.warehouse_file(),
        metadata_file: config.metadata_file(),
        spill_dir: config.spill_dir(),
        memory_max: config.warehouse_memory_max,
        threads: config.warehouse_threads,
    }
}
