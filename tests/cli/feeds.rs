//! Feeds, fetched by the programs that people fetch them with.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::server::Server;
use crate::server::apply;
use crate::server::folder_with_key;

/// More than is kept beside the metadata, so that it is a file that a compressed copy can be of.
const REPORT: &str = "select i as n, 'größe, \"' || i || '\"' as text, i / 4 as part,
        case when i % 3 = 0 then null else date '2026-01-31' end as day
    from range(3000) as t(i)";

struct Feed {
    _folder: TempDir,
    server: Server,
    key: String,
    url: String,
}

fn feed(sql: &str, asked: &str) -> Feed {
    let (folder, key) = folder_with_key(sql);
    let reports = folder.path().join("reports");
    let file = format!("---\nid: 1\ntitle: One\nshared_with: everyone\ncache: 1h\n---\n{sql}");
    fs::write(reports.join("1.sql"), file).unwrap();
    apply(&reports, folder.path());
    let server = Server::start(folder.path(), &[]);
    let url = ureq::post(&format!("{}/feeds.json", server.host))
        .header("X-Holistics-Key", &key)
        .send(asked)
        .unwrap()
        .body_mut()
        .read_json::<Value>()
        .unwrap()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    Feed {
        _folder: folder,
        server,
        key,
        url,
    }
}

/// Runs a program of somebody else. `None` where it is not there, which is said; CI has them all but the largest.
fn run(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            let program = command.get_program().to_string_lossy().into_owned();
            let is_forgiven = program == "soffice" || std::env::var_os("CI").is_none();
            assert!(is_forgiven, "CI needs {program}");
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

fn python(script: &str, url: &str) -> Option<Output> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    run(Command::new(path).args(["-c", script, url]))
}

fn said(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn curl_fetches_what_has_changed_and_takes_it_compressed() {
    let feed = feed(REPORT, r#"{"report_id": 1, "format": "csv", "max_age": 3600}"#);
    let folder = tempfile::tempdir().unwrap();
    let tag = folder.path().join("tag");
    let curl = |more: &[&str]| {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--max-time", "120", "--etag-save"])
            .arg(&tag);
        command.arg("--etag-compare").arg(&tag);
        run(command.args(more).arg(&feed.url))
    };
    let Some(first) = curl(&[]) else { return };
    let first = said(&first);
    assert_eq!(first.lines().count(), 3_001);
    let status = ["-o", "/dev/null", "-w", "%{http_code} %{size_download}"];
    assert_eq!(said(&curl(&status).unwrap()), "304 0");
    // What is there compressed goes out compressed.
    let path = "/queries/1/submit_export.csv?_compress=gzip&_wait=50";
    assert_eq!(feed.server.json(path, &feed.key)["status"], "success");
    fs::remove_file(&tag).unwrap();
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "120", "--compressed", "-D"]);
    let head = folder.path().join("head");
    let whole = said(&run(command.arg(&head).arg(&feed.url)).unwrap());
    assert_eq!(whole, first);
    let head = fs::read_to_string(head).unwrap().to_lowercase();
    assert!(head.contains("content-encoding: gzip"), "{head}");
}

#[test]
fn a_client_that_gives_up_and_comes_back_joins_the_run_under_way() {
    let slow = "select sum(a.i * b.i) as n from range(60000) as a(i), range(8000) as b(i)";
    let feed = feed(slow, r#"{"report_id": 1, "format": "csv", "max_age": 3600}"#);
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "0.3", "--retry", "600", "--retry-all-errors"]);
    command.args(["--retry-delay", "0", "--retry-max-time", "200"]);
    let Some(output) = run(command.arg(&feed.url)) else {
        return;
    };
    assert_eq!(said(&output), "n\n57591840120000000\n");
    let jobs = feed.server.json("/jobs.json", &feed.key);
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
}

#[test]
fn pandas_reads_a_feed() {
    let feed = feed(REPORT, r#"{"report_id": 1, "format": "csv"}"#);
    let script = "import sys, pandas
frame = pandas.read_csv(sys.argv[1], parse_dates=['day'])
print(len(frame), frame['n'].sum(), frame['text'][2], frame['part'].sum(), frame['day'].isna().sum(), frame['day'].dtype.kind)";
    let Some(output) = python(script, &feed.url) else {
        return;
    };
    assert_eq!(said(&output), "3000 4498500 größe, \"2\" 1124625.0 1000 M\n");
}

#[test]
fn duckdb_reads_a_feed() {
    for format in ["csv", "parquet"] {
        // Without a max age: it reads in parts, which are of one run all the same.
        let asked = format!(r#"{{"report_id": 1, "format": "{format}"}}"#);
        let feed = feed(REPORT, &asked);
        let script = format!(
            "import sys, pathlib, duckdb, duckdb_extension_httpfs
package = pathlib.Path(duckdb_extension_httpfs.__file__).parent
extension = next(package.rglob('*.duckdb_extension'))
duckdb.sql(f\"load '{{extension}}'\")
query = 'select count(*), sum(n), sum(part), count(day), max(text) from read_{format}(?)'
print(*duckdb.execute(query, [sys.argv[1]]).fetchone())"
        );
        let Some(output) = python(&script, &feed.url) else {
            return;
        };
        assert_eq!(said(&output), "3000 4498500 1124625.0 2000 größe, \"999\"\n");
    }
}

#[test]
fn libreoffice_opens_a_feed() {
    let feed = feed(
        "select 42 as n, 'größe' as text",
        r#"{"report_id": 1, "format": "csv"}"#,
    );
    let folder = tempfile::tempdir().unwrap();
    let profile = format!("-env:UserInstallation=file://{}/profile", folder.path().display());
    let convert = |what: &str| {
        let mut command = Command::new("soffice");
        command.args([&profile, "--headless", "--convert-to", "csv", "--outdir"]);
        run(command.arg(folder.path()).arg(what))
    };
    let Some(output) = convert(&feed.url) else { return };
    said(&output);
    let made = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let made: Vec<_> = made
        .filter(|path| path.extension().is_some_and(|end| end == "csv"))
        .collect();
    assert_eq!(made.len(), 1, "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&made[0]).unwrap();
    assert_eq!(text.trim_start_matches('\u{feff}'), "n,text\n42,größe\n");
}
