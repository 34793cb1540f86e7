//! What goes wrong around the commands that talk to a server: one clear line, the right status, no half file.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use crate::client::Desk;
use crate::client::client_command;
use crate::server::BINARY;
use crate::server::Server;
use crate::server::folder_with_key;
use crate::server::holistics;
use crate::server::set_imports;
use crate::server::stderr;
use crate::server::stdout;

/// Runs until it is stopped.
const ENDLESS: &str = "select sum(a.range * b.range) as n from range(100000000) a, range(100000000) b";

/// What something answers to a path; it is told its own host, too.
type Answer = fn(&str, &str) -> Vec<u8>;

/// Something that answers, and where.
fn something_that_answers(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream, answer));
        }
    });
    host
}

fn serve(mut stream: TcpStream, answer: Answer) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap().to_lowercase();
    let header = |name: &str| {
        let line = request.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim()
    };
    // A body that nobody has read would have the answer thrown away.
    let length: usize = header("content-length:").parse().unwrap_or(0);
    stream.read_exact(&mut vec![0; length]).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let host = format!("http://{}", header("host:"));
    stream.write_all(&answer(path, &host)).unwrap();
    if path.starts_with("/exports/download") {
        // Until the other side has gone.
        let _ = stream.read(&mut byte);
    }
}

