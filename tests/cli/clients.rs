//! Clients that are slow or go away, and a disk that fills up.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::server::BINARY;
use crate::server::Server;
use crate::server::apply;
use crate::server::folder_with_key;
use crate::server::get;

/// Some 60 MB as CSV: much more than what sockets hold for a client that does not read.
const LARGE: &str = "select range as n, repeat('x', 1000) as x from range(60000)";

/// A client that has asked for a file and reads what it wants of it.
struct Download(TcpStream);

impl Download {
    fn start(server: &Server, job_id: i64, key: &str) -> Self {
        let host = server.host.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        let request = format!(
            "GET /exports/download?job_id={job_id} HTTP/1.1\r\nHost: {host}\r\nX-Holistics-Key: {key}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        Self(stream)
    }

    fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        self.0.read_exact(&mut read).unwrap();
        read
    }

    /// The rest of the file.
    fn read_all(mut self, first: &[u8]) -> Vec<u8> {
        let mut read = first.to_vec();
        self.0.read_to_end(&mut read).unwrap();
        let body = read.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        read.split_off(body + 4)
    }
}

/// The memory that the server holds now, in bytes.
fn memory(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

/// How many sockets and exports the server has open.
fn open_files(server: &Server) -> usize {
    let folder = fs::read_dir(format!("/proc/{}/fd", server.process.id())).unwrap();
    // One that was closed meanwhile cannot be read any more.
    let open = folder.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    open.filter(|path| {
        let path = path.to_string_lossy();
        path.starts_with("socket:") || path.contains("/exports/")
    })
    .count()
}

#[test]
fn slow_and_vanishing_readers_harm_nobody() {
    let (folder, key) = folder_with_key(LARGE);
    let server = Server::start(folder.path(), &[]);
    let job_id = server.submit("/queries/1/submit_export.csv", &key);
    let done = server.wait(&format!("/queries/get_export_results.json?job_id={job_id}"), &key);
    let link = done["export"]["http_path"].as_str().unwrap();
    let (_, whole) = get(link, &key);
    assert_eq!(whole.lines().count(), 60_001);
    let (memory_before, files_before) = (memory(&server), open_files(&server));

    let mut slow: Vec<Download> = (0..10).map(|_| Download::start(&server, job_id, &key)).collect();
    let mut vanishing: Vec<Download> = (0..10).map(|_| Download::start(&server, job_id, &key)).collect();
    let mut read_slowly: Vec<Vec<u8>> = slow.iter_mut().map(|client| client.read(1)).collect();
    for client in &mut vanishing {
        client.read(whole.len() / 2);
    }
    // Half of them say that they go, half do not: to them the server's next bytes come back as an error.
    for (index, client) in vanishing.into_iter().enumerate() {
        if index % 2 == 0 {
            client.0.shutdown(Shutdown::Both).unwrap();
        }
    }
    // Others are served meanwhile, and a byte at a time is a read like any other.
    for _ in 0..3 {
        assert_eq!(get(link, &key).1.len(), whole.len());
        for (client, read) in slow.iter_mut().zip(&mut read_slowly) {
            read.extend(client.read(1));
        }
    }
    let grown = memory(&server).saturating_sub(memory_before);
    assert!(grown < whole.len(), "{grown} bytes more for twenty clients");
    // Ten files and ten sockets of those who still read, and nothing of those who went.
    while open_files(&server) > files_before + 20 {
        std::thread::yield_now();
    }
    for (client, read) in slow.into_iter().zip(read_slowly).take(2) {
        assert_eq!(client.read_all(&read), whole.as_bytes());
    }
    assert_eq!(server.get("/users/info.json", &key).0, 200);
}

/// A server on a disk of its own of this size, which is gone with it. `None` where nobody may mount one.
fn server_on_small_disk(data_dir: &Path, size: &str) -> Option<Server> {
    let on_disk = |then: &str| {
        let script = format!(
            "cp -r \"$1\" \"$1.copy\" && mount -t tmpfs -o size={size} tmpfs \"$1\" \
             && cp -r \"$1.copy/.\" \"$1\"; rm -r \"$1.copy\"; {then}"
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
        command.arg(data_dir);
        command
    };
    let is_mount = on_disk("mountpoint -q \"$1\"").output();
    if !is_mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: nobody may mount a disk here");
        return None;
    }
    let mut command = on_disk("shift; exec \"$@\"");
    command.arg(BINARY);
    Some(Server::start_as(command, data_dir, &[]))
}

#[test]
fn disk_that_fills_up_fails_one_job_and_harms_no_other() {
    let (folder, key) = folder_with_key("select range as n, repeat('x', 1000) as x from range(200000)");
    let reports = folder.path().join("reports");
    fs::write(
        reports.join("2.sql"),
        "---\nid: 2\ntitle: Small\nshared_with: everyone\n---\nselect 42 as n",
    )
    .unwrap();
    let data_dir = folder.path().to_str().unwrap();
    apply(&reports, folder.path());
    let Some(server) = server_on_small_disk(folder.path(), "160M") else {
        return;
    };
    let poll = |job_id: i64| format!("/queries/get_export_results.json?job_id={job_id}");
    let large: Vec<i64> = ["csv", "json", "arrow"]
        .iter()
        .map(|format| server.submit(&format!("/queries/1/submit_export.{format}"), &key))
        .collect();
    for job_id in large {
        let failed = loop {
            let small = server.json("/queries/2/submit_query.json?_wait=50", &key);
            assert_eq!(small["values"], serde_json::json!([["42"]]), "{small}");
            let answer = server.json(&poll(job_id), &key);
            if answer["status"] != "not yet" {
                break answer;
            }
        };
        assert_eq!(failed["error"], "out of disk space on the server", "{failed}");
    }
    let inside = format!("/proc/{}/root{data_dir}", server.process.id());
    for name in ["exports", "results", "tmp"] {
        let files = fs::read_dir(Path::new(&inside).join(name)).unwrap();
        let left: Vec<_> = files
            .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_file()))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
