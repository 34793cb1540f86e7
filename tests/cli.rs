//! The program as its users start it: real processes, real sockets, real signals.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc;

use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_holistics");

fn holistics(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A server in a process of its own; killed when dropped.
struct Server {
    process: Child,
    host: String,
    log: mpsc::Receiver<String>,
}

impl Server {
    fn start(data_dir: &Path, more: &[&str]) -> Self {
        let mut process = Command::new(BINARY)
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

    fn get(&self, path: &str, key: &str) -> (u16, String) {
        get(&format!("{}{path}", self.host), key)
    }

    fn json(&self, path: &str, key: &str) -> Value {
        let (_, body) = self.get(path, key);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &process])
                .status()
                .unwrap()
                .success()
        );
    }

    fn submit(&self, path: &str, key: &str) -> i64 {
        let answer = self.json(path, key);
        answer["job_id"].as_i64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// Polls until the job is done.
    fn wait(&self, poll: &str, key: &str) -> Value {
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

fn get(url: &str, key: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(url).header("X-Holistics-Key", key).call().unwrap();
    let body = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), body)
}

/// A data folder with report 1, a user and their key.
fn folder_with_key(sql: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let reports = folder.path().join("reports");
    fs::create_dir(&reports).unwrap();
    fs::write(
        reports.join("1.sql"),
        format!("---\nid: 1\ntitle: One\n---\n{sql}"),
    )
    .unwrap();
    let applied = holistics(&[
        "reports",
        "apply",
        reports.to_str().unwrap(),
        "--data-dir",
        data_dir,
    ]);
    assert!(applied.status.success(), "{}", stderr(&applied));
    let added = holistics(&[
        "users",
        "add",
        "ann@example.com",
        "--api-access",
        "--data-dir",
        data_dir,
    ]);
    assert!(added.status.success(), "{}", stderr(&added));
    let key = holistics(&[
        "keys",
        "create",
        "--user",
        "ann@example.com",
        "--data-dir",
        data_dir,
    ]);
    assert!(key.status.success(), "{}", stderr(&key));
    let key = stdout(&key);
    assert_eq!(key.len(), 45, "the key alone and a line end: {key}");
    (folder, key.trim_end().to_owned())
}

