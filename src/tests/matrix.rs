//! Every route × every kind of caller. A route of `/openapi.json` that has no row here fails the test.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::Value;

use crate::access::KeyTerms;
use crate::access::Role;
use crate::access::Scope;
use crate::tests::TestApp;
use crate::tests::add_key_with;

/// What comes back where a caller may.
const OK: u16 = 200;

/// What a route asks for: a scope (`-` for none, `open` for no key at all) and a role.
struct Row {
    method: &'static str,
    /// As in the document.
    route: &'static str,
    /// With `{job}`, `{feed}` and so on to be filled in.
    path: &'static str,
    body: &'static str,
    scope: &'static str,
    role: Role,
    /// What a caller gets who may.
    may: &'static [u16],
}

const fn row(
    method: &'static str,
    route: &'static str,
    path: &'static str,
    body: &'static str,
    scope: &'static str,
    role: Role,
    may: &'static [u16],
) -> Row {
    Row {
        method,
        route,
        path,
        body,
        scope,
        role,
        may,
    }
}

use Role::Administrator;
use Role::Analyst;
use Role::Viewer;

const NOT_THERE: u16 = 404;
const WRONG: u16 = 422;
const FORBIDDEN: u16 = 403;

const ROWS: [Row; 64] = [
    row("get", "/healthz", "/healthz", "", "open", Viewer, &[OK]),
    row(
        "get",
        "/users/info.json",
        "/users/info.json",
        "",
        "-",
        Viewer,
        &[OK],
    ),
    row("get", "/users/me.json", "/users/me.json", "", "-", Viewer, &[OK]),
    row(
        "get",
        "/queries/{report_id}/submit_query.json",
        "/queries/1/submit_query.json",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "post",
        "/queries/{report_id}/submit_query.json",
        "/queries/1/submit_query.json",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "get",
        "/queries/{report_id}/filters/{filter}/submit_values.json",
        "/queries/1/filters/n/submit_values.json",
        "",
        "run",
        Viewer,
        &[WRONG, FORBIDDEN],
    ),
    row(
        "post",
        "/queries/{report_id}/filters/{filter}/submit_values.json",
        "/queries/1/filters/n/submit_values.json",
        "",
        "run",
        Viewer,
        &[WRONG, FORBIDDEN],
    ),
    row(
        "get",
        "/queries/{report_id}/submit_export.csv",
        "/queries/1/submit_export.csv",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "post",
        "/queries/{report_id}/submit_export.csv",
        "/queries/1/submit_export.csv",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "get",
        "/queries/{report_id}/submit_export.json",
        "/queries/1/submit_export.json",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "post",
        "/queries/{report_id}/submit_export.json",
        "/queries/1/submit_export.json",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "get",
        "/queries/{report_id}/submit_export.xlsx",
        "/queries/1/submit_export.xlsx",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "post",
        "/queries/{report_id}/submit_export.xlsx",
        "/queries/1/submit_export.xlsx",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "get",
        "/queries/{report_id}/submit_export.ndjson",
        "/queries/1/submit_export.ndjson",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "post",
        "/queries/{report_id}/submit_export.ndjson",
        "/queries/1/submit_export.ndjson",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "get",
        "/queries/{report_id}/submit_export.parquet",
        "/queries/1/submit_export.parquet",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "post",
        "/queries/{report_id}/submit_export.parquet",
        "/queries/1/submit_export.parquet",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "get",
        "/queries/{report_id}/submit_export.arrow",
        "/queries/1/submit_export.arrow",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "post",
        "/queries/{report_id}/submit_export.arrow",
        "/queries/1/submit_export.arrow",
        "",
        "run",
        Viewer,
        &[OK],
    ),
    row(
        "put",
        "/jobs/{job_id}/cancel.json",
        "/jobs/{job}/cancel.json",
        "",
        "run",
        Viewer,
        &[OK, FORBIDDEN, NOT_THERE],
    ),
    row(
        "get",
        "/queries/get_query_results.json",
        "/queries/get_query_results.json?job_id={query}",
        "",
        "read",
        Viewer,
        &[OK, NOT_THERE],
    ),
    row(
        "get",
        "/queries/get_export_results.json",
        "/queries/get_export_results.json?job_id={job}",
        "",
        "read",
        Viewer,
        &[OK, NOT_THERE],
    ),
    row(
        "get",
        "/jobs/{job_id}/get_results.json",
        "/jobs/{job}/get_results.json",
        "",
        "read",
        Viewer,
        &[OK, NOT_THERE],
    ),
    row(
        "get",
        "/jobs/{job_id}.json",
        "/jobs/{job}.json",
        "",
        "read",
        Viewer,
        &[OK, NOT_THERE],
    ),
    row(
        "get",
        "/jobs/{job_id}/logs.json",
        "/jobs/{job}/logs.json",
        "",
        "read",
        Viewer,
        &[OK, NOT_THERE],
    ),
    row(
        "get",
        "/jobs/{job_id}/events",
        "/jobs/{job}/events",
        "",
        "read",
        Viewer,
        &[OK, NOT_THERE],
    ),
    row(
        "get",
        "/jobs/{job_id}/rejects.csv",
        "/jobs/{job}/rejects.csv",
        "",
        "read",
        Viewer,
        &[NOT_THERE],
    ),
    row(
        "get",
        "/jobs/{job_id}/manifest.json",
        "/jobs/{job}/manifest.json",
        "",
        "read",
        Viewer,
        &[OK, NOT_THERE],
    ),
    row("get", "/jobs.json", "/jobs.json", "", "read", Viewer, &[OK]),
    row(
        "get",
        "/jobs/last_run_jobs.json",
        "/jobs/last_run_jobs.json?ids[]=1",
        "",
        "read",
        Viewer,
        &[OK],
    ),
    row(
        "get",
        "/exports/download",
        "/exports/download?job_id={job}",
        "",
        "read",
        Viewer,
        &[OK, NOT_THERE],
    ),
    row("get", "/queries.json", "/queries.json", "", "read", Viewer, &[OK]),
    row(
        "get",
        "/queries/{report_id}.json",
        "/queries/1.json",
        "",
        "read",
        Viewer,
        &[OK],
    ),
    row(
        "post",
        "/queries.json",
        "/queries.json",
        "no JSON",
        "reports:write",
        Analyst,
        &[WRONG],
    ),
    row(
        "put",
        "/queries/{report_id}.json",
        "/queries/1.json",
        "no JSON",
        "reports:write",
        Analyst,
        &[WRONG, FORBIDDEN],
    ),
    row(
        "delete",
        "/queries/{report_id}.json",
        "/queries/99.json",
        "",
        "reports:write",
        Analyst,
        &[NOT_THERE],
    ),
    row(
        "put",
        "/queries/{report_id}/shares.json",
        "/queries/1/shares.json",
        "no JSON",
        "reports:write",
        Analyst,
        &[WRONG, FORBIDDEN],
    ),
    row(
        "get",
        "/data_sources.json",
        "/data_sources.json",
        "",
        "read",
        Viewer,
        &[OK],
    ),
    row(
        "get",
        "/data_sources/{id}.json",
        "/data_sources/1.json",
        "",
        "read",
        Viewer,
        &[OK, NOT_THERE],
    ),
    row(
        "post",
        "/data_sources.json",
        "/data_sources.json",
        "no JSON",
        "admin",
        Administrator,
        &[WRONG],
    ),
    row(
        "get",
        "/data_imports.json",
        "/data_imports.json",
        "",
        "read",
        Viewer,
        &[OK],
    ),
    row(
        "get",
        "/data_imports/{id}.json",
        "/data_imports/1.json",
        "",
        "read",
        Viewer,
        &[NOT_THERE],
    ),
    row(
        "post",
        "/data_imports/import_csv.json",
        "/data_imports/import_csv.json",
        "",
        "import",
        Viewer,
        &[WRONG, FORBIDDEN],
    ),
    row(
        "post",
        "/data_imports/{id}/execute.json",
        "/data_imports/1/execute.json",
        "",
        "import",
        Viewer,
        &[NOT_THERE],
    ),
    row(
        "get",
        "/users.json",
        "/users.json",
        "",
        "admin",
        Administrator,
        &[OK],
    ),
    row(
        "post",
        "/users.json",
        "/users.json",
        "no JSON",
        "admin",
        Administrator,
        &[WRONG],
    ),
    row(
        "put",
        "/users/{id}.json",
        "/users/1.json",
        "no JSON",
        "admin",
        Administrator,
        &[WRONG],
    ),
    row(
        "get",
        "/groups.json",
        "/groups.json",
        "",
        "admin",
        Administrator,
        &[OK],
    ),
    row(
        "post",
        "/groups.json",
        "/groups.json",
        "no JSON",
        "admin",
        Administrator,
        &[WRONG],
    ),
    row(
        "delete",
        "/groups/{id}.json",
        "/groups/99.json",
        "",
        "admin",
        Administrator,
        &[NOT_THERE],
    ),
    row(
        "get",
        "/audit.json",
        "/audit.json",
        "",
        "admin",
        Administrator,
        &[OK],
    ),
    row(
        "get",
        "/feeds.json",
        "/feeds.json",
        "",
        "read",
        Viewer,
        &[OK, FORBIDDEN],
    ),
    row(
        "post",
        "/feeds.json",
        "/feeds.json",
        "no JSON",
        "run",
        Viewer,
        &[WRONG, FORBIDDEN],
    ),
    row(
        "put",
        "/feeds/{feed}.json",
        "/feeds/99.json",
        "no JSON",
        "run",
        Viewer,
        &[NOT_THERE, FORBIDDEN],
    ),
    row(
        "delete",
        "/feeds/{feed}.json",
        "/feeds/99.json",
        "",
        "run",
        Viewer,
        &[NOT_THERE, FORBIDDEN],
    ),
    row(
        "post",
        "/feeds/{feed}/rotate.json",
        "/feeds/99/rotate.json",
        "",
        "run",
        Viewer,
        &[NOT_THERE, FORBIDDEN],
    ),
    // Opens by the token in its address; a key does nothing for it.
    row(
        "get",
        "/feeds/{feed}",
        "/feeds/1.csv?token=wrong",
        "",
        "open",
        Viewer,
        &[NOT_THERE],
    ),
    // What is in no document.
    row("get", "", "/openapi.json", "", "open", Viewer, &[OK]),
    row(
        "get",
        "",
        "/queries/1/submit_export.pdf",
        "",
        "run",
        Viewer,
        &[WRONG],
    ),
    row(
        "post",
        "",
        "/queries/1/submit_export.pdf",
        "",
        "run",
        Viewer,
        &[WRONG],
    ),
    row("get", "", "/nowhere", "", "open", Viewer, &[NOT_THERE]),
    row(
        "get",
        "",
        "/queries/7/submit_query.json",
        "",
        "run",
        Viewer,
        &[NOT_THERE],
    ),
    row("get", "", "/queries/7.json", "", "read", Viewer, &[NOT_THERE]),
    row(
        "get",
        "",
        "/exports/download?job_id={job}&expires=99999999999&signature=00",
        "",
        "link",
        Viewer,
        &[FORBIDDEN],
    ),
];

