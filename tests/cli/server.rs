//! A server in a process of its own, and the program's other commands.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_holistics");

pub(crate) fn holistics(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A server in a process of its own; killed when dropped.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) host: String,
    pub(crate) log: mpsc::Receiver<String>,
}

impl Server {
    pub(crate) fn start(data_dir: &Path, more: &[&str]) -> Self {
        Self::start_as(Command::new(BINARY), data_dir, more)
    }

    /// Starts it by another command, which runs the program with the arguments it is given.
    pub(crate) fn start_as(mut command: Command, data_dir: &Path, more: &[&str]) -> Self {
        let mut process = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let host = loop {
            let line = log.recv().expect("the server ended before it served");
            if let Some((_, host)) = line.split_once("serving on ") {
                break host.split('"').next().unwrap().to_owned();
            }
        };
        Self { process, host, log }
    }

    pub(crate) fn get(&self, path: &str, key: &str) -> (u16, String) {
        get(&format!("{}{path}", self.host), key)
    }

    pub(crate) fn json(&self, path: &str, key: &str) -> Value {
        let (_, body) = self.get(path, key);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &process])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn submit(&self, path: &str, key: &str) -> i64 {
        let answer = self.json(path, key);
        answer["job_id"].as_i64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// Polls until the job is done.
    pub(crate) fn wait(&self, poll: &str, key: &str) -> Value {
        loop {
            let answer = self.json(poll, key);
            match answer["status"].as_str().unwrap() {
                "queued" | "running" | "not yet" => std::thread::yield_now(),
                _ => return answer,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is what some tests are about.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a command prints, which must succeed.
fn succeeded(arguments: &[&str]) -> String {
    let output = holistics(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// Applies a folder of reports.
pub(crate) fn apply(reports: &Path, data_dir: &Path) {
    let [reports, data_dir] = [reports, data_dir].map(|path| path.to_str().unwrap());
    succeeded(&["reports", "apply", reports, "--data-dir", data_dir]);
}

/// Whether the user of `folder_with_key` may import: `on` or `off`.
pub(crate) fn set_imports(data_dir: &Path, may: &str) {
    let data_dir = data_dir.to_str().unwrap();
    succeeded(&["users", "imports", "ann@example.com", may, "--data-dir", data_dir]);
}

pub(crate) fn get(url: &str, key: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(url).header("X-Holistics-Key", key).call().unwrap();
    let body = response
        .body_mut()
        .with_config()
        .limit(1 << 30)
        .read_to_string()
        .unwrap();
    (response.status().as_u16(), body)
}

/// A data folder with report 1, a user and their key.
pub(crate) fn folder_with_key(sql: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let reports = folder.path().join("reports");
    fs::create_dir(&reports).unwrap();
    fs::write(
        reports.join("1.sql"),
        format!("---\nid: 1\ntitle: One\nshared_with: everyone\n---\n{sql}"),
    )
    .unwrap();
    apply(&reports, folder.path());
    succeeded(&[
        "users",
        "add",
        "ann@example.com",
        "--api-access",
        "--data-dir",
        data_dir,
    ]);
    let key = succeeded(&[
        "keys",
        "create",
        "--user",
        "ann@example.com",
        "--scope",
        "run,read,import",
        "--data-dir",
        data_dir,
    ]);
    assert_eq!(key.len(), 49, "the key alone and a line end: {key}");
    (folder, key.trim_end().to_owned())
}
