//! Start, stop and kill of a server.

use serde_json::Value;

use crate::server::Server;
use crate::server::folder_with_key;
use crate::server::get;
use crate::server::holistics;
use crate::server::stderr;

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