/// Somebody with a key.
struct Caller {
    name: String,
    key: String,
    role: Role,
    terms: KeyTerms,
    /// The key opens nothing.
    is_wrong: bool,
}

async fn caller(app: &TestApp, name: &str, user_id: i64, role: Role, terms: KeyTerms) -> Caller {
    let (_, key) = add_key_with(&app.worker, user_id, &terms).await;
    Caller {
        name: name.to_owned(),
        key: key.reveal().to_owned(),
        role,
        terms,
        is_wrong: false,
    }
}

async fn callers(app: &TestApp) -> Vec<Caller> {
    let store = &app.worker.store;
    let mut callers = Vec::new();
    for role in [Viewer, Analyst, Administrator] {
        let email = format!("{}@example.com", role.name());
        let user = store.add_user(&email, role.name(), role, true).await.unwrap();
        callers.push(caller(app, role.name(), user.id, role, KeyTerms::default()).await);
        if role != Administrator {
            continue;
        }
        for scope in ["run", "read", "import", "reports:write", "admin"] {
            let terms = KeyTerms {
                scopes: Some(vec![scope.parse().unwrap()]),
                ..KeyTerms::default()
            };
            callers.push(caller(app, scope, user.id, role, terms).await);
        }
        let pinned = KeyTerms {
            pins: [("n".to_owned(), vec!["1".to_owned()])].into(),
            ..KeyTerms::default()
        };
        callers.push(caller(app, "pinned", user.id, role, pinned).await);
        let elsewhere = KeyTerms {
            addresses: vec!["10.0.0.0/8".parse().unwrap()],
            ..KeyTerms::default()
        };
        callers.push(caller(app, "elsewhere", user.id, role, elsewhere).await);
        let expired = KeyTerms {
            expires_at: Some(1),
            ..KeyTerms::default()
        };
        let mut expired = caller(app, "expired", user.id, role, expired).await;
        expired.is_wrong = true;
        callers.push(expired);
        let mut revoked = caller(app, "revoked", user.id, role, KeyTerms::default()).await;
        let keys = store.keys().await.unwrap();
        store.revoke_key(keys.last().unwrap().id).await.unwrap();
        revoked.is_wrong = true;
        callers.push(revoked);
    }
    callers.push(Caller {
        name: "wrong".to_owned(),
        key: "hlk_wrong".to_owned(),
        role: Administrator,
        terms: KeyTerms::default(),
        is_wrong: true,
    });
    callers
}

