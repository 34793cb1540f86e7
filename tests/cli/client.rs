//! The commands that talk to a server, as somebody logged in to it uses them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::server::BINARY;
use crate::server::Server;
use crate::server::apply;
use crate::server::folder_with_key;
use crate::server::stderr;
use crate::server::stdout;

/// A server, and somebody at home who knows a key to it.
pub(crate) struct Desk {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
    pub(crate) home: TempDir,
    pub(crate) key: String,
}

impl Desk {
    pub(crate) fn new(sql: &str, more: &[&str]) -> Self {
        let (folder, key) = folder_with_key(sql);
        Self {
            server: Server::start(folder.path(), more),
            folder,
            home: tempfile::tempdir().unwrap(),
            key,
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = client_command(self.home.path(), arguments);
        command.env("HOLISTICS_HOST", &self.server.host);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .env("HOLISTICS_KEY", &self.key)
            .output()
            .unwrap()
    }

    /// What a command prints, which must succeed.
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.prints(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }
}

/// The program as nobody has set it up.
pub(crate) fn client_command(home: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env("HOME", home);
    for name in ["HOST", "KEY", "PROFILE", "TIMEOUT", "DATA_DIR"] {
        command.env_remove(format!("HOLISTICS_{name}"));
    }
    command
}

#[test]
fn keys_are_kept_by_profile_and_overridden_by_the_environment() {
    let desk = Desk::new("select 1 as n", &[]);
    let run = |arguments: &[&str], key_on_stdin: &str, variables: &[(&str, &str)]| {
        let mut child = client_command(desk.home.path(), arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that does not read is no failure of this test.
        let _ = child.stdin.take().unwrap().write_all(key_on_stdin.as_bytes());
        child.wait_with_output().unwrap()
    };
    let says = |output: &Output, status: i32, words: &str| {
        let told = format!("{}{}", stdout(output), stderr(output));
        assert_eq!(output.status.code(), Some(status), "{told}");
        assert!(told.contains(words), "{words} is not in {told}");
    };
    let host = desk.server.host.as_str();
    let line = format!("{}\n", desk.key);
    says(
        &run(&["whoami"], "", &[]),
        3,
        "not logged in: run `holistics login` first",
    );
    says(&run(&["login", "--host", host], "", &[]), 2, "no key was given");
    says(
        &run(&["login", "--host", host], "wrong\n", &[]),
        3,
        "Error logging in",
    );
    says(
        &run(&["login", "--profile", "excel"], &line, &[]),
        2,
        "is a profile of CSV files",
    );
    says(
        &run(&["whoami", "--profile", "two"], "", &[]),
        3,
        "there is no profile `two`, only default",
    );
    let two = ["login", "--profile", "two", "--host", host];
    says(&run(&two, &line, &[]), 0, "Authentication successful");
    says(
        &run(&["whoami", "--profile", "two"], "", &[]),
        0,
        "ann@example.com",
    );
    says(
        &run(&["whoami"], "", &[("HOLISTICS_PROFILE", "two")]),
        0,
        "(profile two)",
    );
    says(
        &run(
            &["whoami"],
            "",
            &[("HOLISTICS_HOST", host), ("HOLISTICS_KEY", &line)],
        ),
        0,
        "scopes: run, read, import",
    );
    let data_dir = desk.folder.path().to_str().unwrap();
    let create = [
        "keys",
        "create",
        "--user",
        "ann@example.com",
        "--rate",
        "60",
        "--jobs",
        "2",
        "--pin",
        "region=ASIA",
        "--data-dir",
        data_dir,
    ];
    let limited = stdout(&run(&create, "", &[]));
    let limited = [("HOLISTICS_HOST", host), ("HOLISTICS_KEY", limited.trim())];
    says(
        &run(&["whoami"], "", &limited),
        0,
        "expires: never\nmay export: yes, import: no\nrate: 60 requests a minute\njobs: 2 at a time\nalways: region=ASIA\n",
    );
    let file = desk.home.path().join(".holistics.yml");
    let two = format!(
        "profiles:\n  \"two\":\n    token: \"{}\"\n    host: \"{host}\"\n",
        desk.key
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), two);
    // As the first of all clients wrote it.
    fs::write(&file, format!("---\ntoken: {}\nhost: {host}\n", desk.key)).unwrap();
    says(&run(&["whoami"], "", &[]), 0, "viewer");
    // A server that somebody else names gets no key that is another's.
    let elsewhere = "http://127.0.0.1:1";
    let refused = format!("not logged in to {elsewhere}: the key of `holistics login` is for {host};");
    says(&run(&["whoami", "--host", elsewhere], "", &[]), 3, &refused);
    says(
        &run(&["whoami"], "", &[("HOLISTICS_HOST", elsewhere)]),
        3,
        &refused,
    );
    let given = [("HOLISTICS_HOST", elsewhere), ("HOLISTICS_KEY", "key")];
    says(&run(&["whoami"], "", &given), 4, "cannot reach");
    let same = format!(" {host}/ ");
    says(&run(&["whoami", "--host", &same], "", &[]), 0, "viewer");
    let empty = [("HOLISTICS_TIMEOUT", ""), ("HOLISTICS_DATA_DIR", "")];
    says(&run(&["reports", "list"], "", &empty), 0, "One");
    let wrong = [("HOLISTICS_KEY", "wrong")];
    says(&run(&["whoami"], "", &wrong), 3, "it is that of HOLISTICS_KEY");
    says(&run(&["logout"], "", &[]), 0, "logged out of `default`");
    says(&run(&["logout"], "", &[]), 0, "nobody is logged in");
    assert!(!fs::read_to_string(&file).unwrap().contains(&desk.key));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&file, "token: [").unwrap();
    says(&run(&["whoami"], "", &[]), 2, "cannot read `");
}