fn response(head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// An export against this host, and nothing left of it; what it says.
fn export_fails(host: &str, more: &[&str], variables: &[(&str, &str)], status: i32, says: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("a 🙂.csv");
    let mut arguments = vec!["export", "1", "-o", file.to_str().unwrap()];
    arguments.extend_from_slice(more);
    let output = client_command(home.path(), &arguments)
        .env("HOLISTICS_HOST", host)
        .env("HOLISTICS_KEY", "key")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    is_one_line(&output, status, says);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    stderr(&output)
}

fn is_one_line(output: &Output, status: i32, says: &str) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{told}");
    assert!(
        told.starts_with("error: ") && told.contains(says),
        "{says} is not in {told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_eq!(stdout(output), "");
}

#[test]
fn what_is_no_server_is_told_apart() {
    export_fails(
        "http://127.0.0.1:1",
        &[],
        &[],
        4,
        "cannot reach http://127.0.0.1:1: ",
    );
    // An address may have a password in it.
    export_fails(
        "http://ann:secret@127.0.0.1:1",
        &[],
        &[],
        4,
        "cannot reach http://127.0.0.1:1: ",
    );
    for host in [
        "ftp://127.0.0.1",
        "http://127.0.0.1:1/?key=1",
        "http://127.0.0.1:1/#queries",
    ] {
        export_fails(host, &[], &[], 2, "must be an address like https://");
    }
    let html = something_that_answers(|_, _| response("200 OK", "<html>Welcome</html>"));
    export_fails(&html, &[], &[], 4, "does not answer like a holistics server");
    let proxy = something_that_answers(|_, _| response("502 Bad Gateway", "<html>Bad Gateway</html>"));
    export_fails(&proxy, &[], &[], 4, "answered 502 like no holistics server");
    let login = something_that_answers(|_, _| {
        response(
            "302 Found\r\nLocation: https://login.example.com/sso?next=secret",
            "",
        )
    });
    let says = "sends us on to `https://login.example.com/sso`:";
    let sent_on = export_fails(&login, &[], &[], 4, says);
    export_fails(&login, &[], &[("HOLISTICS_KEY", "one\ntwo")], 2, "that is no key");
    let other = something_that_answers(|_, _| {
        response("404 Not Found\r\nContent-Type: text/plain", "404 page not found")
    });
    let says = "answered 404 like no holistics server: is its address right?";
    let missing = export_fails(&other, &[], &[], 4, says);
    let refused = export_fails("http://127.0.0.1:1", &[], &[], 4, "the connection is refused");
    // What was answered, or never got there, is not in doubt.
    let doubt = "; a job may have begun, which `holistics jobs list` shows\n";
    for told in [sent_on, missing, refused] {
        assert!(!told.contains("may have begun"), "{told}");
    }
    assert!(export_fails(&proxy, &[], &[], 4, "502").ends_with(doubt));
}

#[test]
fn address_with_a_path_that_is_not_the_servers_is_told() {
    let desk = Desk::new("select 1 as n", &[]);
    let host = format!("{}/reports", desk.server.host);
    export_fails(
        &host,
        &[],
        &[("HOLISTICS_KEY", &desk.key)],
        4,
        "is its address right?",
    );
    let mut list = desk.command(&["reports", "list"]);
    list.env("HOLISTICS_HOST", &host).env("HOLISTICS_KEY", &desk.key);
    is_one_line(
        &list.output().unwrap(),
        4,
        &format!("{host} has no reports: no such route"),
    );
}

/// Of an export that is done, all but its file, which has nine bytes.
fn done(path: &str) -> Vec<u8> {
    let answer = match path {
        path if path.contains("submit_export") => r#"{"status":"created","job_id":1}"#,
        path if path.contains("get_export") => r#"{"status":"success"}"#,
        _ => r#"{"rows":1,"bytes":9,"sha256":"00","truncated":false}"#,
    };
    response("200 OK", answer)
}

#[test]
fn server_that_gets_nowhere_is_left() {
    // Always from the beginning, and never to the end.
    let again = something_that_answers(|path, _| match path {
        path if !path.starts_with("/exports/") => done(path),
        path if path.contains("_follow") => response(
            "422 Unprocessable Entity",
            r#"{"errors":["Holistics::NotFound"]}"#,
        ),
        _ => response("200 OK\r\nETag: \"a\"", "n\n1\n"),
    });
    export_fails(&again, &[], &[], 4, "the download broke off after 4 of 9 bytes");
    // More than was made, and ever more.
    let endless = something_that_answers(|path, _| match path {
        path if !path.starts_with("/exports/") => done(path),
        path if path.contains("_follow") => response("404 Not Found", ""),
        // It is not closed either.
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nn\n1\n2\n3\n4\n5\n".to_vec(),
    });
    export_fails(
        &endless,
        &[],
        &[],
        4,
        "more bytes on its way than the 9 that were made",
    );
    // Lines that come again.
    let logs = something_that_answers(|path, _| match path {
        path if path.contains("logs") => response(
            "200 OK",
            r#"{"logs":[{"id":1,"timestamp":"","level":"INFO","message":"running"}],"has_more":true}"#,
        ),
        _ => response("200 OK", r#"{"status":"running"}"#),
    });
    // Lines that are promised and never come, of a job that is over.
    let promises = something_that_answers(|path, _| match path {
        path if path.contains("logs") => response("200 OK", r#"{"logs":[],"has_more":true}"#),
        _ => response("200 OK", r#"{"status":"failure","error":"no such table"}"#),
    });
    let nonsense = something_that_answers(|path, _| match path {
        path if path.contains("submit") => response("200 OK", r#"{"status":"created","job_id":1}"#),
        path if path.contains("_follow") => response("404 Not Found", ""),
        _ => response("200 OK", r#"{"status":"nonesuch"}"#),
    });
    export_fails(
        &nonsense,
        &[],
        &[],
        4,
        "job 1 is `nonesuch`, which is no status of a job",
    );
    // Pages that are not those that were asked for.
    let pages = something_that_answers(|path, _| match path {
        path if path.contains("submit_query") => response("200 OK", r#"{"status":"created","job_id":1}"#),
        _ => response(
            "200 OK",
            r#"{"status":"success","fields":["n"],"values":[["1"]],"paginated":{"page":0,"page_size":1000,"num_rows":2}}"#,
        ),
    });
    let home = tempfile::tempdir().unwrap();
    for (host, arguments, says) in [
        (
            &logs,
            &["jobs", "logs", "1"][..],
            "does not answer like a holistics server",
        ),
        (
            &logs,
            &["jobs", "wait", "1"],
            "does not answer like a holistics server",
        ),
        (
            &promises,
            &["jobs", "wait", "1"],
            "[job:1] failure: no such table",
        ),
        (
            &pages,
            &["run", "1", "--page", "1"],
            "page 1 is not whole: of 2 rows it has 1, not 2",
        ),
    ] {
        let output = client_command(home.path(), arguments)
            .env("HOLISTICS_HOST", host)
            .env("HOLISTICS_KEY", "key")
            .output()
            .unwrap();
        let status = if host == &promises { 5 } else { 4 };
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(says),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn submit_whose_answer_is_lost_is_sent_again_as_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let home = tempfile::tempdir().unwrap();
    let submitting = client_command(home.path(), &["reports", "open", "1"])
        .env("HOLISTICS_HOST", &host)
        .env("HOLISTICS_KEY", "key")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = Vec::new();
    for answer in [
        Vec::new(),
        response("422 Unprocessable Entity", r#"{"errors":["enough"]}"#),
    ] {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let lines = lines.by_ref().take_while(|line| !line.is_empty());
        let key = lines.filter_map(|line| {
            line.to_lowercase()
                .strip_prefix("idempotency-key: ")
                .map(str::to_owned)
        });
        keys.extend(key);
        (&stream).write_all(&answer).unwrap();
    }
    is_one_line(&submitting.wait_with_output().unwrap(), 2, "enough");
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn submit_that_is_given_up_leaves_no_job() {
    static SUBMITS: AtomicUsize = AtomicUsize::new(0);
    static CANCELS: AtomicUsize = AtomicUsize::new(0);
    let host = something_that_answers(|path, _| match path {
        // The first of each command is accepted, and never answered.
        path if path.contains("submit") && SUBMITS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
            thread::park_timeout(std::time::Duration::from_mins(1));
            Vec::new()
        }
        path if path.contains("submit") => response("200 OK", r#"{"status":"created","job_id":7}"#),
        path => {
            assert!(path.starts_with("/jobs/7/cancel.json"), "{path}");
            CANCELS.fetch_add(1, Ordering::Relaxed);
            response("200 OK", r#"{"status":"OK"}"#)
        }
    });
    export_fails(
        &host,
        &["--timeout", "300ms"],
        &[],
        4,
        "did not answer within 300ms",
    );
    assert_eq!(CANCELS.load(Ordering::Relaxed), 1);
    let home = tempfile::tempdir().unwrap();
    let exporting = client_command(home.path(), &["export", "1", "-o", "-", "--format", "csv"])
        .env("HOLISTICS_HOST", &host)
        .env("HOLISTICS_KEY", "key")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while SUBMITS.load(Ordering::Relaxed) < 3 {
        thread::yield_now();
    }
    let output = interrupt(exporting);
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(stderr(&output), "interrupted: job 7 cancelled\n");
    assert_eq!(CANCELS.load(Ordering::Relaxed), 2);
}

#[test]
fn job_that_fails_is_found_out_however_slowly_the_server_answers() {
    static CANCELS: AtomicUsize = AtomicUsize::new(0);
    let host = something_that_answers(|path, _| match path {
        path if path.contains("submit_export") => response("200 OK", r#"{"status":"created","job_id":1}"#),
        path if path.contains("get_export") => response(
            "200 OK",
            r#"{"status":"failure","error":"no such table","code":"source_failed"}"#,
        ),
        path if path.contains("cancel") => {
            CANCELS.fetch_add(1, Ordering::Relaxed);
            response("200 OK", r#"{"status":"OK"}"#)
        }
        _ => {
            let slow = path.split("_wait=").nth(1).unwrap().parse().unwrap();
            thread::park_timeout(std::time::Duration::from_secs_f64(slow));
            response(
                "422 Unprocessable Entity",
                r#"{"errors":["Holistics::NotFound"]}"#,
            )
        }
    });
    export_fails(&host, &["--timeout", "300ms"], &[], 5, "no such table");
    // There is nothing to stop.
    assert_eq!(CANCELS.load(Ordering::Relaxed), 0);
}

#[test]
fn job_that_is_followed_is_polled_less() {
    static FOLLOWED: AtomicUsize = AtomicUsize::new(0);
    static POLLED: AtomicUsize = AtomicUsize::new(0);
    let host = something_that_answers(|path, _| match path {
        path if path.contains("submit_export") => response("200 OK", r#"{"status":"created","job_id":1}"#),
        path if path.contains("get_export") => {
            POLLED.fetch_add(1, Ordering::Relaxed);
            match path.contains("_wait=0&") || path.ends_with("_wait=0") {
                true => response("200 OK", r#"{"status":"running"}"#),
                false => response("200 OK", r#"{"status":"success"}"#),
            }
        }
        path if path.contains("manifest") => response(
            "200 OK",
            r#"{"rows":1,"bytes":4,"sha256":"6ff2d84956e507dade83da732a88aa6fa02712d03af8c515633f674de9fd42bd","truncated":false}"#,
        ),
        path if FOLLOWED.fetch_add(1, Ordering::Relaxed) < 3 => {
            let wait = path.split("_wait=").nth(1).unwrap().parse().unwrap();
            // As the server does while a job has not begun.
            thread::park_timeout(std::time::Duration::from_secs_f64(wait));
            response(
                "422 Unprocessable Entity",
                r#"{"errors":["Holistics::NotFound"]}"#,
            )
        }
        _ => response("200 OK\r\nETag: \"a\"", "n\n1\n"),
    });
    let home = tempfile::tempdir().unwrap();
    let arguments = ["export", "1", "-o", "-", "--format", "csv", "--timeout", "1s"];
    let output = client_command(home.path(), &arguments)
        .env("HOLISTICS_HOST", &host)
        .env("HOLISTICS_KEY", "key")
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "n\n1\n", "{}", stderr(&output));
    assert_eq!(FOLLOWED.load(Ordering::Relaxed), 4);
    // Now and then, and in the end.
    assert_eq!(POLLED.load(Ordering::Relaxed), 2);
}

#[test]
fn server_that_hangs_is_left_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    export_fails(
        &host,
        &["--timeout", "200ms"],
        &[],
        4,
        "did not answer within 200ms (`--timeout` allows more)",
    );
}

#[test]
fn server_that_takes_nothing_of_an_upload_is_left_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("large.csv");
    // More than the system takes for a server that reads nothing.
    fs::write(&file, "1234567\n".repeat(8 << 20)).unwrap();
    let output = client_command(
        home.path(),
        &["import", "csv", "-d", "1", "-t", "t", "--timeout", "300ms"],
    )
    .arg("-f")
    .arg(&file)
    .env("HOLISTICS_HOST", &host)
    .env("HOLISTICS_KEY", "key")
    .output()
    .unwrap();
    is_one_line(&output, 4, "did not answer within 300ms");
}

#[test]
fn server_that_is_busy_is_asked_again() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let host = something_that_answers(|path, _| {
        // Every other request is one too many.
        if ASKED.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return response(
                "429 Too Many Requests\r\nRetry-After: 0",
                "{\"errors\":[\"too many\"]}",
            );
        }
        let answer = match path {
            path if path.contains("submit_export") => r#"{"status":"created","job_id":1}"#,
            path if path.contains("get_export") => r#"{"status":"success","export":{"http_path":"x"}}"#,
            path if path.contains("manifest") => {
                r#"{"rows":1,"bytes":4,"sha256":"6ff2d84956e507dade83da732a88aa6fa02712d03af8c515633f674de9fd42bd","truncated":false}"#
            }
            path if path.contains("logs") => r#"{"logs":[],"has_more":false}"#,
            path if path.contains("/jobs/1.json") => r#"{"status":"success"}"#,
            _ => "n\n1\n",
        };
        response("200 OK", answer)
    });
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = client_command(home.path(), arguments)
            .env("HOLISTICS_HOST", &host)
            .env("HOLISTICS_KEY", "key")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(run(&["export", "1", "-o", "-", "--format", "csv"]), "n\n1\n");
    assert!(run(&["jobs", "wait", "1"]).ends_with("[job:1] Done.\n"));
    // One that stays busy is left.
    let busy = something_that_answers(|_, _| {
        response(
            "429 Too Many Requests\r\nRetry-After: 3600",
            "{\"errors\":[\"too many\"]}",
        )
    });
    export_fails(&busy, &[], &[], 1, "too many: ");
    export_fails(&busy, &[], &[], 1, " may be asked again in 1h");
    static WAITED: AtomicUsize = AtomicUsize::new(0);
    let later = something_that_answers(|_, _| {
        WAITED.fetch_add(1, Ordering::Relaxed);
        response(
            "429 Too Many Requests\r\nRetry-After: 60",
            "{\"errors\":[\"too many\"]}",
        )
    });
    let waiting = client_command(home.path(), &["export", "1", "-o", "-", "--format", "csv"])
        .env("HOLISTICS_HOST", &later)
        .env("HOLISTICS_KEY", "key")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while WAITED.load(Ordering::Relaxed) == 0 {
        thread::yield_now();
    }
    let told = stderr(&interrupt(waiting));
    assert!(
        told.ends_with("interrupted\n")
            || told.ends_with("may have begun, which `holistics jobs list` shows\n"),
        "{told}"
    );
    // Nor is a job asked for again that was submitted before; it is stopped.
    static POLLS: AtomicUsize = AtomicUsize::new(0);
    static CANCELS: AtomicUsize = AtomicUsize::new(0);
    let later = something_that_answers(|path, _| match path {
        path if path.contains("submit_export") => response("200 OK", r#"{"status":"created","job_id":1}"#),
        path if path.contains("cancel") => {
            CANCELS.fetch_add(1, Ordering::Relaxed);
            response("200 OK", r#"{"status":"OK"}"#)
        }
        path => {
            POLLS.fetch_add(usize::from(path.contains("get_export")), Ordering::Relaxed);
            response(
                "429 Too Many Requests\r\nRetry-After: 3600",
                "{\"errors\":[\"too many\"]}",
            )
        }
    });
    export_fails(&later, &[], &[], 1, "may be asked again in 1h");
    assert_eq!(POLLS.load(Ordering::Relaxed), 1);
    assert_eq!(CANCELS.load(Ordering::Relaxed), 1);
}

#[test]
fn certificate_has_to_be_trusted() {
    let (folder, key) = folder_with_key("select 1 as n");
    let [certificate, private] =
        ["cert.pem", "key.pem"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &private, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let server = Server::start(
        folder.path(),
        &["--tls-certificate", &certificate, "--tls-key", &private],
    );
    let says = "is not trusted: ";
    export_fails(&server.host, &[], &[("HOLISTICS_KEY", &key)], 4, says);
    let trusting = client_command(folder.path(), &["run", "1"])
        .env("HOLISTICS_HOST", &server.host)
        .env("HOLISTICS_KEY", &key)
        .env("SSL_CERT_FILE", &certificate)
        .output()
        .unwrap();
    assert_eq!(stdout(&trusting), "n\n1\n", "{}", stderr(&trusting));
}

/// An export that is under way.
fn exporting(desk: &Desk, file: &Path) -> Child {
    desk.command(&["export", "1", "-o", file.to_str().unwrap()])
        .env("HOLISTICS_KEY", &desk.key)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn status(desk: &Desk, job_id: i64) -> String {
    let job = desk.server.json(&format!("/jobs/{job_id}.json"), &desk.key);
    job["status"].as_str().unwrap_or("none yet").to_owned()
}

fn wait_for_status(desk: &Desk, job_id: i64, wanted: &str) {
    while status(desk, job_id) != wanted {
        thread::yield_now();
    }
}

fn interrupt(child: Child) -> Output {
    signal(child, "INT")
}

fn signal(child: Child, name: &str) -> Output {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status().unwrap();
    assert!(sent.success());
    child.wait_with_output().unwrap()
}

#[test]
fn interrupted_export_stops_its_job_running_or_queued() {
    let desk = Desk::new(ENDLESS, &["--workers", "1"]);
    let file = desk.home.path().join("a.csv");
    let running = exporting(&desk, &file);
    wait_for_status(&desk, 1, "running");
    let reports = desk.folder.path().join("reports");
    let report = "---\nid: 2\ntitle: Two\nshared_with: everyone\n---\nselect 2 as n";
    fs::write(reports.join("2.sql"), report).unwrap();
    crate::server::apply(&reports, desk.folder.path());
    let mut waiting = desk.command(&["run", "2", "--page", "1"]);
    waiting.env("HOLISTICS_KEY", &desk.key).stdout(Stdio::piped());
    let waiting = waiting.stderr(Stdio::piped()).spawn().unwrap();
    wait_for_status(&desk, 2, "queued");
    for (child, job_id) in [(waiting, 2), (running, 1)] {
        let ended = interrupt(child);
        let told = stderr(&ended);
        assert_eq!(ended.status.code(), Some(130), "{told}");
        assert!(
            told.contains(&format!("interrupted: job {job_id} cancelled")),
            "{told}"
        );
        wait_for_status(&desk, job_id, "cancelled");
    }
    assert_eq!(fs::read_dir(desk.home.path()).unwrap().count(), 0);
}

#[test]
fn terminal_that_goes_ends_an_export_unless_nohup_has_started_it() {
    let desk = Desk::new(ENDLESS, &[]);
    let file = desk.home.path().join("a.csv");
    let export = exporting(&desk, &file);
    wait_for_status(&desk, 1, "running");
    let ended = signal(export, "HUP");
    assert_eq!(ended.status.code(), Some(129), "{}", stderr(&ended));
    wait_for_status(&desk, 1, "cancelled");
    let mut nohup = Command::new("nohup");
    let arguments = ["export", "1", "-o", file.to_str().unwrap()];
    nohup.arg(BINARY).args(arguments).env("HOME", desk.home.path());
    nohup
        .env("HOLISTICS_HOST", &desk.server.host)
        .env("HOLISTICS_KEY", &desk.key);
    let nohup = nohup
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_status(&desk, 2, "running");
    let id = nohup.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "HUP", &id])
            .status()
            .unwrap()
            .success()
    );
    let ended = signal(nohup, "TERM");
    assert_eq!(ended.status.code(), Some(143), "{}", stderr(&ended));
    wait_for_status(&desk, 2, "cancelled");
    assert_eq!(fs::read_dir(desk.home.path()).unwrap().count(), 0);
}

#[test]
fn job_that_is_cancelled_ends_the_commands_that_wait_for_it() {
    let desk = Desk::new(ENDLESS, &[]);
    let export = exporting(&desk, &desk.home.path().join("a.csv"));
    wait_for_status(&desk, 1, "running");
    desk.prints(&["jobs", "cancel", "1"]);
    let ended = export.wait_with_output().unwrap();
    is_one_line(&ended, 5, "cancelled");
    let waited = desk.run(&["jobs", "wait", "1", "--json"]);
    assert_eq!(waited.status.code(), Some(5));
    let told: serde_json::Value = serde_json::from_str(&stderr(&waited)).unwrap();
    assert_eq!(told["error"]["code"], "cancelled");
    assert_eq!(fs::read_dir(desk.home.path()).unwrap().count(), 0);
}

#[test]
fn interrupted_import_says_that_its_job_goes_on() {
    let desk = Desk::new(ENDLESS, &["--workers", "1"]);
    set_imports(desk.folder.path(), "on");
    let running = exporting(&desk, &desk.home.path().join("a.csv"));
    wait_for_status(&desk, 1, "running");
    let file = desk.folder.path().join("people.csv");
    fs::write(&file, "id\n1\n").unwrap();
    let mut importing = desk.command(&["import", "csv", "-d", "1", "-t", "people", "-f"]);
    importing.arg(&file).env("HOLISTICS_KEY", &desk.key);
    let mut importing = importing
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Now it knows its job.
    let mut line = String::new();
    let mut lines = BufReader::new(importing.stdout.take().unwrap());
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "[job:2] Status: queued\n");
    let ended = interrupt(importing);
    assert_eq!(ended.status.code(), Some(130));
    assert_eq!(
        stderr(&ended),
        "interrupted: job 2 goes on; `holistics jobs cancel 2` stops it\n"
    );
    assert_eq!(status(&desk, 2), "queued");
    interrupt(running);
    wait_for_status(&desk, 2, "success");
}

#[test]
fn reader_that_has_had_enough_stops_the_job() {
    let desk = Desk::new("select range as n from range(1000000000000)", &[]);
    let mut child = desk
        .command(&["export", "1", "-o", "-", "--format", "csv"])
        .env("HOLISTICS_KEY", &desk.key)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The job has begun, and will not end.
    let mut first = [0; 6];
    let mut reader = child.stdout.take().unwrap();
    reader.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"n\n0\n1\n");
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    wait_for_status(&desk, 1, "cancelled");
}

#[test]
fn interrupted_download_leaves_no_half_file() {
    fn answer(path: &str, host: &str) -> Vec<u8> {
        match path.split('?').next().unwrap() {
            "/queries/1/submit_export.csv" => response("200 OK", "{\"status\":\"created\",\"job_id\":1}"),
            "/queries/get_export_results.json" => response(
                "200 OK",
                &format!("{{\"status\":\"success\",\"export\":{{\"http_path\":\"{host}/elsewhere\"}}}}"),
            ),
            "/jobs/1/manifest.json" => response(
                "200 OK",
                "{\"rows\":1,\"bytes\":1000,\"sha256\":\"00\",\"truncated\":false}",
            ),
            "/jobs/1/cancel.json" => response("403 Forbidden", "<html>Forbidden</html>"),
            _ => b"HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 1000\r\n\r\nn\n1\n".to_vec(),
        }
    }
    let while_it_is_made = something_that_answers(answer);
    let after_that = something_that_answers(|path, host| match path.contains("_follow") {
        true => response(
            "422 Unprocessable Entity",
            "{\"errors\":[\"Holistics::NotFound\"]}",
        ),
        false => answer(path, host),
    });
    for (host, says) in [
        (
            while_it_is_made,
            [
                "interrupted: job 1 may go on (",
                "); `holistics jobs cancel 1` stops it\n",
            ],
        ),
        (after_that, ["interrupted", "interrupted\n"]),
    ] {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.csv");
        let child = client_command(home.path(), &["export", "1", "-o", file.to_str().unwrap()])
            .env("HOLISTICS_HOST", &host)
            .env("HOLISTICS_KEY", "key")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let parts = || fs::read_dir(home.path()).unwrap().map(Result::unwrap);
        while !parts().any(|part| part.metadata().unwrap().len() > 0) {
            thread::yield_now();
        }
        let ended = interrupt(child);
        assert_eq!(ended.status.code(), Some(130), "{}", stderr(&ended));
        let (told, [begins, ends]) = (stderr(&ended), says);
        assert!(told.starts_with(begins) && told.ends_with(ends), "{told}");
        assert_eq!(parts().count(), 0);
    }
}

#[test]
fn report_that_is_removed_in_mid_run_ends_the_export() {
    let desk = Desk::new(ENDLESS, &[]);
    let file = desk.home.path().join("a.csv");
    let export = exporting(&desk, &file);
    wait_for_status(&desk, 1, "running");
    let data_dir = desk.folder.path().to_str().unwrap();
    let removed = holistics(&["reports", "remove", "1", "--data-dir", data_dir]);
    assert!(removed.status.success(), "{}", stderr(&removed));
    let ended = export.wait_with_output().unwrap();
    is_one_line(&ended, 5, "job 1 is gone: its report was removed");
    assert!(!file.exists());
}

#[test]
fn disk_that_is_full_keeps_no_half_file() {
    let desk = Desk::new("select range as n, repeat('x', 1000) as t from range(2000)", &[]);
    let script = "mount -t tmpfs -o size=256k tmpfs \"$1\" || exit 77; \
                  \"$2\" export 1 -o \"$1/a b.csv\"; code=$?; ls -A \"$1\"; exit $code";
    let disk = tempfile::tempdir().unwrap();
    let full = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .args([disk.path().to_str().unwrap(), BINARY])
        .env("HOME", desk.home.path())
        .env("HOLISTICS_HOST", &desk.server.host)
        .env("HOLISTICS_KEY", &desk.key)
        .output();
    match full {
        Ok(full) if full.status.code() == Some(1) => is_one_line(&full, 1, "No space left on device"),
        other => eprintln!("skipped: nobody may mount a disk here: {other:?}"),
    }
    let to_full = |arguments: &[&str]| {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        desk.command(arguments)
            .env("HOLISTICS_KEY", &desk.key)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .unwrap()
    };
    for arguments in [&["run", "1"][..], &["jobs", "list"], &["run", "1", "--json"]] {
        let output = to_full(arguments);
        if arguments.contains(&"--json") {
            let told: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
            assert_eq!(told["error"]["code"], "internal");
            assert!(
                told["error"]["message"]
                    .as_str()
                    .unwrap()
                    .starts_with("cannot write to standard output: ")
            );
            assert_eq!(output.status.code(), Some(1));
            continue;
        }
        is_one_line(&output, 1, "cannot write to standard output: ");
    }
}

#[test]
fn pipe_without_a_path_takes_the_file() {
    let desk = Desk::new("select 1 as n", &[]);
    let export = "\"$0\" export 1 --format csv -o >(cat > piped.csv); wait $!";
    let output = Command::new("bash")
        .args(["-c", export, BINARY])
        .current_dir(desk.home.path())
        .env("HOME", desk.home.path())
        .env("HOLISTICS_HOST", &desk.server.host)
        .env("HOLISTICS_KEY", &desk.key)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read(desk.home.path().join("piped.csv")).unwrap(), b"n\n1\n");
}

#[test]
fn link_to_where_no_file_is_yet_stays_a_link() {
    let desk = Desk::new("select 1 as n", &[]);
    let link = desk.home.path().join("link.csv");
    std::os::unix::fs::symlink("target.csv", &link).unwrap();
    let exported = exporting(&desk, &link).wait_with_output().unwrap();
    assert!(exported.status.success(), "{}", stderr(&exported));
    assert!(link.is_symlink());
    assert_eq!(fs::read(desk.home.path().join("target.csv")).unwrap(), b"n\n1\n");
}

#[test]
fn places_that_take_no_file_are_told_before_anything_runs() {
    let desk = Desk::new("select 1 as n", &[]);
    for (path, says) in [
        ("no such folder/a.csv", "there is no folder `no such folder`"),
        ("C:\\reports\\a.csv", "is written like a path of Windows"),
        (".", "does not say its format"),
    ] {
        is_one_line(&desk.run(&["export", "1", "-o", path]), 2, says);
    }
    assert_eq!(desk.prints(&["jobs", "list"]).lines().count(), 1);
    let file = desk.home.path().join("Umsätze 2026 🙂.csv");
    desk.prints(&["export", "1", "-o", file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "n\n1\n");
}
