//! What a request for a report's data becomes: a job, and its place in the queue.

use std::time::Duration;

use crate::access::Pins;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::Format;
use crate::exports::options::Options;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::params::flag;
use crate::job::JobKind;
use crate::job::NewJob;
use crate::job::Submitted;
use crate::kill_point::kill_point;
use crate::query::Dialect;
use crate::query::compile::compile;
use crate::query::raw_values::Given;
use crate::query::raw_values::RawValues;
use crate::query::scalar::shown as filter_shown;
use crate::query::values::parse_values;
use crate::report::Allowed;
use crate::report::Filter;
use crate::report::Report;
use crate::source::WAREHOUSE;
use crate::source::WAREHOUSE_ID;
use crate::store::idempotency::Idempotency;
use crate::store::reports::VersionedReport;

/// How many names of filters that a report has not are told.
const UNKNOWN_SHOWN_MAX: usize = 10;

/// What is asked for beside the values of filters.
pub(super) struct Asked {
    /// `None` for pages.
    pub(super) format: Option<Format>,
    pub(super) options: Options,
    /// The filter whose values are asked for, instead of the report's rows.
    pub(super) values_of: Option<String>,
    /// How old a finished result may be; `None`: nothing of earlier will do.
    pub(super) cache: Option<Duration>,
    pub(super) truncate: bool,
}

impl Asked {
    /// Reads it beside the values of filters; a report says how old a result may be.
    pub(super) fn of(
        raw: &RawValues,
        format: Option<Format>,
        values_of: Option<String>,
        cache: Duration,
    ) -> Result<Self, Error> {
        let reserved = |name: &str| raw.reserved(name);
        let may_reuse = match reserved("_cache") {
            None | Some("" | "on") => true,
            Some("off") => false,
            Some(other) => return Err(Error::must_be("_cache", "`on` or `off`", other)),
        };
        let truncate = flag("_truncate", reserved("_truncate"))?;
        let options = match format {
            Some(format) => Options::parse(format, reserved)?,
            None => {
                Options::refuse(reserved)?;
                Options::default()
            }
        };
        Ok(Self {
            format,
            options,
            values_of,
            cache: may_reuse.then_some(cache),
            truncate,
        })
    }

    /// What makes another job of the same values.
    pub(super) fn words(&self) -> Result<(String, bool, bool, Option<String>), Error> {
        let options = serde_json::to_string(&self.options).map_err(Error::internal)?;
        Ok((
            options,
            self.cache.is_some(),
            self.truncate,
            self.values_of.clone(),
        ))
    }
}

/// Checks the values and makes the statement that will run.
pub(super) async fn new_job(
    app: &App,
    caller: &Caller,
    found: &VersionedReport,
    raw: &RawValues,
    asked: Asked,
) -> Result<NewJob, Rejection> {
    let report = &found.report;
    let values = parse_values(report, raw, chrono::Utc::now().naive_utc())?;
    let (source_id, dialect) = source_of(app, report).await?;
    let cache = asked.cache.unwrap_or_default();
    Ok(NewJob {
        kind: match asked.format {
            None => JobKind::Query,
            Some(_) => JobKind::Export,
        },
        format: asked
            .format
            .map(|format| format.extension().to_owned())
            .unwrap_or_default(),
        options: serde_json::to_string(&asked.options).map_err(Error::internal)?,
        values_of: asked.values_of,
        user_id: caller.user.id,
        key: caller.key(),
        pins: caller.pins()?,
        report_id: report.id,
        report_version: found.version,
        source_id,
        filter_values: serde_json::to_string(&values.shown(report)).map_err(Error::internal)?,
        statement: compile(report, &values, dialect, &caller.terms.pins)?,
        cache_us: i64::try_from(cache.as_micros()).unwrap_or(i64::MAX),
        may_join: asked.cache.is_some(),
        truncate: asked.truncate,
    })
}

/// Whether the caller may take whole files.
pub(super) fn may_export(caller: &Caller) -> Result<(), Error> {
    match caller.user.can_export {
        true => Ok(()),
        false => {
            let message = format!("{} may not export; pages can be read", caller.user.email);
            Err(Error::new(ErrorCode::Forbidden, message))
        }
    }
}

