//! Follows a job on a server to its end, by its log.

use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::client::Client;
use crate::cli::output::is_json;
use crate::cli::output::print;
use crate::cli::output::say_object;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// How soon a job is looked at again, at first and later.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);
/// What a job is that has ended.
const ENDED: [&str; 3] = ["success", "failure", "cancelled"];
/// What a log says where the status says it too.
const STATUSES: [&str; 4] = ["queued", "running", "cancelling", "cancelled"];

#[derive(Deserialize)]
struct Logs {
    logs: Vec<Line>,
    has_more: bool,
}

/// As the API has it.
#[derive(Deserialize, Serialize)]
struct Line {
    id: i64,
    timestamp: String,
    level: String,
    message: String,
}

impl Line {
    fn say(&self) -> Result<()> {
        let Self {
            timestamp,
            level,
            message,
            ..
        } = self;
        say_object(self, &format!("{timestamp} {level} {message}"))
    }
}

#[derive(Deserialize)]
struct Job {
    status: String,
    error: Option<String>,
}

/// Prints the log as it is now.
pub(super) fn print_log(client: &Client, job_id: i64) -> Result<()> {
    let mut last_id = 0;
    loop {
        let logs: Logs = client.get_json(&logs_path(job_id, last_id))?;
        let Some(last) = logs.logs.last() else {
            return Ok(());
        };
        // What comes again has no end.
        if last.id <= last_id {
            return Err(client.is_no_server());
        }
        last_id = last.id;
        for line in &logs.logs {
            line.say()?;
        }
    }
}

fn logs_path(job_id: i64, last_id: i64) -> String {
    format!("/jobs/{job_id}/logs.json?last_id={last_id}")
}

/// How a job is told of.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Told {
    /// Its statuses and messages.
    Steps,
    /// Its log, line by line.
    Log,
}

/// Prints what the job tells, and fails if it does. With `--json`, each line of its log, then the job.
pub(super) fn follow(client: &Client, job_id: i64, told: Told) -> Result<()> {
    let told = if is_json() { Told::Log } else { told };
    let mut last_id = 0;
    let mut status = String::new();
    let mut pause = LOOK_AGAIN_MIN;
    loop {
        let job: Job = client.get_json(&format!("/jobs/{job_id}.json"))?;
        let logs: Logs = client.get_json(&logs_path(job_id, last_id))?;
        // The lines that lead to an end come before it.
        if told == Told::Steps && logs.has_more && job.status != status {
            say!("[job:{job_id}] Status: {}", job.status);
            status.clone_from(&job.status);
        }
        // A server may always promise more.
        let is_over = ENDED.contains(&job.status.as_str()) && logs.logs.is_empty();
        for line in &logs.logs {
            // What comes again has no end.
            if line.id <= last_id {
                return Err(client.is_no_server());
            }
            last_id = line.id;
            pause = LOOK_AGAIN_MIN;
            // An error comes once more, as the job's, and a status is told already.
            let is_told = line.level == "ERROR" || STATUSES.contains(&line.message.as_str());
            match told {
                Told::Log => line.say()?,
                Told::Steps if !is_told => say!("[job:{job_id}] {}", line.message),
                Told::Steps => {}
            }
        }
        if is_over || !logs.has_more {
            return end(job_id, client, told);
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(LOOK_AGAIN_MAX);
    }
}

fn end(job_id: i64, client: &Client, told: Told) -> Result<()> {
    let answer: Box<RawValue> = client.get_json(&format!("/jobs/{job_id}.json"))?;
    let job: Job = serde_json::from_str(answer.get()).map_err(|_| client.is_no_server())?;
    if is_json() {
        print(answer.get())?;
    }
    if told == Told::Steps {
        say!("[job:{job_id}] Status: {}", job.status);
    }
    if job.status != "success" {
        let why = job.error.map(|error| format!(": {error}")).unwrap_or_default();
        let message = format!("[job:{job_id}] {}{why}", job.status);
        let code = match job.status.as_str() {
            "cancelled" => ErrorCode::Cancelled,
            _ => ErrorCode::SourceFailed,
        };
        return Err(Error::new(code, message));
    }
    if told == Told::Steps {
        say!("[job:{job_id}] Done.");
    }
    Ok(())
}
