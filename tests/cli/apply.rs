//! Reports that are brought to a server elsewhere.

use std::fs;
use std::process::Command;
use std::process::Output;

use crate::server::BINARY;
use crate::server::Server;
use crate::server::folder_with_key;
use crate::server::stderr;
use crate::server::stdout;

#[test]
fn report_files_are_brought_to_a_server_elsewhere() {
    let (folder, _) = folder_with_key("select 1 as n");
    let data_dir = folder.path().to_str().unwrap();
    let run = |arguments: &[&str]| -> Output {
        Command::new(BINARY)
            .args(arguments)
            .env("HOME", folder.path())
            .output()
            .unwrap()
    };
    let local = |arguments: &[&str]| {
        let output = run(&[arguments, &["--data-dir", data_dir]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).trim_end().to_owned()
    };
    local(&[
        "users",
        "add",
        "bob@example.com",
        "--api-access",
        "--role",
        "analyst",
    ]);
    let key = local(&[
        "keys",
        "create",
        "--user",
        "bob@example.com",
        "--scope",
        "read,reports:write",
    ]);
    let server = Server::start(folder.path(), &[]);
    let login = Command::new(BINARY)
        .args(["login", &key])
        .env("HOME", folder.path())
        .env("HOLISTICS_HOST", &server.host)
        .output()
        .unwrap();
    assert!(login.status.success(), "{}", stderr(&login));
    let mine = folder.path().join("mine");
    fs::create_dir(&mine).unwrap();
    let file = |name: &str, text: &str| fs::write(mine.join(name), text).unwrap();
    file("7.sql", "---\nid: 7\ntitle: Seven\n---\nselect 7 as n");
    file("8.sql", "---\nid: 8\ntitle: Eight\n---\nselect 8 as n");
    let apply = |more: &[&str]| {
        let dir = mine.to_str().unwrap();
        run(&[&["reports", "apply", dir, "--host", &server.host], more].concat())
    };
    let would = "report 7 `Seven`: would be created\nreport 8 `Eight`: would be created\n";
    assert_eq!(stdout(&apply(&["--dry-run"])), would);
    assert_eq!(server.get("/queries/7.json", &key).0, 404);
    let done = apply(&[]);
    assert_eq!(stdout(&done), would.replace("would be ", ""), "{}", stderr(&done));
    assert_eq!(server.json("/queries/8.json", &key)["title"], "Eight");
    // Who is logged in and names neither a server nor a folder may mean either.
    let dir = mine.to_str().unwrap();
    let unnamed = Command::new(BINARY)
        .args(["reports", "apply", dir])
        .env("HOME", folder.path())
        .current_dir(&mine)
        .output()
        .unwrap();
    let told = format!(
        "note: this is of the data folder `holistics-data`; --profile default brings reports to {}, where you are \
         logged in\nnote: `holistics-data` is a new data folder\n",
        server.host
    );
    assert_eq!(stderr(&unnamed), told);
    assert!(
        stdout(&unnamed).contains("report 8 `Eight`: created"),
        "{}",
        stdout(&unnamed)
    );
    let named = run(&["reports", "apply", dir, "--profile", "default"]);
    assert!(
        stdout(&named).contains("report 8 `Eight`: unchanged"),
        "{}",
        stderr(&named)
    );
    // Somebody else's report: nothing is applied, not even what would go well.
    file("7.sql", "---\nid: 7\ntitle: Seven\n---\nselect 77 as n");
    file("9.sql", "---\nid: 1\ntitle: One\n---\nselect 9 as n");
    let refused = apply(&[]);
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("9.sql: "), "{}", stderr(&refused));
    assert_eq!(server.json("/queries/7.json", &key)["version"], 1);
    // What was brought there can be shared and removed from there.
    let named = ["--host", &server.host];
    let shared = run(&[&["reports", "share", "8", "everyone"], &named[..]].concat());
    assert_eq!(
        stdout(&shared),
        "report 8 is shared with everyone\n",
        "{}",
        stderr(&shared)
    );
    assert_eq!(server.json("/queries/8.json", &key)["shared_with"][0], "everyone");
    let removed = run(&[&["reports", "remove", "8"], &named[..]].concat());
    assert_eq!(stdout(&removed), "removed report 8\n", "{}", stderr(&removed));
    assert_eq!(server.get("/queries/8.json", &key).0, 404);
    let refused = run(&[&["reports", "remove", "1"], &named[..]].concat());
    assert!(
        stderr(&refused).contains("can be changed by its owner"),
        "{}",
        stderr(&refused)
    );
}
