//! What a feed is to be, as its maker says it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::Error;
use crate::http::new_job::refuse_unknown;
use crate::query::raw_values::Given;
use crate::query::raw_values::RawValues;
use crate::report::Report;
use crate::store::now_us;

/// Of the values, as JSON: they are kept as long as the feed is, and told whenever it is listed.
const VALUES_BYTES_MAX: usize = 64 << 10;

/// Ten years.
const SECONDS_MAX: i64 = 3650 * 24 * 3600;

/// A feed to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedAsked {
    pub(super) report_id: i64,
    /// `csv`, `json`, `xlsx`, `parquet`, `ndjson` or `arrow`.
    pub(super) format: String,
    /// Values by the names of filters, as a submit takes them.
    #[schema(value_type = Option<BTreeMap<String, Vec<String>>>)]
    filters: Option<Box<RawValue>>,
    /// Seconds for which a file is handed out again; 0: each fetch runs the report.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 315_360_000)]
    max_age: Option<Number>,
    /// Whether an older file may stand in for a new one that is late or fails.
    #[serde(default)]
    pub(super) stale_ok: bool,
    /// Seconds for which the feed lives; for ever unless given.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 315_360_000)]
    expires_in: Option<Number>,
    /// `data` or `excel`; of csv.
    pub(super) profile: Option<String>,
}

impl FeedAsked {
    /// The values, all of filters that the report has.
    pub(super) fn values(&self, report: &Report) -> Result<RawValues, Error> {
        let mut values = RawValues::default();
        if let Some(filters) = &self.filters {
            values.merge_json(filters.get().as_bytes())?;
        }
        if values.has_options() {
            let message = "`filters` has a name that begins with `_`, or `job_id`: no filter has such a name";
            return Err(Error::invalid(message));
        }
        refuse_unknown(&values, report)?;
        Ok(values)
    }

    pub(super) fn max_age_us(&self) -> Result<i64, Error> {
        let seconds = seconds("max_age", self.max_age.as_ref(), 0)?;
        Ok(seconds.unwrap_or_default() * 1_000_000)
    }

    /// Microseconds since 1970.
    pub(super) fn expires_at(&self) -> Result<Option<i64>, Error> {
        let seconds = seconds("expires_in", self.expires_in.as_ref(), 1)?;
        Ok(seconds.map(|seconds| now_us() + seconds * 1_000_000))
    }
}

/// The values as they are kept. What is no value has been refused before, by the filter that it was for.
pub(super) fn texts_of(values: &RawValues) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let texts = values.given().iter().filter_map(|(name, given)| match given {
        Given::Texts(texts) => Some((name.clone(), texts.clone())),
        Given::Unusable(_) => None,
    });
    let texts = texts.collect();
    let bytes = serde_json::to_string(&texts).map_err(Error::internal)?.len();
    match bytes > VALUES_BYTES_MAX {
        true => Err(Error::invalid(format!(
            "the values of a feed may take {VALUES_BYTES_MAX} bytes, got {bytes}: put long lists into a table of the source"
        ))),
        false => Ok(texts),
    }
}

/// A whole number of seconds, of at most ten years.
fn seconds(name: &str, number: Option<&Number>, least: i64) -> Result<Option<i64>, Error> {
    let Some(number) = number else {
        return Ok(None);
    };
    match number.as_i64() {
        Some(seconds) if (least..=SECONDS_MAX).contains(&seconds) => Ok(Some(seconds)),
        _ => {
            let wanted = format!("a whole number of seconds from {least} to {SECONDS_MAX}");
            Err(Error::must_be(name, &wanted, &number.to_string()))
        }
    }
}
