//! Reports and their versions.

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::SqliteConnection;

use crate::access::Sight;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::memo::Memo;
use crate::report::Report;
use crate::store::Store;
use crate::store::access::report_is_seen;
use crate::store::access::sight_arguments;
use crate::store::leases::CANCEL;
use crate::store::must_exist;
use crate::store::now_us;
use crate::store::shares::share;
use crate::user::User;

/// The report as it runs now, and the number of that version.
pub(crate) struct VersionedReport {
    pub(crate) report: Arc<Report>,
    pub(crate) version: i64,
    /// Whose it is, unless it was applied on the server itself.
    pub(crate) owner_id: Option<i64>,
}

/// What applying a report does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Created,
    /// There is a new version, with this number.
    Changed(i64),
    Unchanged,
}

/// Versions of reports that were read before, by report and version. A version never changes.
pub(super) type KnownVersions = Memo<(i64, i64), Arc<Report>>;

const CURRENT: &str = "
    select reports.version, definition, owner_id from reports
    join report_versions on report_id = reports.id and report_versions.version = reports.version";

impl Store {
    /// The report, if these eyes may see it.
    pub(crate) async fn report_seen_by(&self, id: i64, sight: &Sight) -> Result<Option<VersionedReport>> {
        let sql = format!(
            "select version, owner_id from reports where id = $5 and {}",
            report_is_seen("reports.id")
        );
        let found: Option<(i64, Option<i64>)> =
            sqlx::query_as_with(AssertSqlSafe(sql), sight_arguments(sight)?)
                .bind(id)
                .fetch_optional(&self.reads)
                .await?;
        let Some((version, owner_id)) = found else {
            return Ok(None);
        };
        let report = self.report_version(id, version).await?;
        Ok(Some(VersionedReport {
            report,
            version,
            owner_id,
        }))
    }

    /// The reports that these eyes may see.
    pub(crate) async fn reports_seen_by(&self, sight: &Sight) -> Result<Vec<VersionedReport>> {
        let sql = format!(
            "{CURRENT} where {} order by reports.id",
            report_is_seen("reports.id")
        );
        let rows: Vec<Row> = sqlx::query_as_with(AssertSqlSafe(sql), sight_arguments(sight)?)
            .fetch_all(&self.reads)
            .await?;
        rows.into_iter().map(parse).collect()
    }

    /// A report as it was in this version.
    pub(crate) async fn report_version(&self, id: i64, version: i64) -> Result<Arc<Report>> {
        if let Some(known) = self.versions.get(&(id, version)) {
            return Ok(known);
        }
        let definition: String = sqlx::query_scalar(
            "select definition from report_versions where report_id = $1 and version = $2",
        )
        .bind(id)
        .bind(version)
        .fetch_one(&self.reads)
        .await?;
        let report: Arc<Report> = Arc::new(serde_json::from_str(&definition)?);
        self.versions.set((id, version), report.clone());
        Ok(report)
    }

    /// Makes each report's newest version equal to the one given: all of them, or on an error none.
    /// A new one is this user's, and one that is there is theirs to change or not; without a user it is administrators'
    /// alone from now on. Sharing stays as it is otherwise, unless a report says with whom.
    pub(crate) async fn apply_reports(
        &self,
        reports: &[Report],
        by: Option<&User>,
        dry_run: bool,
    ) -> Result<Vec<Change>> {
        let current_of = format!("{CURRENT} where reports.id = $1");
        let mut transaction = self.begin_write().await?;
        let mut changes = Vec::with_capacity(reports.len());
        for report in reports {
            match by {
                Some(user) => may_apply(&mut transaction, user, report.id).await?,
                None => take_over(&mut transaction, report.id).await?,
            }
            let current: Option<Row> = sqlx::query_as(AssertSqlSafe(current_of.as_str()))
                .bind(report.id)
                .fetch_optional(&mut *transaction)
                .await?;
            let (version, change) = match current.map(parse).transpose()? {
                Some(current) if *current.report == *report => {
                    if let Some(shared_with) = &report.shared_with {
                        share(&mut transaction, report.id, shared_with).await?;
                    }
                    changes.push(Change::Unchanged);
                    continue;
                }
                Some(current) => (current.version + 1, Change::Changed(current.version + 1)),
                // One of this number may have been removed.
                None => {
                    let last = "select coalesce(max(version), 0) from report_versions where report_id = $1";
                    let last: i64 = sqlx::query_scalar(last)
                        .bind(report.id)
                        .fetch_one(&mut *transaction)
                        .await?;
                    (last + 1, Change::Created)
                }
            };
            sqlx::query(
                "insert into report_versions (report_id, version, definition, created_at) values ($1, $2, $3, $4)",
            )
            .bind(report.id)
            .bind(version)
            .bind(serde_json::to_string(report)?)
            .bind(now_us())
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "insert into reports (id, version, owner_id) values ($1, $2, $3)
                 on conflict (id) do update set version = excluded.version",
            )
            .bind(report.id)
            .bind(version)
            .bind(by.map(|user| user.id))
            .execute(&mut *transaction)
            .await?;
            if let Some(shared_with) = &report.shared_with {
                share(&mut transaction, report.id, shared_with).await?;
            }
            changes.push(change);
        }
        if !dry_run {
            transaction.commit().await?;
        }
        Ok(changes)
    }
}

