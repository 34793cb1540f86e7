//! What each route asks of a key and its user. A route that is not here opens to nobody.

use axum::http::Method;

use crate::access::Role;
use crate::access::Scope;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::auth::Caller;

struct Need {
    /// `None`: any key will do.
    scope: Option<Scope>,
    role: Role,
}

fn need(method: &Method, route: &str) -> Option<Need> {
    let of = |scope: Scope, role: Role| {
        Some(Need {
            scope: Some(scope),
            role,
        })
    };
    let reads = *method == Method::GET || *method == Method::HEAD;
    match route {
        "/users/info.json" | "/users/me.json" => Some(Need {
            scope: None,
            role: Role::Viewer,
        }),
        "/queries/{report_id}/submit_query.json"
        | "/queries/{report_id}/filters/{filter}/submit_values.json"
        | "/queries/{report_id}/submit_export.csv"
        | "/queries/{report_id}/submit_export.json"
        | "/queries/{report_id}/submit_export.xlsx"
        | "/queries/{report_id}/submit_export.ndjson"
        | "/queries/{report_id}/submit_export.parquet"
        | "/queries/{report_id}/submit_export.arrow"
        | "/queries/{report_id}/{action}"
        | "/jobs/{job_id}/cancel.json" => of(Scope::Run, Role::Viewer),
        "/queries/get_query_results.json"
        | "/queries/get_export_results.json"
        | "/jobs/{job_id}/get_results.json"
        | "/jobs/{job_id}"
        | "/jobs/{job_id}/logs.json"
        | "/jobs/{job_id}/events"
        | "/jobs/{job_id}/rejects.csv"
        | "/jobs/{job_id}/manifest.json"
        | "/jobs.json"
        | "/jobs/last_run_jobs.json"
        | "/exports/download"
        | "/data_imports/{id}" => of(Scope::Read, Role::Viewer),
        "/data_imports.json" | "/data_sources.json" | "/data_sources/{id}" if reads => {
            of(Scope::Read, Role::Viewer)
        }
        "/data_sources.json" => of(Scope::Admin, Role::Administrator),
        "/data_imports/import_csv.json" | "/data_imports/{id}/execute.json" => {
            of(Scope::Import, Role::Viewer)
        }
        "/queries.json" | "/queries/{report_id}" if reads => of(Scope::Read, Role::Viewer),
        "/queries.json" | "/queries/{report_id}" | "/queries/{report_id}/shares.json" => {
            of(Scope::ReportsWrite, Role::Analyst)
        }
        "/feeds.json" | "/feeds/{feed}" if reads => of(Scope::Read, Role::Viewer),
        "/feeds.json" | "/feeds/{feed}" | "/feeds/{feed}/rotate.json" => of(Scope::Run, Role::Viewer),
        "/users.json" | "/users/{id}" | "/groups.json" | "/groups/{id}" | "/audit.json" => {
            of(Scope::Admin, Role::Administrator)
        }
        _ => None,
    }
}

/// What a request of a route is called in the audit; reads say it themselves, when there is something to read.
pub(super) fn action(method: &Method, route: &str) -> Option<&'static str> {
    let reads = *method == Method::GET || *method == Method::HEAD;
    match route {
        "/queries/{report_id}/submit_query.json" => Some("run"),
        "/queries/{report_id}/filters/{filter}/submit_values.json" => Some("list values"),
        route if route.starts_with("/queries/{report_id}/submit_export.") => Some("export"),
        "/exports/download" => Some("download"),
        "/jobs/{job_id}/rejects.csv" => Some("read rejects"),
        _ if reads => None,
        "/jobs/{job_id}/cancel.json" => Some("cancel"),
        "/data_imports/import_csv.json" | "/data_imports/{id}/execute.json" => Some("import"),
        "/data_sources.json" => Some("add source"),
        "/queries.json" | "/queries/{report_id}" => Some("change report"),
        "/queries/{report_id}/shares.json" => Some("share report"),
        "/users.json" | "/users/{id}" => Some("change user"),
        "/groups.json" | "/groups/{id}" => Some("change group"),
        "/feeds.json" | "/feeds/{feed}" | "/feeds/{feed}/rotate.json" => Some("change feed"),
        _ => None,
    }
}

/// Refused with what is missing.
pub(super) fn check(caller: &Caller, method: &Method, route: &str) -> Result<(), Error> {
    let forbidden = |message: String| Err(Error::new(ErrorCode::Forbidden, message));
    let Some(need) = need(method, route) else {
        return forbidden("this route is open to nobody".to_owned());
    };
    if let Some(scope) = need.scope
        && !caller.terms.has_scope(scope)
    {
        return forbidden(format!("this key has no scope `{scope}`"));
    }
    if caller.terms.is_of_reports() && matches!(need.scope, Some(Scope::Admin | Scope::ReportsWrite)) {
        return forbidden("this key opens reports alone: it changes nothing".to_owned());
    }
    match caller.user.role >= need.role {
        true => Ok(()),
        false => forbidden(format!(
            "this is for users with the role `{}`; yours is `{}`",
            need.role.name(),
            caller.user.role.name()
        )),
    }
}