#[test]
fn demo_shows_the_main_job_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("demo");
    let demo = || {
        let data_dir = data_dir.to_str().unwrap();
        let output = holistics(&[
            "demo",
            "--data-dir",
            data_dir,
            "--port",
            "0",
            "--scale",
            "0.01",
            "--once",
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let first = demo();
    let requests = first
        .lines()
        .filter(|line| line.starts_with("$ curl -sH \"X-Holistics-Key: $KEY\" 'http"))
        .count();
    assert_eq!(requests, 12, "{first}");
    assert!(first.contains("return_flag,line_status"), "{first}");
    let key_file = data_dir.join("demo-key");
    assert_eq!(
        fs::metadata(&key_file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::metadata(&data_dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let key = fs::read_to_string(&key_file).unwrap();
    for file in ["demo.csv", "demo.json", "demo.xlsx"] {
        assert!(fs::metadata(data_dir.join(file)).unwrap().len() > 100, "{file}");
    }
    let again = demo();
    assert!(again.contains("using the warehouse"), "{again}");
    assert!(again.contains("report 1: Pricing summary"), "{again}");
    assert_eq!(fs::read_to_string(&key_file).unwrap(), key);
    every_example_report_runs(&data_dir, key.trim());
    original_python_client_gets_its_data_frame(&data_dir, key.trim());
}

fn every_example_report_runs(data_dir: &Path, key: &str) {
    let server = Server::start(data_dir, &[]);
    for (report, filters) in [
        (1, ""),
        (
            2,
            "period_start=1995-01-01&period_end=1995-12-31&region=ASIA&by_year=true",
        ),
        (
            3,
            "segment=MACHINERY&priorities[]=1-URGENT&priorities[]=2-HIGH&sort=c_name",
        ),
        (4, ""),
        (5, ""),
        (6, "ids=1,2,3"),
        (7, ""),
    ] {
        for filters in ["", filters] {
            let job_id = server.submit(&format!("/queries/{report}/submit_query.json?{filters}"), key);
            let poll = format!("/queries/get_query_results.json?job_id={job_id}");
            let page = server.wait(&poll, key);
            assert_eq!(page["status"], "success", "{report} {filters} {page}");
            assert!(
                page["paginated"]["num_rows"].as_i64().unwrap() > 0,
                "{report} {filters}"
            );
        }
    }
    let job_id = server.submit("/queries/2/submit_query.json?region=ATLANTIS", key);
    let answer = server.wait(&format!("/queries/get_query_results.json?job_id={job_id}"), key);
    assert_eq!(answer["status"], "failure");
    assert!(answer["error"].as_str().unwrap().contains("`region`"), "{answer}");
}

fn original_python_client_gets_its_data_frame(data_dir: &Path, key: &str) {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if !python.exists() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {}", python.display());
        eprintln!("skipped: there is no {}", python.display());
        return;
    }
    let server = Server::start(data_dir, &[]);
    let script = "
import sys, pandas, requests
from holistics.holistics import HolisticsAPI
key, url, path = sys.argv[1:]
api = HolisticsAPI(api_key=key, url=url)
frame = api.export_data(1, path)
assert list(frame.columns)[:3] == ['return_flag', 'line_status', 'quantity'], frame.columns
assert len(frame) == 4 and frame.line_items.sum() > 50000, frame
assert pandas.read_csv(path).equals(frame)
frame = api.export_data('3-orders-of-a-customer-segment', path, filters={'segment': 'BUILDING', 'priorities[]': ['1-URGENT', '5-LOW']}, page_size=5, page=2)
assert set(frame.priority) == {'1-URGENT', '5-LOW'} and len(frame) > 5, frame
for wrong in (lambda: HolisticsAPI(api_key='wrong', url=url).export_data(1, path), lambda: api.export_data(99, path)):
    try:
        wrong()
    except requests.exceptions.HTTPError:
        continue
    raise AssertionError('no error')
try:
    api.export_data(2, path, filters={'region': 'ATLANTIS'})
except RuntimeError:
    pass
else:
    raise AssertionError('no error')
";
    let output = Command::new(python)
        .args(["-c", script, key, &server.host])
        .arg(data_dir.join("client.csv"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn second_server_on_a_folder_refuses_to_start() {
    let (folder, key) = folder_with_key("select 1 as n");
    let server = Server::start(folder.path(), &[]);
    let second = holistics(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        folder.path().to_str().unwrap(),
    ]);
    assert!(!second.status.success());
    let expected = format!(
        "another server (process {}) is using the data folder",
        server.process.id()
    );
    assert!(stderr(&second).contains(&expected), "{}", stderr(&second));
    assert_eq!(server.get("/users/info.json", &key).0, 200);
    let other = tempfile::tempdir().unwrap();
    let address = server.host.trim_start_matches("http://");
    let taken = holistics(&[
        "serve",
        "--listen",
        address,
        "--data-dir",
        other.path().to_str().unwrap(),
    ]);
    assert!(stderr(&taken).contains("cannot listen on"), "{}", stderr(&taken));
}

#[test]
fn server_stops_cleanly_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let (folder, key) = folder_with_key("select 1 as n");
        let mut server = Server::start(folder.path(), &["--log-format", "json"]);
        let job_id = server.submit("/queries/1/submit_query.json?_utoken=hunter2", &key);
        server.wait(&format!("/queries/get_query_results.json?job_id={job_id}"), &key);
        server.signal(signal);
        assert!(server.process.wait().unwrap().success(), "{signal}");
        assert!(
            !folder.path().join("metadata.sqlite-wal").exists(),
            "all of the metadata is in its file"
        );
        let log: Vec<String> = server.log.try_iter().collect();
        assert!(log.iter().any(|line| line.contains("stopping")), "{log:?}");
        let request = log.iter().find(|line| line.contains("submit_query")).unwrap();
        let request: Value = serde_json::from_str(request).unwrap();
        assert_eq!(request["fields"]["status"], 200);
        assert!(
            !log.iter()
                .any(|line| line.contains("hunter2") || line.contains(&key)),
            "{log:?}"
        );
    }
}

#[test]
fn killed_server_loses_no_job() {
    // Long enough to be caught in the act on any machine, short enough to wait for twice.
    let (folder, key) = folder_with_key("select sum(sin(n) * cos(n)) as s from range(60000000) as t(n)");
    let server = Server::start(folder.path(), &[]);
    let job_id = server.submit("/queries/1/submit_export.csv", &key);
    while server.json(&format!("/jobs/{job_id}.json"), &key)["status"] == "queued" {
        std::thread::yield_now();
    }
    server.signal("KILL");
    drop(server);
    let server = Server::start(folder.path(), &[]);
    let done = server.wait(&format!("/queries/get_export_results.json?job_id={job_id}"), &key);
    assert_eq!(done["status"], "success", "{done}");
    let link = done["export"]["http_path"].as_str().unwrap();
    let (status, csv) = get(link, &key);
    assert_eq!((status, csv.lines().count()), (200, 2), "{csv}");
}

#[test]
fn address_of_a_megabyte_is_refused() {
    let (folder, key) = folder_with_key("select 1 as n");
    let server = Server::start(folder.path(), &[]);
    let path = format!("/queries/1/submit_query.json?x={}", "y".repeat(1 << 20));
    use std::io::Read as _;
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(server.host.trim_start_matches("http://")).unwrap();
    // The server may answer and hang up before it has read everything.
    let _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(
        answer.starts_with("HTTP/1.1 414") || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert_eq!(server.get("/users/info.json", &key).0, 200);
}

#[test]
fn login_checks_the_token_and_remembers_it() {
    let (folder, key) = folder_with_key("select 1 as n");
    let server = Server::start(folder.path(), &[]);
    let home = tempfile::tempdir().unwrap();
    let login = |token: &str, host: Option<&str>| {
        let mut command = Command::new(BINARY);
        command
            .args(["login", token])
            .env("HOME", home.path())
            .env_remove("HOLISTICS_HOST");
        if let Some(host) = host {
            command.env("HOLISTICS_HOST", host);
        }
        command.output().unwrap()
    };
    let file = home.path().join(".holistics.yml");
    let wrong = login("wrong", Some(&server.host));
    assert!(!wrong.status.success());
    assert!(
        stderr(&wrong).contains("Error logging in. Please check your token again."),
        "{}",
        stderr(&wrong)
    );
    assert!(!file.exists());
    let right = login(&key, Some(&server.host));
    assert!(right.status.success(), "{}", stderr(&right));
    assert_eq!(
        stdout(&right),
        "Authenticating token...\nAuthentication successful. Info:\n- ID: 1\n- Email: ann@example.com\n"
    );
    let remembered = fs::read_to_string(&file).unwrap();
    assert_eq!(
        remembered,
        format!("token: \"{key}\"\nhost: \"{}\"\n", server.host)
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(login(&key, None).status.success(), "the host is remembered too");
    let nobody = login(&key, Some("http://127.0.0.1:1"));
    assert!(
        stderr(&nobody).contains("cannot reach http://127.0.0.1:1"),
        "{}",
        stderr(&nobody)
    );
}

#[test]
fn reports_are_applied_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let reports = folder.path().join("reports");
    fs::create_dir(&reports).unwrap();
    let write = |name: &str, text: &str| fs::write(reports.join(name), text).unwrap();
    let run = |more: &[&str]| {
        let mut arguments = vec!["reports", "--data-dir", data_dir.to_str().unwrap()];
        arguments.extend_from_slice(more);
        holistics(&arguments)
    };
    let apply = |more: &[&str]| {
        let mut arguments = vec!["apply", reports.to_str().unwrap()];
        arguments.extend_from_slice(more);
        run(&arguments)
    };
    assert!(stderr(&apply(&[])).contains("has no .sql file"));
    write("1.sql", "---\nid: 1\ntitle: One\n---\nselect 1");
    write(
        "2.sql",
        "---\nid: 2\ntitle: Two\nfilters:\n  n: {type: nummer}\n---\nselect {{ n }}",
    );
    write(
        "3.sql",
        "---\nid: 1\ntitle: Three\nsource: elsewhere\n---\nselect 3",
    );
    let faulty = apply(&[]);
    assert!(!faulty.status.success());
    let faults = stderr(&faulty);
    assert!(
        faults.contains("2.sql:5:13: unknown filter type `nummer`"),
        "{faults}"
    );
    assert!(
        faults.contains("3.sql: there is no source `elsewhere`"),
        "{faults}"
    );
    assert!(
        faults.contains("3.sql: `id: 1` is taken by") && faults.contains("1.sql"),
        "{faults}"
    );
    assert!(!data_dir.exists());
    write("2.sql", "---\nid: 2\ntitle: Two\n---\nselect 2");
    fs::remove_file(reports.join("3.sql")).unwrap();
    assert!(stdout(&apply(&["--dry-run"])).contains("report 2 `Two`: would be created"));
    assert!(!data_dir.exists());
    assert_eq!(
        stdout(&apply(&[])),
        "report 1 `One`: created\nreport 2 `Two`: created\n"
    );
    assert_eq!(
        stdout(&apply(&[])),
        "report 1 `One`: unchanged\nreport 2 `Two`: unchanged\n"
    );
    write("2.sql", "---\nid: 2\ntitle: Two\n---\nselect 22");
    let would = "report 1 `One`: unchanged\nreport 2 `Two`: would be changed, version 2\n";
    assert_eq!(stdout(&apply(&["--dry-run"])), would);
    assert_eq!(stdout(&apply(&["--dry-run"])), would);
    assert_eq!(stdout(&apply(&[])), would.replace("would be ", ""));
    assert_eq!(
        stdout(&run(&["list"])),
        "ID | Version | Title | Filters\n1 | 1 | One | \n2 | 2 | Two | \n"
    );
}

#[test]
fn commands_on_users_and_keys_say_what_is_wrong() {
    let (folder, key) = folder_with_key("select 1 as n");
    let data_dir = folder.path().to_str().unwrap();
    let fails = |arguments: &[&str], says: &str| {
        let mut all = arguments.to_vec();
        all.extend(["--data-dir", data_dir]);
        let output = holistics(&all);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            stderr(&output).contains(says),
            "{arguments:?}: {}",
            stderr(&output)
        );
    };
    fails(
        &["users", "add", "ann@example.com"],
        "there is a user `ann@example.com` already",
    );
    fails(&["users", "add", "ann"], "`ann` is no e-mail address");
    fails(
        &["keys", "create", "--user", "bob@example.com"],
        "there is no user `bob@example.com`",
    );
    fails(&["keys", "revoke", "7"], "there is no key `7`");
    let list = holistics(&["keys", "list", "--data-dir", data_dir]);
    assert!(stdout(&list).contains("1 | ann@example.com"), "{}", stdout(&list));
    assert!(!stdout(&list).contains(&key));
    let nowhere = holistics(&["keys", "list", "--data-dir", "/nonexistent"]);
    assert!(
        stderr(&nowhere).contains("is no data folder"),
        "{}",
        stderr(&nowhere)
    );
    assert_eq!(
        stdout(&holistics(&["version"])),
        format!("holistics {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn settings_file_that_is_wrong_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("holistics.toml");
    fs::write(&file, "workers = 2\nlisten = \"nowhere\"\n").unwrap();
    let output = holistics(&["serve", "--config", file.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("line 2"), "{}", stderr(&output));
    let output = holistics(&[
        "serve",
        "--workers",
        "0",
        "--data-dir",
        folder.path().to_str().unwrap(),
    ]);
    assert!(
        stderr(&output).contains("setting `workers` must be 1 or more"),
        "{}",
        stderr(&output)
    );
}
