//! What jobs tell of themselves.

use crate::error::Result;
use crate::store::Store;
use crate::store::now_us;

/// More lines are not handed out at once.
const LINES_MAX: i64 = 1_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq, sqlx::Type)]
#[sqlx(rename_all = "UPPERCASE")]
pub(crate) enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// A line.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct LogLine {
    pub(crate) id: i64,
    pub(crate) at: i64,
    pub(crate) level: Level,
    pub(crate) message: String,
}

impl Store {
    /// Adds lines to a job's log.
    pub(crate) async fn log(&self, job_id: i64, level: Level, lines: &[String]) -> Result<()> {
        sqlx::query(
            "insert into job_logs (job_id, at, level, message) select $1, $2, $3, value from json_each($4) order by key",
        )
        .bind(job_id)
        .bind(now_us())
        .bind(level)
        .bind(serde_json::to_string(lines)?)
        .execute(&self.writes)
        .await?;
        Ok(())
    }

    /// The lines after one, oldest first, and whether there were more of them.
    pub(crate) async fn log_after(&self, job_id: i64, last_id: i64) -> Result<(Vec<LogLine>, bool)> {
        let mut lines: Vec<LogLine> = sqlx::query_as(
            "select id, at, level, message from job_logs where job_id = $1 and id > $2 order by id limit $3",
        )
        .bind(job_id)
        .bind(last_id)
        .bind(LINES_MAX + 1)
        .fetch_all(&self.reads)
        .await?;
        let more = lines.len() > usize::try_from(LINES_MAX).unwrap_or(usize::MAX);
        lines.truncate(usize::try_from(LINES_MAX).unwrap_or(usize::MAX));
        Ok((lines, more))
    }
}
