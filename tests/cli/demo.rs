//! `holistics demo`, its reports and the original Python client on it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::server::Server;
use crate::server::holistics;
use crate::server::stderr;
use crate::server::stdout;

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
