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
use crate::cli::output::shown;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// How soon a job is looked at again, at first and later.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);
/// How often in a row the server may be out of reach.
const FAILURES_MAX: u32 = 30;

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
        last_id = last.id;
        for line in &logs.logs {
            say_object(
                line,
                &format!("{} {} {}", line.timestamp, line.level, line.message),
            )?;
        }
    }
}

fn logs_path(job_id: i64, last_id: i64) -> String {
    format!("/jobs/{job_id}/logs.json?last_id={last_id}")
}

/// Prints what the job tells, and fails if it does. With `--json`, each line of its log, then the job.
pub(super) fn follow(client: &Client, job_id: i64) -> Result<()> {
    let mut last_id = 0;
    let mut status = String::new();
    let mut pause = LOOK_AGAIN_MIN;
    // Only a server that was there may be waited for.
    let mut failures = FAILURES_MAX;
    loop {
        match look(client, job_id, last_id) {
            Ok((job, logs)) => {
                failures = 0;
                // The lines that lead to an end come before it.
                if logs.has_more && job.status != status {
                    tell(&format!("[job:{job_id}] Status: {}", job.status))?;
                    status.clone_from(&job.status);
                }
                for line in &logs.logs {
                    last_id = line.id;
                    pause = LOOK_AGAIN_MIN;
                    // An error comes once more, as the job's, and a status is told already.
                    let is_told = line.level == "ERROR" || STATUSES.contains(&line.message.as_str());
                    if is_json() {
                        say_object(line, "")?;
                    } else if !is_told {
                        say!("[job:{job_id}] {}", line.message);
                    }
                }
                if !logs.has_more {
                    return end(job_id, client);
                }
            }
            Err(error) if error.code == ErrorCode::Unreachable && failures < FAILURES_MAX => failures += 1,
            Err(error) => return Err(error),
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(LOOK_AGAIN_MAX);
    }
}

fn look(client: &Client, job_id: i64, last_id: i64) -> Result<(Job, Logs)> {
    let job: Job = client.get_json(&format!("/jobs/{job_id}.json"))?;
    let logs = client.get_json(&logs_path(job_id, last_id))?;
    Ok((job, logs))
}

fn end(job_id: i64, client: &Client) -> Result<()> {
    let answer: Box<RawValue> = client.get_json(&format!("/jobs/{job_id}.json"))?;
    let job: Job = serde_json::from_str(answer.get()).map_err(|_| client.is_no_server())?;
    if is_json() {
        print(answer.get())?;
    }
    tell(&format!("[job:{job_id}] Status: {}", job.status))?;
    match job.status.as_str() {
        "success" => tell(&format!("[job:{job_id}] Done.")),
        _ => Err(Error::new(
            ErrorCode::SourceFailed,
            format!("[job:{job_id}] {}: {}", job.status, job.error.unwrap_or_default()),
        )),
    }
}

/// What the log or the job say too, where these are printed whole.
fn tell(line: &str) -> Result<()> {
    match is_json() {
        true => Ok(()),
        false => print(&shown(line)),
    }
}