/// A terminal by Python, which waits for the program to show nothing of what is typed.
const TYPE_THE_KEY: &str = r#"
import os, pty, sys, termios
process, terminal = pty.fork()
if process == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
while termios.tcgetattr(terminal)[3] & termios.ECHO:
    os.sched_yield()
os.write(terminal, sys.argv[1].encode() + b"\n")
seen = b""
try:
    while piece := os.read(terminal, 4096):
        seen += piece
except OSError:
    pass
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"#;

#[test]
fn settings_that_cannot_be_read_do_not_show_the_key() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".holistics.yml");
    for (text, line) in [
        ("host: x\ntoken: \"hlk_secret", "line "),
        ("hlk_secret", ""),
        ("token: [hlk_secret]", "line 1 "),
    ] {
        fs::write(&file, text).unwrap();
        let output = client_command(home.path(), &["whoami"]).output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(
            told.contains(line) && told.contains("is not as `holistics login` writes it") || line.is_empty(),
            "{told}"
        );
        assert!(!told.contains("hlk_secret"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn key_that_is_typed_is_not_shown() {
    let desk = Desk::new("select 1 as n", &[]);
    let typed = Command::new("python3")
        .args(["-c", TYPE_THE_KEY, &desk.key, BINARY, "login"])
        .env("HOME", desk.home.path())
        .env("HOLISTICS_HOST", &desk.server.host)
        .output();
    let Ok(typed) = typed else {
        eprintln!("skipped: there is no python3");
        return;
    };
    let seen = stdout(&typed);
    assert!(typed.status.success(), "{seen}{}", stderr(&typed));
    assert!(
        seen.contains("API key: ") && seen.contains("successful"),
        "{seen}"
    );
    assert!(!seen.contains(&desk.key), "{seen}");
}

#[test]
fn rows_are_shown_as_a_table_or_as_csv() {
    let desk = Desk::new(
        "select * from (values (1, '日本 🙂', 10.50), (2, null, -3.25), (3, 'a \"b\", c', null), (4, '', 0)) \
         as rows(n, nation, revenue) order by n",
        &[],
    );
    let table = ["run", "1", "--format", "table"];
    assert_eq!(
        desk.prints(&table),
        "n | nation   | revenue\n--+----------+--------\n1 | 日本 🙂  |   10.50\n2 | NULL     |   -3.25\n\
         3 | a \"b\", c |    NULL\n4 |          |    0.00\n4 rows\n"
    );
    let narrow = desk
        .command(&[
            "run",
            "one",
            "--format",
            "table",
            "--page",
            "2",
            "--page-size",
            "2",
        ])
        .env("HOLISTICS_KEY", &desk.key)
        .env("COLUMNS", "16")
        .output()
        .unwrap();
    assert_eq!(
        stdout(&narrow),
        "-[ 3 ]----------\nn       | 3\nnation  | a \"b\", c\nrevenue | NULL\n-[ 4 ]----------\nn       | 4\n\
         nation  | \nrevenue | 0.00\nrows 3 to 4 of 4\n"
    );
    let colored = desk.prints(&[&table[..], &["--color", "always"]].concat());
    assert!(colored.contains("\u{1b}[1mn\u{1b}[0m"), "{colored:?}");

    let whole = desk.prints(&["run", "1"]);
    assert_eq!(whole, desk.prints(&["export", "1", "-o", "-", "--format", "csv"]));
    let paged = desk.run(&["run", "1", "--page", "1"]);
    assert_eq!(stdout(&paged), whole);
    assert_eq!(stderr(&paged), "4 rows\n");
    let first = desk.run(&["run", "1", "--page", "1", "--page-size", "1"]);
    assert_eq!(stderr(&first), "rows 1 to 1 of 4; --page 2 has the next\n");
    let page = desk.json(&["run", "1"]);
    assert_eq!(page["values"][1], serde_json::json!(["2", null, "-3.25"]));
    let unknown = desk.run(&["run", "No such title"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("there is no report `No such title`"),
        "{}",
        stderr(&unknown)
    );
}

#[test]
fn reports_are_named_by_number_slug_or_title() {
    let desk = Desk::new("select 1 as n", &[]);
    let reports = desk.folder.path().join("reports");
    for (id, title) in [
        (2, "1-one"),
        (3, "ONE"),
        (4, "2024-orders"),
        (5, "รายงานที่"),
        (6, "5-day trend"),
        (7, "3-three"),
    ] {
        let text = format!("---\nid: {id}\ntitle: {title}\nshared_with: everyone\n---\nselect {id} as n");
        fs::write(reports.join(format!("{id}.sql")), text).unwrap();
    }
    apply(&reports, desk.folder.path());
    let thai = desk.json(&["reports", "list"])[4]["slug"]
        .as_str()
        .unwrap()
        .to_owned();
    for (given, id) in [
        ("1-one", 1),
        ("One", 1),
        ("ONE", 3),
        ("2024-orders", 4),
        ("4-2024-orders", 4),
        ("5-once-called-otherwise", 5),
        (thai.as_str(), 5),
        ("5-Day Trend", 6),
    ] {
        assert_eq!(desk.prints(&["run", given]), format!("n\n{id}\n"), "{given}");
    }
    for given in ["5-dya trend", "2025-orders"] {
        assert_eq!(desk.run(&["run", given]).status.code(), Some(1), "{given}");
    }
    let says = "`3-three` is the title of report 7, and report 3 by its number; name it by its number alone";
    let output = desk.run(&["run", "3-three"]);
    assert!(stderr(&output).contains(says), "{}", stderr(&output));
    let says = "2 reports have the title `oNE`; name one by its number: 1, 3";
    assert!(stderr(&desk.run(&["run", "oNE"])).contains(says));
}

#[test]
fn reports_are_listed_shown_and_opened() {
    let desk = Desk::new("select 1 as n", &[]);
    let reports = desk.folder.path().join("reports");
    for id in [2, 3] {
        let text = format!("---\nid: {id}\ntitle: Twin\nshared_with: everyone\n---\nselect {id} as n");
        fs::write(reports.join(format!("{id}.sql")), text).unwrap();
    }
    let text = "---\nid: 4\ntitle: 1-day retention\nshared_with: everyone\nfilters:\n  status: {type: dropdown, values: [open, {key: x, label: Gone}], default: open}\n  on: {type: date_range}\n---\nselect 4 as n where {{ status }} is not null";
    fs::write(reports.join("4.sql"), text).unwrap();
    let text = "---\nid: 5\ntitle: Nation\nshared_with: everyone\nfilters:\n  nation: {type: dropdown, values_sql: \"select if(i > 0, 'x' || i, null) as nation from range(25000) t(i)\"}\n---\nselect {{ nation }} as nation";
    fs::write(reports.join("5.sql"), text).unwrap();
    apply(&reports, desk.folder.path());
    for (report, row) in [
        ("1-day Retention", "4"),
        ("4-1-day-retention", "4"),
        ("1-one", "1"),
        ("1", "1"),
    ] {
        assert_eq!(desk.prints(&["run", report]), format!("n\n{row}\n"), "{report}");
    }
    let shown = desk.prints(&["reports", "show", "4"]);
    let filter = "filter status: dropdown, default open, one of open, x (Gone) (Status)";
    assert!(shown.to_lowercase().contains(&filter.to_lowercase()), "{shown}");
    assert!(shown.contains("filter on_start, on_end: date_range"), "{shown}");
    let shown = desk.prints(&["reports", "show", "5"]);
    let filter = "filter nation: dropdown, one of what `holistics reports values 5 nation` lists (nation)";
    assert!(shown.contains(filter), "{shown}");
    let values = desk.prints(&["reports", "values", "nation", "nation"]);
    let all: Vec<String> = (1..25_000).map(|number| format!("x{number}\n")).collect();
    assert!(values == format!("nation\n{}", all.concat()), "{}", values.len());
    let told = desk.json(&["reports", "values", "5", "nation"]);
    assert_eq!(told["fields"], serde_json::json!(["nation"]));
    assert_eq!(told["values"][24_998], serde_json::json!(["x24999"]));
    let wrong = desk.run(&[
        "export",
        "5",
        "--filter",
        "nation=y9",
        "-o",
        "-",
        "--format",
        "csv",
    ]);
    assert!(
        stderr(&wrong).contains("`values_sql` lists; `holistics reports values` shows them"),
        "{}",
        stderr(&wrong)
    );
    for own in ["_strict=false", "_truncate=true", "job_id=3"] {
        let refused = desk.run(&["run", "4", "--filter", own]);
        assert_eq!(refused.status.code(), Some(2), "{own}");
        assert!(
            stderr(&refused).contains("is no filter: names that begin with `_`"),
            "{own}"
        );
    }
    let unknown = desk.run(&["run", "4", "--filter", "statuz=open"]);
    assert_eq!(unknown.status.code(), Some(2));
    let says =
        "report `1-day retention` has no filter `statuz`; its filters are `status`, `on_start`, `on_end`";
    assert!(stderr(&unknown).contains(says), "{}", stderr(&unknown));
    let missing = desk.run(&["run", "99"]);
    assert_eq!(missing.status.code(), Some(1));
    let says = format!(
        "{} has no report 99, or shows it to others alone",
        desk.server.host
    );
    assert!(stderr(&missing).contains(&says), "{}", stderr(&missing));
    let twin = desk.run(&["run", "twin"]);
    assert_eq!(twin.status.code(), Some(2));
    assert!(
        stderr(&twin).contains("2 reports have the title `twin`; name one by its number: 2, 3"),
        "{}",
        stderr(&twin)
    );
    let listed = desk.prints(&["reports", "list"]);
    assert_eq!(
        listed,
        "ID | Version | Title | Filters\n1 | 1 | One | \n2 | 1 | Twin | \n3 | 1 | Twin | \n4 | 1 | 1-day retention | status, on_start, on_end\n5 | 1 | Nation | nation\n"
    );
    assert_eq!(desk.json(&["reports", "list"])[2]["slug"], "3-twin");
    assert!(
        desk.prints(&["reports", "show", "one"])
            .starts_with("One (1-one, version 1)\n")
    );
    // The folder has them for everybody who may read it.
    let data_dir = desk.folder.path().to_str().unwrap();
    let shown = desk.prints(&["reports", "show", "One", "--data-dir", data_dir]);
    assert!(
        shown.contains("shared with: everyone") && shown.ends_with("select 1 as n\n"),
        "{shown}"
    );
    let folder = desk.json(&["reports", "list", "--data-dir", data_dir]);
    assert_eq!(folder[0]["sql"], "select 1 as n");
    // A result of earlier is good enough unless it is not.
    let text = "---\nid: 6\ntitle: Now\nshared_with: everyone\ncache: 1h\n---\nselect random() as n";
    fs::write(reports.join("6.sql"), text).unwrap();
    apply(&reports, desk.folder.path());
    let first = desk.prints(&["run", "6"]);
    assert_eq!(desk.prints(&["run", "6"]), first);
    let fresh = desk.prints(&["run", "6", "--fresh"]);
    assert_ne!(fresh, first);
    let export = ["export", "6", "--format", "csv", "-o", "-"];
    let kept = desk.prints(&export);
    assert_ne!(desk.prints(&[&export[..], &["--fresh"]].concat()), kept);
    let page = || desk.json(&["run", "6"])["values"].clone();
    assert_eq!(page(), page());
    assert_ne!(page(), desk.json(&["run", "6", "--fresh"])["values"]);
    let file = |link: String| {
        ureq::get(link.trim())
            .call()
            .unwrap()
            .into_body()
            .read_to_string()
            .unwrap()
    };
    let open = ["reports", "open", "6", "--format", "csv"];
    let kept = file(desk.prints(&open));
    assert_eq!(file(desk.prints(&open)), kept);
    assert_ne!(file(desk.prints(&[&open[..], &["--fresh"]].concat())), kept);
    assert!(desk.prints(&["reports", "show", "6"]).contains("cache: 1h\n"));
    let link = desk.prints(&["reports", "open", "2", "--format", "csv"]);
    let file = ureq::get(link.trim())
        .call()
        .unwrap()
        .into_body()
        .read_to_string();
    assert_eq!(file.unwrap(), "n\n2\n");
}

#[test]
fn everything_that_is_printed_can_be_json() {
    let desk = Desk::new("select 1 as n", &[]);
    let file = desk.home.path().join("one.csv");
    let exported = desk.json(&["export", "1", "-o", file.to_str().unwrap()]);
    assert_eq!(exported["rows"], 1);
    assert_eq!(desk.json(&["whoami"])["key"]["scopes"][0], "run");
    assert_eq!(desk.json(&["jobs", "list"])[0]["source_method"], "export");
    assert_eq!(desk.json(&["jobs", "show", "1"])["status"], "success");
    assert_eq!(desk.json(&["data_sources", "list"])[0]["name"], "warehouse");
    assert_eq!(desk.json(&["data_sources", "show", "1"])["dbtype"], "duckdb");
    assert_eq!(
        desk.json(&["logout"])["message"],
        "nobody is logged in as `default`"
    );
    assert_eq!(desk.json(&["version"])["version"], env!("CARGO_PKG_VERSION"));
    let feed = desk.json(&["feeds", "create", "--report", "1", "--profile", "excel"]);
    assert!(feed["url"].as_str().unwrap().starts_with("http"), "{feed}");
    assert_eq!(desk.json(&["feeds", "list"])[0]["report_id"], 1);
    let data_dir = desk.folder.path().to_str().unwrap();
    let local = |arguments: &[&str]| desk.json(&[arguments, &["--data-dir", data_dir]].concat());
    assert_eq!(local(&["users", "list"])[0]["role"], "viewer");
    assert_eq!(local(&["keys", "list"])[0]["user"], "ann@example.com");
    assert_eq!(local(&["sources", "list"])[0]["dbtype"], "duckdb");
    assert_eq!(local(&["groups", "list"]), serde_json::json!([]));
    let key = local(&["keys", "create", "--user", "ann@example.com"]);
    assert!(key["key"].as_str().unwrap().starts_with("hlk_"));
    let role = local(&["users", "role", "ann@example.com", "analyst"]);
    assert!(role["message"].as_str().unwrap().contains("analyst"), "{role}");
    let dry = desk.json(&["import", "csv", "--dry-run", "-f", file.to_str().unwrap()]);
    assert_eq!(
        dry["columns"],
        serde_json::json!([{"name": "n", "type": "integer"}])
    );
    assert_eq!(dry["first_rows"], serde_json::json!([["1"]]));
    let piped = desk.run(&["export", "1", "-o", "-", "--format", "csv", "--json"]);
    assert_eq!(stdout(&piped), "n\n1\n");
    let manifest: Value = serde_json::from_str(&stderr(&piped)).unwrap();
    assert_eq!(manifest["rows"], 1);
    assert_eq!(
        desk.prints(&["jobs", "logs", "1", "--follow"]),
        desk.prints(&["jobs", "logs", "1"])
    );
    let logs = desk.prints(&["jobs", "logs", "1", "--follow", "--json"]);
    let lines: Vec<Value> = logs
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines.last().unwrap()["status"], "success");
    assert!(desk.prints(&["jobs", "logs", "1"]).contains(" INFO queued"));
}

#[test]
fn shells_and_man_know_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = client_command(folder.path(), &["completions", shell])
            .output()
            .unwrap();
        assert!(stdout(&script).contains("whoami"), "{shell}");
        if shell == "bash" {
            let path = folder.path().join("completions");
            fs::write(&path, &script.stdout).unwrap();
            let checked = Command::new("bash").arg("-n").arg(&path).status();
            assert!(checked.unwrap().success());
        }
    }
    let pages = folder.path().join("share/man 1");
    let made = client_command(folder.path(), &["man", pages.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let page = fs::read_to_string(pages.join("holistics-export.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("Examples:"), "{page}");
}

/// Every line of an example that runs the program is one that it takes, whatever becomes of it.
#[test]
fn examples_of_help_texts_are_commands() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["key.txt", "people.csv", "events.csv"] {
        fs::write(folder.path().join(name), "n\n1\n").unwrap();
    }
    let mut examples = 0;
    for command in [
        &["login"][..],
        &["run"],
        &["export"],
        &["reports"],
        &["jobs"],
        &["feeds"],
        &["data_sources"],
        &["import", "csv"],
        &["completions"],
        &["man"],
    ] {
        let help = client_command(folder.path(), &[command, &["--help"]].concat())
            .output()
            .unwrap();
        let help = stdout(&help);
        let lines = help.lines().filter_map(|line| line.strip_prefix("  holistics "));
        for line in lines {
            // What is behind the columns of an example is told, not typed.
            let example = line.split("   ").next().unwrap();
            let script = format!("cd \"$HOME\"; \"$PROGRAM\" {example}");
            let tried = Command::new("sh")
                .args(["-c", &script])
                .env("HOME", folder.path())
                .env("PROGRAM", BINARY)
                .env_remove("HOLISTICS_DATA_DIR")
                .env("HOLISTICS_HOST", "http://127.0.0.1:1")
                .env("HOLISTICS_KEY", "none")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let told = stderr(&tried);
            assert!(!told.contains("Usage:"), "{example}: {told}");
            examples += 1;
        }
    }
    assert!(examples > 20, "{examples}");
}
