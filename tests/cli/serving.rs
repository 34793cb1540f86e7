//! Start, stop and kill of a server.

use std::fs;
use std::process::Command;

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

#[test]
fn https_by_certificate_files_and_no_plain_http_to_others() {
    let (folder, key) = folder_with_key("select 1 as n");
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, private) = (file("certificate.pem"), file("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-out", &certificate, "-keyout", &private])
        .output();
    let Ok(made) = made else {
        assert!(std::env::var_os("CI").is_none(), "CI needs openssl");
        eprintln!("skipped: there is no openssl");
        return;
    };
    assert!(made.status.success(), "{}", stderr(&made));
    let server = Server::start(
        folder.path(),
        &["--tls-certificate", &certificate, "--tls-key", &private],
    );
    assert!(server.host.starts_with("https://"), "{}", server.host);
    let root = ureq::tls::Certificate::from_pem(&fs::read(&certificate).unwrap()).unwrap();
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::new_with_certs(&[root]))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    let submit = format!("{}/queries/1/submit_export.csv?_wait=50", server.host);
    let answer = agent.get(&submit).header("X-Holistics-Key", &key).call().unwrap();
    let answer: serde_json::Value = serde_json::from_reader(answer.into_body().into_reader()).unwrap();
    let link = answer["export"]["http_path"].as_str().unwrap();
    assert!(link.starts_with(&server.host), "{link}");
    let text = agent
        .get(link)
        .call()
        .unwrap()
        .into_body()
        .read_to_string()
        .unwrap();
    assert_eq!(text, "n\n1\n");
    drop(server);

    let data_dir = folder.path().to_str().unwrap();
    let fails = |more: &[&str], says: &str| {
        let mut arguments = vec!["serve", "--data-dir", data_dir];
        arguments.extend_from_slice(more);
        let output = holistics(&arguments);
        assert!(
            !output.status.success() && stderr(&output).contains(says),
            "{}",
            stderr(&output)
        );
    };
    fails(
        &["--listen", "0.0.0.0:0"],
        "keys would cross the network in the clear",
    );
    fails(
        &["--tls-key", &private],
        "`tls_certificate` and `tls_key` go together",
    );
    let swapped = [
        "--listen",
        "127.0.0.1:0",
        "--tls-certificate",
        &private,
        "--tls-key",
        &certificate,
    ];
    fails(&swapped, "cannot read");
}
