//! Who did what with the data. Records are gathered for a moment and written together, so that none costs a write.

use std::sync::Mutex;
use std::sync::PoisonError;

use crate::error::Error;
use crate::error::Result;
use crate::store::Store;
use crate::store::now_us;

/// More than these are not kept while nothing can be written.
const WAITING_MAX: usize = 100_000;

/// Values that take more are not written down here once more; the job has them.
const VALUES_BYTES_MAX: usize = 4 << 10;

/// One use of a key, a feed or a link, or one that was refused.
#[derive(Clone, Debug, Default, sqlx::FromRow)]
pub(crate) struct Record {
    pub(crate) id: i64,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    pub(crate) user_id: Option<i64>,
    pub(crate) key_id: Option<i64>,
    pub(crate) feed_id: Option<i64>,
    pub(crate) address: Option<String>,
    pub(crate) action: String,
    /// The address that was asked for, without its query string.
    pub(crate) path: Option<String>,
    pub(crate) report_id: Option<i64>,
    pub(crate) report_version: Option<i64>,
    pub(crate) job_id: Option<i64>,
    /// What was changed beside reports and jobs: `user`, `group`, `source`, `import` or `feed`.
    pub(crate) target: Option<String>,
    pub(crate) target_id: Option<i64>,
    pub(crate) filter_values: Option<String>,
    pub(crate) status: i64,
    pub(crate) rows: Option<i64>,
    pub(crate) bytes: Option<i64>,
}

/// Records that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<Record>>);

impl Store {
    /// Keeps a record; it is on its way from now on.
    pub(crate) fn record(&self, record: Record) {
        let mut waiting = self.audit.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push(Record {
                at: now_us(),
                ..record
            });
        }
    }

    /// Forgets records that are older than this.
    pub(crate) async fn forget_records(&self, older_than_us: i64) -> Result<u64> {
        // The oldest have the lowest ids: whether they are too old is seen without reading all the others.
        let sql = "delete from audit where id in (
                       select id from (select id, at from audit order by id limit $2) where at < $1)";
        self.delete_in_steps(sql, older_than_us).await
    }

    /// Writes what is waiting.
    pub(crate) async fn write_records(&self) -> Result<()> {
        let waiting = std::mem::take(&mut *self.audit.0.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let written = self.insert_records(&waiting).await;
        if written.is_err() {
            // They wait for the next time, before those that have come meanwhile.
            let mut newer = self.audit.0.lock().unwrap_or_else(PoisonError::into_inner);
            newer.splice(0..0, waiting);
        }
        written
    }

    async fn insert_records(&self, records: &[Record]) -> Result<()> {
        let mut transaction = self.begin_write().await?;
        for record in records {
            sqlx::query(
                "insert into audit (at, user_id, key_id, feed_id, address, action, report_id, report_version, job_id,
                                    filter_values, status, rows, bytes, path, target, target_id)
                 values ($1, $2, $3, $4, $5, $6, coalesce($7, (select report_id from jobs where id = $9)),
                         coalesce($8, (select report_version from jobs where id = $9)), $9,
                         coalesce($10, (select filter_values from jobs where id = $9 and length(filter_values) <= $17)), $11, $12, $13, $14, $15, $16)",
            )
            .bind(record.at)
            .bind(record.user_id)
            .bind(record.key_id)
            .bind(record.feed_id)
            .bind(&record.address)
            .bind(&record.action)
            .bind(record.report_id)
            .bind(record.report_version)
            .bind(record.job_id)
            .bind(record.filter_values.as_ref().filter(|values| values.len() <= VALUES_BYTES_MAX))
            .bind(record.status)
            .bind(record.rows)
            .bind(record.bytes)
            .bind(&record.path)
            .bind(&record.target)
            .bind(record.target_id)
            .bind(i64::try_from(VALUES_BYTES_MAX).map_err(Error::internal)?)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// Records behind one, oldest first.
    pub(crate) async fn records_after(&self, id: i64, limit: i64) -> Result<Vec<Record>> {
        // Even if the client goes away meanwhile.
        let store = self.clone();
        tokio::spawn(async move { store.write_records().await })
            .await
            .map_err(Error::internal)??;
        Ok(
            sqlx::query_as("select * from audit where id > $1 order by id limit $2")
                .bind(id)
                .bind(limit)
                .fetch_all(&self.writes)
                .await?,
        )
    }
}