/// Puts the values of the key in. Where they would do nothing, the report is closed.
pub(super) fn pin(raw: &mut RawValues, pins: &Pins, report: &Report) -> Result<(), Error> {
    let forbidden = |message: String| Err(Error::new(ErrorCode::Forbidden, message));
    if let Some(name) = unknown_pin(pins, report) {
        return forbidden(format!(
            "this key pins filter `{name}`, which report `{}` has not",
            report.id
        ));
    }
    for (name, texts) in pins {
        if texts.iter().all(|text| text.trim_matches([' ', ',']).is_empty()) {
            return forbidden(format!("this key pins filter `{name}` to no value"));
        }
        if raw
            .get(name)
            .is_some_and(|given| *given != Given::Texts(texts.clone()))
        {
            return forbidden(format!(
                "filter `{name}` has its value from the key: leave it out"
            ));
        }
        raw.set(name, texts.clone());
    }
    Ok(())
}

/// A pinned filter that the report has not, so that it is closed to the key.
pub(super) fn unknown_pin<'a>(pins: &'a Pins, report: &Report) -> Option<&'a str> {
    let has = |name: &String| report.filters.iter().any(|filter| filter.names().contains(name));
    pins.keys().find(|name| !has(name)).map(String::as_str)
}

/// The query that lists what a filter may be, as a report without filters.
pub(super) fn values_report(report: &Report, filter: &str, pins: &Pins) -> Result<Report, Error> {
    // The query knows nothing of pins, and would show of what they leave a part.
    if !pins.is_empty() {
        let message = "this key pins filters: what they and others may be is not for it to see";
        return Err(Error::new(ErrorCode::Forbidden, message));
    }
    let (shown, title) = (filter_shown(filter), &report.title);
    let Some(found) = report.filters.iter().find(|found| found.name == filter) else {
        return Err(Error::invalid(format!("report `{title}` has no filter {shown}")));
    };
    let Some(Allowed::Sql(sql)) = &found.allowed else {
        return Err(Error::invalid(format!(
            "no query lists what filter {shown} may be: report `{title}` itself says it, if anything does"
        )));
    };
    Ok(Report {
        sql: sql.clone(),
        filters: Vec::new(),
        ..report.clone()
    })
}

/// Refuses values for filters that the report has not, which would do nothing.
pub(super) fn refuse_unknown(raw: &RawValues, report: &Report) -> Result<(), Error> {
    let names: Vec<String> = report.filters.iter().flat_map(Filter::names).collect();
    let unknown = raw.given().keys().filter(|given| !names.contains(given));
    let unknown: Vec<String> = unknown
        .take(UNKNOWN_SHOWN_MAX)
        .map(|name| filter_shown(name))
        .collect();
    match unknown.as_slice() {
        [] => Ok(()),
        unknown => Err(Error::invalid(format!(
            "report `{}` has no filter {}; {}",
            report.title,
            unknown.join(", "),
            match names.as_slice() {
                [] => "it has no filters".to_owned(),
                names => format!("its filters are `{}`", names.join("`, `")),
            }
        ))),
    }
}

/// Where a report runs, and how SQL is written there.
pub(super) async fn source_of(app: &App, report: &Report) -> Result<(i64, Dialect), Rejection> {
    if report.source == WAREHOUSE {
        return Ok((WAREHOUSE_ID, Dialect::DuckDb));
    }
    let source = app.store.source_named(&report.source).await.map_err(|error| {
        // The report is there; what it needs is not.
        Error::new(ErrorCode::SourceFailed, error.message)
    })?;
    Ok((source.id, Dialect::of(source.kind)))
}

/// Submits, and tells the workers; both, even if the client goes away meanwhile.
pub(super) async fn queue(app: &App, new: NewJob, once: Option<Idempotency>) -> Result<Submitted, Error> {
    let store = app.store.clone();
    let queued = app.queued.clone();
    let queue_max = app.config.queue_max;
    let queueing = tokio::spawn(async move {
        let submitted = match once {
            None => store.submit(&new, queue_max).await?,
            Some(once) => store.submit_once(&new, queue_max, &once).await?,
        };
        kill_point("submitted");
        if matches!(submitted, Submitted::Created(_)) {
            queued.notify_one();
        }
        Ok(submitted)
    });
    queueing.await.map_err(Error::internal)?
}
