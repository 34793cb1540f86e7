//! Who may see which reports and jobs: the one place that says so, as conditions of SQL.
//! They bind $1 to $4 by [`sight_arguments`].

use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

use crate::access::Sight;
use crate::error::Error;
use crate::error::Result;

/// Whether the report of this column is the user's, shared with them, or they see all; and the key lets them.
pub(super) fn report_is_seen(report: &str) -> String {
    format!(
        "(($1 > 0
           or exists (select 1 from reports as own where own.id = {report} and own.owner_id = $2)
           or exists (select 1 from report_shares as share where share.report_id = {report}
                      and (share.user_id = $2
                           or share.user_id is null and share.group_id is null
                           or share.group_id in (select group_id from group_users where user_id = $2))))
          and ($3 is null or {report} in (select value from json_each($3))))"
    )
}

/// Whether a row of `jobs` is the user's own, as `own` says, or they see all: of an import, or of a report
/// that they may still see; and the key lets them.
pub(super) fn job_is_seen(own: &str) -> String {
    let of_report = report_is_seen("jobs.report_id");
    format!(
        "(($1 > 1 or {own})
          and (case when jobs.report_id is null then $3 is null else {of_report} end)
          and ($4 is null or jobs.pins = $4))"
    )
}

pub(super) fn sight_arguments(sight: &Sight) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    let added = arguments
        .add(sight.reach as i64)
        .and_then(|()| arguments.add(sight.user_id))
        .and_then(|()| arguments.add(sight.reports.clone()))
        .and_then(|()| arguments.add(sight.pins.clone()));
    added.map_err(Error::internal)?;
    Ok(arguments)
}
