//! The main job over HTTP, told as one would type it.

use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::cli::client::Client;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// Between two polls; the tour's own, clients choose theirs.
const POLL_EVERY: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(600);
const SHOWN_CHARS: usize = 300;

/// Submits, polls, pages, exports and downloads, printing each request and its answer.
pub(super) fn run(host: &str, key: &str, data_dir: &Path) -> Result<()> {
    let tour = Tour {
        client: Client::new(host, key, DEADLINE)?,
        key_file: data_dir.join("demo-key").display().to_string(),
    };
    say!("\nKEY=$(cat {})", tour.key_file);
    say!("\n# Run a report, wait, look at two pages.");
    let job_id = tour.submit("/queries/1/submit_query.json")?;
    tour.wait(&format!(
        "/queries/get_query_results.json?job_id={job_id}&_page_size=2"
    ))?;
    tour.ask(&format!(
        "/queries/get_query_results.json?job_id={job_id}&_page_size=2&_page=2"
    ))?;
    for format in ["csv", "json", "xlsx"] {
        say!("\n# The same report as {format}.");
        let job_id = tour.submit(&format!("/queries/1/submit_export.{format}"))?;
        tour.wait(&format!("/queries/get_export_results.json?job_id={job_id}"))?;
        let path = data_dir.join(format!("demo.{format}"));
        tour.download(&format!("/exports/download?job_id={job_id}"), &path)?;
    }
    Ok(())
}

struct Tour {
    client: Client,
    key_file: String,
}

impl Tour {
    fn submit(&self, path: &str) -> Result<i64> {
        let answer = self.ask(path)?;
        answer["job_id"].as_i64().ok_or_else(|| unexpected(path, &answer))
    }

    /// Polls until the job is done; shows the last answer.
    fn wait(&self, path: &str) -> Result<()> {
        self.say(path)?;
        let started = Instant::now();
        loop {
            let (answer, text) = self.get(path)?;
            match answer["status"].as_str() {
                Some("success") => {
                    say!("{}", shorten(&text));
                    return Ok(());
                }
                Some("created" | "queued" | "running" | "not yet") if started.elapsed() < DEADLINE => {
                    std::thread::sleep(POLL_EVERY);
                }
                _ => return Err(unexpected(path, &answer)),
            }
        }
    }

    fn ask(&self, path: &str) -> Result<Value> {
        self.say(path)?;
        let (answer, text) = self.get(path)?;
        say!("{}", shorten(&text));
        Ok(answer)
    }

    fn download(&self, path: &str, to: &Path) -> Result<()> {
        say!(
            "\n$ curl -sH \"X-Holistics-Key: $KEY\" '{}' -o {}",
            self.client.url(path),
            to.display()
        );
        let mut response = self.client.get_part(&self.client.url(path), 0, "")?;
        if response.status() != 200 {
            return Err(unexpected(path, &Value::from(response.status().as_u16())));
        }
        let mut file = File::create(to)?;
        let bytes = std::io::copy(&mut response.body_mut().as_reader(), &mut file)?;
        file.flush()?;
        say!("{bytes} bytes in {}", to.display());
        let mut head = Vec::new();
        File::open(to)?.take(SHOWN_CHARS as u64).read_to_end(&mut head)?;
        if let Ok(text) = String::from_utf8(head) {
            say!("{}", shorten(&text));
        }
        Ok(())
    }

    fn say(&self, path: &str) -> Result<()> {
        say!(
            "\n$ curl -sH \"X-Holistics-Key: $KEY\" '{}'",
            self.client.url(path)
        );
        Ok(())
    }

    /// The answer, and its text as it came.
    fn get(&self, path: &str) -> Result<(Value, String)> {
        let (status, text) = self.client.get_text(path)?;
        match (status, serde_json::from_str(&text)) {
            (200, Ok(answer)) => Ok((answer, text)),
            (_, answer) => Err(unexpected(path, &answer.unwrap_or(Value::from(text)))),
        }
    }
}

fn shorten(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_CHARS).collect();
    match shown.len() < text.len() {
        true => format!("{shown}…"),
        false => shown.trim_end().to_owned(),
    }
}

fn unexpected(path: &str, answer: &Value) -> Error {
    Error::new(ErrorCode::SourceFailed, format!("{path} answered {answer}"))
}
