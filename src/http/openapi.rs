//! The description of the API, gathered from the handlers.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Content;
use utoipa::openapi::Header;
use utoipa::openapi::HeaderBuilder;
use utoipa::openapi::Object;
use utoipa::openapi::OpenApi;
use utoipa::openapi::PathItem;
use utoipa::openapi::Ref;
use utoipa::openapi::RefOr;
use utoipa::openapi::Response;
use utoipa::openapi::Schema;
use utoipa::openapi::Type;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::security::ApiKey;
use utoipa::openapi::security::ApiKeyValue;
use utoipa::openapi::security::SecurityScheme;

use crate::exports::Format;
use crate::exports::options::Compression;
use crate::http::answers::Unfinished;
use crate::http::poll::ExportReady;
use crate::http::poll::Page;
use crate::http::queries::SubmitAnswer;
use crate::http::reports::ReportInfo;

const FEED_FILE: &str = "/feeds/{feed}";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What a route may answer that asks for a key.
const OF_KEYS: [(&str, &str); 4] = [
    ("401", "No key"),
    ("403", "What the key, or its user, may not"),
    (
        "422",
        "A key that opens nothing, or what is wrong with the request",
    ),
    ("429", "Too many requests, or too much to do"),
];

/// A refusal.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is written by hand")]
pub(crate) struct Errors {
    /// Where there is no key.
    error: Option<String>,
    errors: Vec<String>,
}

/// What a submit, a poll or a job of a query has come to.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "each is answered as such")]
pub(crate) enum QueryAnswer {
    Page(Page),
    Unfinished(Unfinished),
}

/// What a poll of an export has come to.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "each is answered as such")]
pub(crate) enum ExportAnswer {
    Ready(ExportReady),
    Unfinished(Unfinished),
}

/// The job of a submit; with `_wait`, what it has come to.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "each is answered as such")]
pub(crate) enum SubmitQueryAnswer {
    Submitted(SubmitAnswer),
    Page(Page),
    Unfinished(Unfinished),
}

/// The job of a submit; with `_wait`, what it has come to.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "each is answered as such")]
pub(crate) enum SubmitExportAnswer {
    Submitted(SubmitAnswer),
    Ready(ExportReady),
    Unfinished(Unfinished),
}

/// What a job has come to, whichever kind it is.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "each is answered as such")]
pub(crate) enum JobAnswer {
    Page(Page),
    Ready(ExportReady),
    Unfinished(Unfinished),
}

/// A report; with `job_id`, what its job has come to.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "each is answered as such")]
pub(crate) enum ReportAnswer {
    Report(ReportInfo),
    Page(Page),
    Unfinished(Unfinished),
}

/// The server's state.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    pub(crate) status: &'static str,
}

/// Adds what no handler says: title, version, how to send a key; and tells paths as clients write them.
pub(crate) fn finish(mut document: OpenApi) -> OpenApi {
    document.info.title = "holistics".to_owned();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description = Some("Runs SQL reports and hands out their data.".to_owned());
    document.info.license = Some(
        utoipa::openapi::LicenseBuilder::new()
            .name("Apache-2.0")
            .identifier(Some("Apache-2.0"))
            .build(),
    );
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Holistics-Key")));
    document
        .components
        .get_or_insert_default()
        .add_security_scheme("key", key);
    any_of(&mut document);
    // The router matches whole segments only, so these handlers cut the suffix off themselves.
    let paths = std::mem::take(&mut document.paths.paths);
    for (path, mut item) in paths {
        if let Some(post) = &mut item.post
            && let Some(id) = &mut post.operation_id
        {
            id.push_str("_by_post");
        }
        if path == FEED_FILE {
            // Its format is its suffix.
            let mut file = PathItem::default();
            file.get = item.get.take();
            answers(&path, &mut file);
            document.paths.paths.insert(path.clone(), file);
        }
        let path = match path.ends_with('}') {
            true => format!("{path}.json"),
            false => path,
        };
        answers(&path, &mut item);
        document.paths.paths.insert(path, item);
    }
    document
}

/// An answer that has several forms may be of more than one of them.
fn any_of(document: &mut OpenApi) {
    for schema in document
        .components
        .iter_mut()
        .flat_map(|all| all.schemas.values_mut())
    {
        if let RefOr::T(Schema::OneOf(one)) = schema {
            let items = std::mem::take(&mut one.items);
            let any = items.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item);
            *schema = RefOr::T(Schema::AnyOf(any.build()));
        }
    }
}

/// Adds what every route may answer, and the bodies of refusals.
fn answers(path: &str, item: &mut PathItem) {
    let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
    for operation in operations.into_iter().flatten() {
        let mut common = vec![("500", "A fault of ours, told by the request's id")];
        if operation.security.is_some() {
            common.extend(OF_KEYS);
        }
        if operation.request_body.is_some() {
            common.push(("413", "A body that is too large"));
        }
        if path == FEED_FILE {
            common.extend([OF_KEYS[1], OF_KEYS[3]]);
        }
        let responses = &mut operation.responses.responses;
        for (status, words) in common {
            responses
                .entry(status.to_owned())
                .or_insert_with(|| RefOr::T(Response::new(words)));
        }
        for (status, response) in responses {
            let RefOr::T(response) = response else { continue };
            match (path, status.as_str()) {
                ("/exports/download" | FEED_FILE, "200" | "206") => response.content.extend(files()),
                (_, "416") => {}
                (_, status) if status >= "400" => response.content = refusal(path).into_iter().collect(),
                _ => {}
            }
            let headers = &mut response.headers;
            headers.insert("Status".to_owned(), header("The status line again"));
            headers.insert("X-Request-Id".to_owned(), header("Under which the log has it"));
            if ["429", "503"].contains(&status.as_str()) {
                headers.insert("Retry-After".to_owned(), header("Seconds"));
            }
        }
    }
}

/// The body of a refusal, as `error::refusal` writes it.
fn refusal(path: &str) -> Vec<(String, RefOr<Content>)> {
    let text = || {
        (
            TEXT.to_owned(),
            RefOr::T(Content::new(Some(Object::with_type(Type::String)))),
        )
    };
    let json = || {
        (
            JSON.to_owned(),
            RefOr::T(Content::new(Some(Ref::from_schema_name("Errors")))),
        )
    };
    match path {
        FEED_FILE => vec![json(), text()],
        path if path.ends_with(".csv") || path.ends_with(".xlsx") => vec![text()],
        _ => vec![json()],
    }
}

/// Files of every format, compressed or not.
fn files() -> Vec<(String, RefOr<Content>)> {
    let types = Format::ALL.map(Format::content_type).into_iter();
    let types = types.chain([Compression::Gzip, Compression::Zstd].map(Compression::content_type));
    // Of what bytes are made, no schema says.
    types
        .map(|of| (of.to_owned(), RefOr::T(Content::new::<RefOr<Schema>>(None))))
        .collect()
}

fn header(words: &str) -> RefOr<Header> {
    let header = HeaderBuilder::new().schema(Some(Object::with_type(Type::String)));
    RefOr::T(header.description(Some(words)).build())
}
