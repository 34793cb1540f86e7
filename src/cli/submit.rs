//! A report of a server, found, submitted and waited for.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use indicatif::ProgressBar;
use indicatif::ProgressFinish;
use indicatif::ProgressStyle;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::interrupt::Interrupt;
use crate::cli::keyed::Keyed;
use crate::cli::table::plain;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::query::raw_values::is_reserved;

/// How long one poll waits, in seconds: where nobody looks, and where a line tells what happens, at first and later,
/// because a key may be good for so many requests a minute.
const WAIT_SECS: f64 = 10.0;
const WAIT_SHOWN_SECS: f64 = 1.0;
const WAIT_SHOWN_SECS_MAX: f64 = 5.0;

#[derive(Deserialize)]
struct Listed {
    id: i64,
    slug: String,
    title: String,
}

#[derive(Deserialize)]
struct Polled {
    status: String,
    error: Option<String>,
    /// A newer server may have others.
    code: Option<Value>,
}

/// The report with this number, with this title, or with this number and slug.
pub(super) fn report_id(client: &Client, given: &str) -> Result<i64> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let reports: Vec<Listed> = client.get_json("/queries.json")?;
    let reports = reports.iter();
    the_one(
        given,
        reports.map(|report| (report.id, report.slug.as_str(), report.title.as_str())),
    )
}

/// The number before a slug, which may be one that a report had once: `2-revenue` is report 2, `2-year trend` a title.
fn number(given: &str) -> Option<i64> {
    let (number, slug) = given.split_once('-')?;
    let is_slug = !slug.contains(char::is_whitespace);
    number.parse().ok().filter(|_| is_slug)
}

/// Of reports by number, slug and title: the one with this slug, else the only one with this title, letter by letter or
/// else in any case, else the one that the number before a slug is of. What means one report by its title and another by
/// its number is refused. The Python package has the same order.
pub(super) fn the_one<'a>(
    given: &str,
    reports: impl Iterator<Item = (i64, &'a str, &'a str)>,
) -> Result<i64> {
    let (wanted, number) = (given.to_lowercase(), number(given));
    // The lower, the better.
    let rank = |id, slug, title: &str| match () {
        () if slug == given => Some(0),
        () if title == given => Some(1),
        () if title.to_lowercase() == wanted => Some(2),
        () if Some(id) == number => Some(3),
        () => None,
    };
    let found = reports.filter_map(|(id, slug, title)| Some((rank(id, slug, title)?, id)));
    let found: Vec<(u8, i64)> = found.collect();
    let best = found.iter().map(|(rank, _)| *rank).min();
    let is_numbered = best > Some(0) && found.iter().any(|(_, id)| Some(*id) == number);
    let found = found.into_iter().filter(|(rank, _)| Some(*rank) == best);
    let found: Vec<i64> = found.map(|(_, id)| id).collect();
    match (found.as_slice(), number) {
        ([id], Some(number)) if is_numbered && *id != number => Err(Error::invalid(format!(
            "`{given}` is the title of report {id}, and report {number} by its number; name it by its number alone"
        ))),
        ([id], _) => Ok(*id),
        ([], _) => Err(Error::new(
            ErrorCode::NotFound,
            format!("there is no report `{given}`: `holistics reports list` shows those that you may run"),
        )),
        (ids, _) => Err(Error::invalid(format!(
            "{} reports have the title `{given}`; name one by its number: {}",
            ids.len(),
            ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// `a=1` and `b=2`, `b=3` are `{"a": "1", "b": ["2", "3"]}`.
fn filters(given: &[String]) -> Result<Value> {
    let values = by_name(given)?;
    let values = values.into_iter().map(|(name, values)| match values.as_slice() {
        [value] => (name.to_owned(), json!(value)),
        _ => (name.to_owned(), json!(values)),
    });
    Ok(Value::Object(values.collect()))
}

/// Values of filters as the command line has them, by the filter's name.
pub(super) fn by_name(given: &[String]) -> Result<BTreeMap<&str, Vec<&str>>> {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for filter in given {
        let (name, value) = filter
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Error::must_be("--filter", "like since=2026-01-31", filter))?;
        if is_reserved(name) {
            return Err(Error::invalid(format!(
                "`{name}` is no filter: names that begin with `_`, and job_id, are the API's own"
            )));
        }
        values.entry(name).or_default().push(value);
    }
    Ok(values)
}

/// How soon a server is asked again that answers at once, at first and later.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What polls say of a job that goes on; the first is said of a file.
const PENDING: [&str; 6] = [
    "not yet",
    "created",
    "queued",
    "running",
    "cancelling",
    "already_existed",
];

/// The options of a submit that `--truncate` and `--fresh` stand for.
pub(super) fn options(truncate: bool, fresh: bool) -> Vec<(&'static str, &'static str)> {
    let truncate = truncate.then_some(("_truncate", "true"));
    let fresh = fresh.then_some(("_cache", "off"));
    truncate.into_iter().chain(fresh).collect()
}

/// What is asked of a report.
pub(super) struct Submit<'a> {
    pub(super) report: &'a str,
    /// As in the route: `submit_query.json`.
    pub(super) action: &'a str,
    pub(super) filters: &'a [String],
    pub(super) options: Vec<(&'a str, &'a str)>,
}

/// Submits it and says the job's id.
pub(super) fn submit(client: &Client, asked: &Submit, interrupt: &Interrupt) -> Result<i64> {
    let body = filters(asked.filters)?;
    let id = report_id(client, asked.report)?;
    let options = asked
        .options
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)));
    // A misspelled filter would let all rows out.
    let options = options.chain(["_strict=true".to_owned()]);
    let options = options.collect::<Vec<_>>().join("&");
    let path = format!("/queries/{id}/{}?{options}", asked.action);
    interrupt.submitting(client, &Keyed::new(path, body)?)
}

pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// Takes what a job makes while it makes it, for whose beginning it waits so many seconds.
pub(super) type Follow<'a> = dyn FnMut(f64) -> Result<Begun> + 'a;

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Begun {
    /// To its end, or until it broke off.
    Taken,
    NotYet,
    /// It could not be asked for.
    Unknown,
}

/// Asks until the job is done and hands the answer out.
pub(super) fn wait(
    client: &Client,
    job_id: i64,
    poll: &str,
    bar: &ProgressBar,
    interrupt: &Interrupt,
    follow: Option<&mut Follow>,
) -> Result<String> {
    // If it is not over, nobody will know.
    poll_until_done(client, job_id, poll, bar, interrupt, follow)
        .map_err(|error| interrupt.given_up(client, error))
}

/// What a command that has it says of a result over a limit.
pub(super) fn with_hint_of_truncate(mut error: Error) -> Error {
    if error.message.starts_with("the result's ") && error.message.contains(" passed the limit of ") {
        error.message.push_str("; --truncate takes the first rows alone");
    }
    error
}

fn poll_until_done(
    client: &Client,
    job_id: i64,
    poll: &str,
    bar: &ProgressBar,
    interrupt: &Interrupt,
    mut follow: Option<&mut Follow>,
) -> Result<String> {
    let mut line = Line::new(client, job_id, bar);
    let (mut is_polled, mut pause) = (true, PAUSE_MIN);
    let gone = |error: Error| match error.code {
        ErrorCode::NotFound => Error::new(
            ErrorCode::SourceFailed,
            format!("job {job_id} is gone: its report was removed, or is not shared with you any more"),
        ),
        _ => error,
    };
    loop {
        let secs = client.wait_secs(line.wait_secs);
        let asked_at = Instant::now();
        let followed = follow.as_mut().map(|follow| follow(secs)).transpose()?;
        if followed == Some(Begun::Taken) {
            follow = None;
        }
        // A server that cannot be followed has answered at once.
        let has_waited = followed == Some(Begun::NotYet) && asked_at.elapsed().as_secs_f64() > secs / 2.0;
        // After a wait every other time is enough: a job that has failed does not begin either.
        is_polled = !(has_waited && is_polled);
        if !is_polled {
            line.renew();
            continue;
        }
        let secs = if has_waited { 0.0 } else { secs };
        let text = client.get_ok(&format!("{poll}&_wait={secs}")).map_err(gone)?;
        let polled: Polled = serde_json::from_str(&text).map_err(|_| client.is_no_server())?;
        match polled.status.as_str() {
            "success" => {
                interrupt.job_is_over();
                return Ok(text);
            }
            "failure" | "cancelled" => {
                interrupt.job_is_over();
                let mut message = polled.error.unwrap_or_else(|| "the job failed".to_owned());
                let code = polled.code.and_then(|code| serde_json::from_value(code).ok());
                if message.ends_with(" that its `values_sql` lists") {
                    message.push_str("; `holistics reports values` shows them");
                }
                return Err(Error::new(code.unwrap_or(ErrorCode::SourceFailed), message));
            }
            status if PENDING.contains(&status) => line.renew(),
            status => {
                let message = format!("job {job_id} is `{}`, which is no status of a job", plain(status));
                return Err(Error::new(ErrorCode::Unreachable, message));
            }
        }
        // A server that does not know `_wait` has answered at once, and is not to be asked without a pause.
        if !has_waited && asked_at.elapsed().as_secs_f64() < secs / 2.0 {
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// What is shown of a job, where somebody looks: the last line of its log.
struct Line<'a> {
    /// For what is but shown nobody waits.
    client: Client,
    job_id: i64,
    bar: &'a ProgressBar,
    last_id: i64,
    /// How long to wait until it is looked at again.
    wait_secs: f64,
}

impl<'a> Line<'a> {
    fn new(client: &Client, job_id: i64, bar: &'a ProgressBar) -> Self {
        Self {
            client: client.impatient(),
            job_id,
            bar,
            last_id: 0,
            wait_secs: match bar.is_hidden() {
                true => WAIT_SECS,
                false => WAIT_SHOWN_SECS,
            },
        }
    }

    fn renew(&mut self) {
        if self.bar.is_hidden() {
            return;
        }
        self.wait_secs = (self.wait_secs * 2.0).min(WAIT_SHOWN_SECS_MAX);
        let path = format!("/jobs/{}/logs.json?last_id={}", self.job_id, self.last_id);
        let logs: Value = self.client.get_json(&path).unwrap_or_default();
        if let Some(last) = logs["logs"].as_array().and_then(|lines| lines.last()) {
            self.last_id = last["id"].as_i64().unwrap_or(self.last_id);
            let message = last["message"].as_str().unwrap_or_default();
            self.bar.set_message(plain(message).into_owned());
        }
    }
}

/// A line that tells what the job does, on terminals; it goes when it is dropped, before an error is told.
pub(super) fn spinner() -> Result<ProgressBar> {
    let bar = ProgressBar::no_length()
        .with_style(style("{spinner} {wide_msg} {elapsed}")?)
        .with_finish(ProgressFinish::AndClear);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.set_message("submitting");
    Ok(bar)
}

pub(super) fn style(template: &str) -> Result<ProgressStyle> {
    ProgressStyle::with_template(template).map_err(Error::internal)
}