/// What must come back.
fn expected(row: &Row, caller: Option<&Caller>) -> Vec<u16> {
    match (row.scope, caller) {
        ("open", _) | ("link", None) => row.may.to_vec(),
        (_, None) => vec![401],
        (_, Some(caller)) if caller.is_wrong => vec![WRONG],
        (_, Some(caller)) if !caller.terms.addresses.is_empty() => vec![FORBIDDEN],
        // With a key, the key decides.
        ("link", Some(caller)) => match caller.terms.has_scope(Scope::Read) {
            true => vec![OK, NOT_THERE],
            false => vec![FORBIDDEN],
        },
        (scope, Some(caller)) => {
            let changes = ["admin", "reports:write"].contains(&scope);
            if changes && caller.terms.is_of_reports() {
                return vec![FORBIDDEN];
            }
            let has_scope = scope == "-" || caller.terms.has_scope(scope.parse().unwrap());
            match has_scope && caller.role >= row.role {
                true => row.may.to_vec(),
                false => vec![FORBIDDEN],
            }
        }
    }
}

#[tokio::test]
async fn every_route_answers_every_caller_as_the_table_says() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: One\nfilters:\n  n: {type: number, default: 1}\n---\nselect {{ n }} as n")
        .await;
    let query = app.submit("/queries/1/submit_query.json").await;
    let job = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    let callers = callers(&app).await;
    let mut differences = Vec::new();
    for row in &ROWS {
        let path = row
            .path
            .replace("{job}", &job.to_string())
            .replace("{query}", &query.to_string());
        for caller in std::iter::once(None).chain(callers.iter().map(Some)) {
            let method: Method = row.method.to_uppercase().parse().unwrap();
            let mut headers = vec![("Content-Type", "application/json")];
            if let Some(caller) = caller {
                headers.push(("X-Holistics-Key", &caller.key));
            }
            let answer = app.send(method, &path, &headers, row.body).await;
            let expected = expected(row, caller);
            if !expected.contains(&answer.status.as_u16()) {
                let name = caller.map_or("nobody", |caller| &caller.name);
                differences.push(format!(
                    "{} {path} as {name}: {} instead of {expected:?}",
                    row.method,
                    answer.line()
                ));
            }
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[tokio::test]
async fn every_route_has_a_row() {
    let app = TestApp::new().await;
    let document = app.send(Method::GET, "/openapi.json", &[], "").await.json();
    let rows: BTreeSet<(&str, &str)> = ROWS
        .iter()
        .filter(|row| !row.route.is_empty())
        .map(|row| (row.method, row.route))
        .collect();
    let paths = document["paths"].as_object().unwrap();
    let routes: BTreeSet<(&str, &str)> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            let methods =
                methods.filter(|(_, operation): &(&String, &Value)| operation["responses"].is_object());
            methods.map(|(method, _)| (method.as_str(), path.as_str()))
        })
        .collect();
    assert_eq!(rows, routes);
}
