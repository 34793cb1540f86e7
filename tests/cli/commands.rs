//! The commands that are no server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::server::BINARY;
use crate::server::Server;
use crate::server::apply;
use crate::server::folder_with_key;
use crate::server::holistics;
use crate::server::stderr;
use crate::server::stdout;

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
    write(
        "1.sql",
        "---\nid: 1\ntitle: One\nshared_with: [everyone]\n---\nselect 1",
    );
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
        faults.contains("3.sql: `id: 1` is taken by") && faults.contains("1.sql"),
        "{faults}"
    );
    assert!(!data_dir.exists());
    write("2.sql", "---\nid: 2\ntitle: Two\n---\nselect 2");
    write(
        "3.sql",
        "---\nid: 3\ntitle: Three\nsource: elsewhere\n---\nselect 3",
    );
    for arguments in [&[][..], &["--dry-run"]] {
        let faults = stderr(&apply(arguments));
        assert!(
            faults.contains("report 3 `Three`: there is no source `elsewhere`; there are warehouse"),
            "{faults}"
        );
    }
    fs::remove_dir_all(&data_dir).unwrap();
    fs::remove_file(reports.join("3.sql")).unwrap();
    assert!(stdout(&apply(&["--dry-run"])).contains("report 2 `Two`: would be created"));
    assert!(!data_dir.exists());
    assert_eq!(
        stdout(&apply(&[])),
        "report 1 `One`: created\nreport 2 `Two`: created, for administrators alone \
         (`holistics reports share 2 everyone` changes that)\n"
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
        "ID | Version | Title | Filters | Shared with\n1 | 1 | One |  | everyone\n2 | 2 | Two |  | \n"
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
    fails(
        &["users", "add", "ann"],
        "`email` must be an e-mail address, got `ann`",
    );
    fails(
        &["keys", "create", "--user", "bob@example.com"],
        "there is no user `bob@example.com`",
    );
    fails(&["keys", "revoke", "7"], "there is no key `7`");
    for terms in [["--report", "1"], ["--pin", "tenant=1"]] {
        let mut create = vec![
            "keys",
            "create",
            "--user",
            "ann@example.com",
            "--scope",
            "read,import",
        ];
        create.extend(terms);
        fails(
            &create,
            "a key with `--report` or `--pin` opens reports alone, so that the scope `import` opens nothing: leave it out",
        );
    }
    let notes = |arguments: &[&str]| {
        let create = [
            "keys",
            "create",
            "--user",
            "ann@example.com",
            "--data-dir",
            data_dir,
        ];
        let output = holistics(&[&create[..], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    assert_eq!(notes(&["--report", "1"]), "");
    assert_eq!(
        notes(&["--report", "1,9", "--pin", "tenant=1"]),
        "note: there is no report `9` yet\n\
         note: no report that the key opens has a filter `tenant` yet\n"
    );
    assert_eq!(
        notes(&["--scope", "import,admin"]),
        "note: the scope `admin` opens nothing until ann@example.com is administrator, not viewer: \
         `holistics users role ann@example.com administrator`\n\
         note: the scope `import` opens nothing until `holistics users imports ann@example.com on`\n"
    );
    let rotate = |grace: &str| {
        let output = holistics(&["keys", "rotate", "1", "--grace", grace, "--data-dir", data_dir]);
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output).split_once("which ").unwrap().1.to_owned()
    };
    let first = rotate("2h");
    assert!(first.starts_with("works until 20"), "{first}");
    // The old key is over when it was to be, whatever is said later.
    assert_eq!(rotate("24h"), first);
    assert_eq!(rotate("0s"), "is over\n");
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

#[test]
fn source_that_is_changed_keeps_what_is_not_said() {
    let folder = tempfile::tempdir().unwrap();
    let (data, reports) = (folder.path().join("data"), folder.path().join("reports"));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(&data)
            .env("SECRET", "open sesame")
            .env_remove("HOLISTICS_SECRET_KEY");
        command.output().unwrap()
    };
    let add = ["sources", "add", "sales", "--type", "postgres", "--url"];
    let url = "postgres://reader@db.example.com/sales";
    let settings = [
        "--password-env",
        "SECRET",
        "--concurrency",
        "2",
        "--time-zone",
        "Asia/Tokyo",
    ];
    let added = run(&[&add[..], &[url], &settings].concat());
    assert!(added.status.success(), "{}", stderr(&added));
    let again = run(&[&add[..], &[url]].concat());
    assert!(
        stderr(&again).contains("there is a source `sales` already"),
        "{}",
        stderr(&again)
    );
    let moved = "postgres://reader@db2.example.com/sales";
    let changed = run(&[&add[..], &[moved, "--writable", "--replace"]].concat());
    assert_eq!(stdout(&changed), stdout(&added));
    let shown = stdout(&run(&["sources", "show", "sales"]));
    for line in [
        "url: postgres://reader@db2.example.com/sales",
        "password: set",
        "concurrency: 2",
        "time_zone: Asia/Tokyo",
        "writable: true",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    assert!(stdout(&run(&["sources", "list"])).contains("| sales | yes"));
    run(&[&add[..], &[moved, "--read-only", "--replace"]].concat());
    assert!(stdout(&run(&["sources", "list"])).contains("| sales | no"));
    let short = run(&[&add[..], &[moved, "--replace", "--statement-timeout", "0s"]].concat());
    assert!(
        stderr(&short).contains("must be a second or more"),
        "{}",
        stderr(&short)
    );
    // A report keeps its source; without the report it can go.
    fs::create_dir(&reports).unwrap();
    let report = "---\nid: 7\ntitle: Sales\nsource: sales\n---\nselect 1";
    fs::write(reports.join("sales.sql"), report).unwrap();
    let reports = reports.display().to_string();
    assert!(run(&["reports", "apply", &reports]).status.success());
    let kept = run(&["sources", "remove", "sales"]);
    assert!(
        stderr(&kept).contains("used by the report 7:"),
        "{}",
        stderr(&kept)
    );
    assert_eq!(stdout(&run(&["reports", "remove", "7"])), "removed report 7\n");
    let gone = run(&["reports", "remove", "7"]);
    assert!(
        stderr(&gone).contains("there is no report `7`"),
        "{}",
        stderr(&gone)
    );
    assert!(run(&["sources", "remove", "sales"]).status.success());
}

#[test]
fn export_writes_whole_files_and_leaves_no_half_ones() {
    let (folder, key) =
        folder_with_key("select range as n, repeat('x', 20) as t from range(60000) order by n");
    let reports = folder.path().join("reports");
    fs::write(
        reports.join("2.sql"),
        "---\nid: 2\ntitle: Two\nshared_with: everyone\nrows_max: 3\nfilters:\n  ids: {type: list, of: number}\n---
         select range as n from range(5) where true [[and range in ({{ ids }})]]",
    )
    .unwrap();
    fs::write(
        reports.join("3.sql"),
        "---\nid: 3\ntitle: Three\nshared_with: everyone\n---\nselect cast('x' as integer)",
    )
    .unwrap();
    apply(&reports, folder.path());
    let server = Server::start(folder.path(), &[]);
    let command = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env("HOME", folder.path())
            .env("HOLISTICS_HOST", &server.host);
        command
    };
    let run = |arguments: &[&str]| command(arguments).output().unwrap();
    let out = folder.path().join("out put 🙂");
    fs::create_dir(&out).unwrap();
    let file = |name: &str| out.join(name).to_str().unwrap().to_owned();
    assert!(stderr(&run(&["export", "1", "-o", &file("a.csv")])).contains("holistics login"));
    assert!(run(&["login", &key]).status.success());
    let done = run(&["export", "1-one", "-o", &file("a.csv")]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stderr(&done).contains("60000 rows"), "{}", stderr(&done));
    let text = fs::read_to_string(file("a.csv")).unwrap();
    assert_eq!(
        (text.lines().count(), text.lines().last()),
        (60001, Some("59999,xxxxxxxxxxxxxxxxxxxx"))
    );
    let piped = run(&["export", "1", "-o", "-", "--format", "csv"]);
    assert_eq!(stdout(&piped), text);
    let some = run(&[
        "export",
        "2",
        "-o",
        &file("b.NDJSON"),
        "--filter",
        "ids=1",
        "--filter",
        "ids=4",
    ]);
    assert!(some.status.success(), "{}", stderr(&some));
    assert_eq!(
        fs::read_to_string(file("b.NDJSON")).unwrap(),
        "{\"n\":1}\n{\"n\":4}\n"
    );
    let cut = run(&["export", "2", "-o", &file("c.csv"), "--truncate"]);
    assert!(stderr(&cut).contains("these are the first 3"), "{}", stderr(&cut));
    for (arguments, says) in [
        (vec!["export", "2", "-o", &file("d.csv")], "passed the limit of 3"),
        (vec!["export", "3", "-o", &file("d.csv")], "Conversion Error"),
        (vec!["export", "9", "-o", &file("d.csv")], "Resource not found"),
        (
            vec!["export", "2", "-o", &file("d.csv"), "--filter", "ids=x"],
            "filter `ids` must be",
        ),
        (
            vec!["export", "2", "-o", &file("d.csv"), "--filter", "ids"],
            "must be like since=2026-01-31",
        ),
        (
            vec!["export", "1", "-o", &file("none/d.csv")],
            "there is no folder",
        ),
        (
            vec!["export", "1", "-o", &file("d.doc")],
            "does not say its format",
        ),
        (
            vec!["export", "1", "-o", out.to_str().unwrap(), "--format", "csv"],
            "is a folder",
        ),
        (
            vec!["export", "1", "-o", "/dev/full", "--format", "csv"],
            "cannot write",
        ),
        (
            vec!["export", "1", "-o", &file("d/"), "--format", "csv"],
            "is a folder",
        ),
        (
            vec!["export", "1", "-o", "/dev/stdout"],
            "standard output does not say its format",
        ),
        (
            vec!["export", "1", "-o", &file("d.xlsx"), "--csv-profile", "excel"],
            "`excel` is a profile of CSV files, and this one is xlsx",
        ),
    ] {
        let output = run(&arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            stderr(&output).contains(says),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    let mut left: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["a.csv", "b.NDJSON", "c.csv"]);

    // Standard output by whichever name goes on where it is, even if it is a file.
    let whole = file("whole.csv");
    fs::write(&whole, "first\n").unwrap();
    let stdout_file = fs::File::options().append(true).open(&whole).unwrap();
    let arguments = [
        "export",
        "2",
        "-o",
        "/dev/stdout",
        "--format",
        "ndjson",
        "--filter",
        "ids=4",
    ];
    let written = command(&arguments).stdout(stdout_file).status().unwrap();
    assert!(written.success());
    assert_eq!(fs::read_to_string(&whole).unwrap(), "first\n{\"n\":4}\n");

    let jobs = stdout(&run(&["jobs", "list", "--status", "failure"]));
    assert!(jobs.contains("| failure | export | Three |"), "{jobs}");
    let shown = stdout(&run(&["jobs", "show", "1"]));
    assert!(
        shown.contains("status: success") && shown.contains("source_method: export"),
        "{shown}"
    );
    assert!(stdout(&run(&["jobs", "wait", "1"])).ends_with("Done.\n"));
    let feed = run(&[
        "feeds",
        "create",
        "--report",
        "2",
        "--filter",
        "ids=2",
        "--max-age",
        "15m",
    ]);
    assert!(feed.status.success(), "{}", stderr(&feed));
    let fetched = ureq::get(stdout(&feed).trim())
        .call()
        .unwrap()
        .into_body()
        .read_to_string();
    assert_eq!(fetched.unwrap(), "n\n2\n");
    let listed = stdout(&run(&["feeds", "list"]));
    assert!(listed.contains("1 | 2 | csv | ids=2 | 15m | false |"), "{listed}");
    for (command, says) in [
        ("pause", "paused feed 1"),
        ("resume", "resumed feed 1"),
        ("revoke", "revoked feed 1"),
    ] {
        assert_eq!(stdout(&run(&["feeds", command, "1"])).trim(), says);
    }
    // Records are written a moment later.
    let audit = loop {
        let audit = stdout(&holistics(&[
            "audit",
            "export",
            "--data-dir",
            folder.path().to_str().unwrap(),
        ]));
        if audit.contains("\"action\":\"feed\"") {
            break audit;
        }
        std::thread::yield_now();
    };
    assert!(audit.lines().count() > 10, "{audit}");
    let records: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let feed = records.iter().find(|record| record["action"] == "feed").unwrap();
    assert_eq!(feed["filter_values"], serde_json::json!({"ids": ["2"]}));
    assert!(
        records
            .iter()
            .all(|record| record["at"].as_str().unwrap().ends_with('Z')),
        "{audit}"
    );
}