impl Store {
    /// Removes a report. Its versions stay, as long as jobs are remembered that ran them.
    /// Jobs that are not done are cancelled: nobody could fetch what they make, or stop them.
    /// Refused to a user who may not change it; without one it is done on the server itself.
    pub(crate) async fn remove_report(&self, id: i64, by: Option<&User>) -> Result<()> {
        let mut transaction = self.begin_write().await?;
        may_change(&mut transaction, id, by).await?;
        sqlx::query("delete from reports where id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let sql = format!("{CANCEL} and report_id = $2 returning id");
        let cancelled: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(now_us())
            .bind(id)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        for job_id in cancelled {
            self.changes.tell(job_id);
        }
        Ok(())
    }
}

/// A report that is there is its owner's and administrators' to change: as they are by now, in the transaction.
pub(super) async fn may_change(connection: &mut SqliteConnection, id: i64, by: Option<&User>) -> Result<()> {
    let may: Option<bool> = sqlx::query_scalar(
        "select $2 is null or owner_id is $2
                or exists (select 1 from users where id = $2 and role = 'administrator')
         from reports where id = $1",
    )
    .bind(id)
    .bind(by.map(|user| user.id))
    .fetch_optional(connection)
    .await?;
    match may {
        None => must_exist(0, &format!("report `{id}`")),
        Some(true) => Ok(()),
        Some(false) => {
            let message = format!("report `{id}` can be changed by its owner or an administrator");
            Err(Error::new(ErrorCode::Forbidden, message))
        }
    }
}

/// The number of a report that was removed is nobody's to take but administrators': its jobs and keys may still be there.
async fn may_apply(connection: &mut SqliteConnection, user: &User, id: i64) -> Result<()> {
    let (is_there, was_there): (bool, bool) = sqlx::query_as(
        "select exists (select 1 from reports where id = $1),
                exists (select 1 from report_versions where report_id = $1)
                and not exists (select 1 from users where id = $2 and role = 'administrator')",
    )
    .bind(id)
    .bind(user.id)
    .fetch_one(&mut *connection)
    .await?;
    match (is_there, was_there) {
        (true, _) => may_change(connection, id, Some(user)).await,
        (false, false) => Ok(()),
        (false, true) => {
            let message = format!(
                "report `{id}` was removed: an administrator may bring it back, or take another number"
            );
            Err(Error::new(ErrorCode::Conflict, message))
        }
    }
}

/// What is applied on the server itself is nobody's own.
async fn take_over(connection: &mut SqliteConnection, id: i64) -> Result<()> {
    let taken = sqlx::query("update reports set owner_id = null where id = $1 and owner_id is not null")
        .bind(id)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    if taken > 0 {
        share(connection, id, &[]).await?;
    }
    Ok(())
}

/// Version, definition and owner.
type Row = (i64, String, Option<i64>);

fn parse((version, definition, owner_id): Row) -> Result<VersionedReport> {
    Ok(VersionedReport {
        report: Arc::new(serde_json::from_str(&definition)?),
        version,
        owner_id,
    })
}
