//! House rules that the compiler does not hold: which module may use which, and that documents name what exists.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Every module, and which it may use; `error` is for everybody. ARCHITECTURE.md explains it.
const MAY_USE: [(&str, &[&str]); 28] = [
    ("config", &[]),
    ("error", &[]),
    ("report", &[]),
    ("source", &[]),
    ("hex", &[]),
    ("kill_point", &[]),
    ("random", &[]),
    ("secret", &["source", "random"]),
    ("data_import", &[]),
    ("access", &[]),
    ("feed", &["random"]),
    ("user", &["access"]),
    ("api_key", &["access", "random"]),
    ("arrow_types", &[]),
    ("memo", &[]),
    ("plural", &[]),
    ("exports", &["arrow_types"]),
    ("bench", &["exports"]),
    ("fuzzing", &["query", "http", "imports"]),
    ("query", &["report", "source", "access"]),
    ("job", &["query", "hex"]),
    (
        "store",
        &[
            "report",
            "source",
            "user",
            "query",
            "job",
            "api_key",
            "memo",
            "data_import",
            "access",
            "feed",
            "plural",
        ],
    ),
    ("imports", &["objects"]),
    ("objects", &["config"]),
    (
        "connectors",
        &["source", "query", "arrow_types", "memo", "data_import", "hex"],
    ),
    ("results", &["config", "objects"]),
    (
        "worker",
        &[
            "config",
            "report",
            "source",
            "user",
            "api_key",
            "exports",
            "query",
            "job",
            "store",
            "objects",
            "connectors",
            "results",
            "secret",
            "imports",
            "data_import",
            "kill_point",
            "plural",
        ],
    ),
    (
        "http",
        &[
            "config",
            "report",
            "source",
            "user",
            "api_key",
            "exports",
            "query",
            "job",
            "store",
            "objects",
            "results",
            "secret",
            "imports",
            "hex",
            "data_import",
            "kill_point",
            "random",
            "access",
            "feed",
            "plural",
        ],
    ),
];

/// Shorter files read better; a test that lists cases may be longer.
const LINES_MAX: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder with one of these endings.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if endings
            .iter()
            .any(|ending| path.extension().is_some_and(|found| found == *ending))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The first part of a path below `src`, such as `store` of `src/store/jobs.rs`.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Path) -> bool {
    let text = path.to_str().unwrap();
    let ends = ["/tests.rs", "/types.rs", "/escapes.rs"];
    text.contains("/tests/") || text.contains("/conformance") || ends.iter().any(|end| text.ends_with(end))
}

/// The modules that the code of a file names, its tests left out.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.split("crate::")
        .skip(1)
        .map(|rest| {
            rest.chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect()
        })
        .filter(|name: &String| name.chars().next().is_some_and(char::is_lowercase))
        .collect()
}

#[test]
fn modules_use_only_what_they_may() {
    for path in files(&root().join("src"), &["rs"]) {
        let own = module(&path);
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == own) else {
            assert!(
                ["cli", "lib", "main", "tests"].contains(&own.as_str()),
                "{own} is not in the table"
            );
            continue;
        };
        if is_test(&path) {
            continue;
        }
        for used in used_modules(&fs::read_to_string(&path).unwrap()) {
            let may = used == own || used == "error" || allowed.contains(&used.as_str());
            assert!(may, "{} may not use {used}", path.display());
        }
    }
}

#[test]
fn http_alone_knows_status_codes() {
    for path in files(&root().join("src"), &["rs"]) {
        if ["http", "tests"].contains(&module(&path).as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("StatusCode") && !text.contains("axum::"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut paths = files(&root().join("src"), &["rs"]);
    paths.extend(files(&root().join("tests"), &["rs"]));
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains(concat!("#[", "ignore")),
            "{}: fix the test or delete it",
            path.display()
        );
        if is_test(&path) {
            continue;
        }
        assert!(
            text.starts_with("//!"),
            "{} does not say what it is for",
            path.display()
        );
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

/// What looks like a path of the repository, in backticks or as a link's target.
fn named_paths(text: &str) -> Vec<String> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let code = text.split('`').skip(1).step_by(2);
    let starts = [
        "src/",
        "tests/",
        "docs/",
        "scripts/",
        "migrations/",
        "reports/",
        "benches/",
        ".ci/",
    ];
    let ends = [".md", ".rs"];
    links
        .chain(code)
        .map(|path| {
            path.split('#')
                .next()
                .unwrap_or_default()
                .trim_end_matches('/')
                .to_owned()
        })
        .filter(|path| !path.contains([' ', '*', ':', '<']))
        .filter(|path| {
            starts.iter().any(|start| path.starts_with(start)) || ends.iter().any(|end| path.ends_with(end))
        })
        .collect()
}

#[test]
fn documents_name_only_what_exists() {
    let mut documents = files(&root().join("docs"), &["md"]);
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        documents.push(root().join(name));
    }
    let mut count = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for path in named_paths(&text) {
            let beside = document.parent().unwrap().join(&path);
            let found = root().join(&path).exists() || beside.exists();
            assert!(found, "{} names {path}", document.display());
            count += 1;
        }
    }
    assert!(count > 10, "the documents name {count} paths: is the test blind?");
}

#[test]
fn every_error_code_is_explained() {
    let source = fs::read_to_string(root().join("src/error.rs")).unwrap();
    let codes = source
        .split("pub(crate) enum ErrorCode {")
        .nth(1)
        .unwrap()
        .split('}')
        .next()
        .unwrap();
    let document = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let mut count = 0;
    for line in codes
        .lines()
        .map(str::trim)
        .filter(|line| line.ends_with(',') && !line.starts_with("//"))
    {
        let mut name = String::new();
        for character in line.trim_end_matches(',').chars() {
            if character.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(character.to_lowercase());
        }
        assert!(
            document.contains(&format!("| `{name}` |")),
            "docs/errors.md does not explain `{name}`"
        );
        count += 1;
    }
    assert!(count >= 10);
}

#[test]
fn every_route_is_documented() {
    let document = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let mut count = 0;
    for path in files(&root().join("src/http"), &["rs"]) {
        let text = fs::read_to_string(path).unwrap();
        for rest in text.split("path = \"").skip(1) {
            let route = rest.split('"').next().unwrap();
            let route = if route.ends_with('}') {
                format!("{route}.json")
            } else {
                route.to_owned()
            };
            assert!(
                document.contains(&format!("`{route}`")) || document.contains(&format!(" {route}`")),
                "docs/api.md lacks {route}"
            );
            count += 1;
        }
    }
    assert!(count >= 10);
}
