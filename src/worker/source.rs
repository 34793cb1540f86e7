//! Runs a job's statement on its source.

use crate::config::Config;
use crate::connectors::BatchStream;
use crate::connectors::Purpose;
use crate::connectors::duckdb_file::EngineSettings;
use crate::connectors::sources::Connector;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::secret::SecretKey;
use crate::source::Password;
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
        let purpose = Purpose {
            job_id: job.id,
            report_id: job.report_id,
            user: self.store.email_of(job.user_id).await?,
        };
        self.connector(job.source_id)
            .await?
            .query(&statement, purpose)
            .await
    }

    async fn connector(&self, source_id: i64) -> Result<Connector> {
        let source =
            self.store.source(source_id).await?.ok_or_else(|| {
                Error::new(ErrorCode::SourceFailed, "the source of this job has been removed")
            })?;
        if let Some(known) = self.sources.known(&source) {
            return Ok(known);
        }
        let password = match &source.sealed_password {
            Some(sealed) => {
                let key = SecretKey::load(&self.config.data_dir)?;
                Some(Password::new(key.open(&source.name, sealed)?))
            }
            None => None,
        };
        let connector = Connector::new(
            &source,
            password.as_ref(),
            self.config.query_timeout,
            &engine_settings(&self.config),
        )?;
        Ok(self.sources.keep(&source, connector))
    }
}

/// What the embedded engine gets for a file of its own.
pub(crate) fn engine_settings(config: &Config) -> EngineSettings {
    EngineSettings {
        warehouse_file: config.warehouse_file(),
        spill_dir: config.spill_dir(),
        memory_max: config.warehouse_memory_max,
        threads: config.warehouse_threads,
    }
}
