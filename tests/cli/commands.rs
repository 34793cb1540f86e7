//! The commands that are no server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::server::BINARY;
use crate::server::Server;
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
