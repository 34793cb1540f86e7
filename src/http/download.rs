//! Handing out files: whole, in parts, or not at all if the client has them.

use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::FromRequestParts as _;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::response::Response;
use chrono::DateTime;
use futures::FutureExt as _;
use futures::StreamExt as _;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::Format;
use crate::exports::options::Compression;
use crate::exports::options::Options;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::auth::Pass;
use crate::http::auth::address_of;
use crate::http::auth::has_key;
use crate::http::encoding::accepted;
use crate::http::error::Rejection;
use crate::http::follow::Followed;
use crate::http::follow::follow;
use crate::http::links;
use crate::http::new_job::may_export;
use crate::http::params::Params;
use crate::http::params::flag;
use crate::http::poll::find_job;
use crate::http::poll::tell_truncated;
use crate::http::range::Part;
use crate::http::range::part;
use crate::job::Job;
use crate::kill_point::kill_point;
use crate::objects::ObjectName;
use crate::store::results::StoredExport;

/// Read from disk at a time.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// How many pieces are read before they are sent.
const PIECES_AHEAD: usize = 2;

/// The file that an export job has made. It never changes; `Range` and `If-Range` resume.
#[utoipa::path(
    get,
    path = "/exports/download",
    params(
        ("job_id" = i64, Query, description = "From the submit's answer"),
        ("_follow" = Option<bool>, Query, description = "With a key: a file that is being written is sent while it is; the answer has no length, and breaks off if the file does not become whole"),
        ("_wait" = Option<f64>, Query, description = "With `_follow`: seconds to wait for its beginning, 0 to 50"),
        ("user_id" = Option<i64>, Query, description = "Of a signed link"),
        ("expires" = Option<i64>, Query, description = "Of a signed link, which needs no key"),
        ("signature" = Option<String>, Query, description = "Of a signed link"),
        ("Range" = Option<String>, Header, description = "One range of bytes"),
        ("If-Range" = Option<String>, Header, description = "The `ETag` that the range is of"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has"),
        ("Accept-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`, where there is such a copy"),
    ),
    responses(
        (status = 200, description = "The file"),
        (status = 403, description = "A link that is over, or not as it was made", body = super::openapi::Errors),
        (status = 206, description = "The part asked for"),
        (status = 304, description = "The client has it"),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
        (status = 416, description = "The file has no such part"),
        (status = 422, description = "The job has no file", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn download(State(app): State<App>, request: Request) -> Result<Response, Rejection> {
    let (mut parts, _) = request.into_parts();
    let params = Params::from_request_parts(&mut parts, &app).await?;
    // With a key, the key decides.
    let linked = match has_key(&parts) {
        true => None,
        false => links::verified(&app, &params).await?,
    };
    let trail = Trail::of(&parts.extensions);
    let job = match linked {
        Some((job_id, user_id)) => {
            trail.note(|record| {
                record.user_id = Some(user_id);
                record.address = address_of(&parts, &app).map(|address| address.to_string());
                "download by link".clone_into(&mut record.action);
            });
            let caller = Arc::new(Pass::Link { user_id }).caller(&app).await?;
            may_export(&caller)?;
            find_job(&app, &caller, job_id).await?
        }
        None => {
            let caller = Caller::from_request_parts(&mut parts, &app).await?;
            if !params.has_job_id() {
                return Err(Error::invalid("`job_id` is missing: it says which file to download").into());
            }
            let job = find_job(&app, &caller, params.job_id()?).await?;
            may_export(&caller)?;
            match flag("_follow", params.get("_follow"))? && !job.is_finished() {
                false => job,
                true => match follow(&app, caller, &params, job, &trail).await? {
                    Followed::Done(job) => job,
                    Followed::Growing(response) => return Ok(response),
                },
            }
        }
    };
    file_of(&app, &job, &parts.method, &parts.headers, &trail).await
}

/// The file that a job has made, or a compressed copy of it.
pub(super) async fn file_of(
    app: &App,
    job: &Job,
    method: &Method,
    headers: &HeaderMap,
    trail: &Trail,
) -> Result<Response, Rejection> {
    let rows = match job.result_id {
        Some(id) => app.store.result_figures(id).await?,
        None => None,
    };
    trail.note(|record| {
        record.job_id = Some(job.id);
        record.rows = rows.map(|(rows, _)| rows);
    });
    let export = match job.export_id {
        Some(id) => app.store.export(id).await?,
        None => None,
    };
    let export = export.ok_or(Rejection::NoFile)?;
    // What is handed out stays, a power cut or not.
    app.store.sync().await?;
    let options: Options = serde_json::from_str(&export.options).map_err(Error::internal)?;
    // A range is for GET alone (RFC 9110, 14.2).
    let range = text(headers, header::RANGE).filter(|_| *method == Method::GET);
    let is_whole = *method == Method::GET && range.is_none();
    let copy = match is_whole {
        true => compressed(app, &export, &options, headers).await?,
        false => None,
    };
    let (stored, encoding) = match &copy {
        Some((copy, compression)) => (copy, Some(*compression)),
        None => (&export, None),
    };
    let mut response = send(app, &export, &options, stored, encoding, headers, range).await?;
    tell_truncated(job, response.headers_mut());
    Ok(response)
}

/// A compressed copy of the file that is there already, if the client takes that instead.
/// Lengths and parts are always of the plain file: clients that ask for them put the parts together themselves.
async fn compressed(
    app: &App,
    export: &StoredExport,
    options: &Options,
    headers: &HeaderMap,
) -> Result<Option<(StoredExport, Compression)>, Rejection> {
    if options.compress.is_some() || export.content.is_some() {
        return Ok(None);
    }
    let mut copies = Vec::new();
    for compression in accepted(text(headers, header::ACCEPT_ENCODING)) {
        let options = Options {
            compress: Some(compression),
            ..options.clone()
        };
        let options = serde_json::to_string(&options).map_err(Error::internal)?;
        let copy = app.store.sibling(export, &options).await?;
        copies.extend(
            copy.filter(|copy| is_there(app, copy))
                .map(|copy| (copy, compression)),
        );
    }
    // Rather the one that the client has.
    if let Some(tags) = text(headers, header::IF_NONE_MATCH) {
        if matches(tags, &etag(export)) {
            return Ok(None);
        }
        copies.sort_by_key(|(copy, _)| !matches(tags, &etag(copy)));
    }
    Ok(copies.into_iter().next())
}

/// Sends a file as `stored`, which is itself or a compressed copy of it.
async fn send(
    app: &App,
    export: &StoredExport,
    options: &Options,
    stored: &StoredExport,
    encoding: Option<Compression>,
    headers: &HeaderMap,
    range: Option<&str>,
) -> Result<Response, Rejection> {
    let length = u64::try_from(stored.bytes).map_err(Error::internal)?;
    let etag = etag(stored);
    let format = Format::parse(&export.format).ok_or(Rejection::NoFile)?;
    let mut answer = HeaderMap::new();
    set(&mut answer, header::VARY, "accept-encoding")?;
    set(&mut answer, header::ETAG, &etag)?;
    let ranges = if encoding.is_some() { "none" } else { "bytes" };
    set(&mut answer, header::ACCEPT_RANGES, ranges)?;
    set(&mut answer, header::CACHE_CONTROL, "private, no-transform")?;
    let modified = DateTime::from_timestamp_micros(stored.created_at).unwrap_or_default();
    let modified = modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    set(&mut answer, header::LAST_MODIFIED, &modified)?;
    if text(headers, header::IF_NONE_MATCH).is_some_and(|tags| matches(tags, &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    // A client that has a part of another file gets this one whole.
    let same_file = text(headers, header::IF_RANGE).is_none_or(|tag| tag.trim() == etag);
    let range = match same_file {
        true => part(range, length),
        false => Part::Whole,
    };
    let (status, range) = match range {
        Part::Whole => (StatusCode::OK, 0..length),
        Part::Bytes(range) => {
            let value = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            set(&mut answer, header::CONTENT_RANGE, &value)?;
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Part::Unsatisfiable => {
            set(&mut answer, header::CONTENT_RANGE, &format!("bytes */{length}"))?;
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, answer).into_response());
        }
    };
    set(&mut answer, header::CONTENT_TYPE, content_type(format, options))?;
    if let Some(encoding) = encoding {
        set(&mut answer, header::CONTENT_ENCODING, encoding.content_encoding())?;
    }
    set(
        &mut answer,
        header::CONTENT_LENGTH,
        &(range.end - range.start).to_string(),
    )?;
    set(
        &mut answer,
        header::CONTENT_DISPOSITION,
        &disposition(&export.file_name),
    )?;
    let body = match &stored.content {
        Some(content) => {
            let range = usize::try_from(range.start).map_err(Error::internal)?
                ..usize::try_from(range.end).map_err(Error::internal)?;
            let part = content.get(range);
            Body::from(part.ok_or_else(|| Error::internal("a short file"))?.to_vec())
        }
        None => file_part(app, stored, range).await?,
    };
    Ok((status, answer, body).into_response())
}

pub(super) fn content_type(format: Format, options: &Options) -> &'static str {
    match options.compress {
        Some(compression) => compression.content_type(),
        None => format.content_type(),
    }
}

async fn file_part(app: &App, export: &StoredExport, range: Range<u64>) -> Result<Body, Rejection> {
    let file = app.objects.open_object(&object_of(export));
    let file = match file {
        Err(error) if error.code == ErrorCode::NotFound => return Err(Rejection::NoFile),
        other => other?,
    };
    let file = Arc::new(file);
    let starts = futures::stream::iter(range.clone().step_by(PIECE_BYTES));
    let pieces = starts.map(move |start| {
        let file = file.clone();
        let piece = start..range.end.min(start + PIECE_BYTES as u64);
        tokio::task::spawn_blocking(move || read_piece(&file, piece))
            .map(|read| read.map_err(Error::internal).flatten())
    });
    // One piece is read while the one before is sent.
    Ok(Body::from_stream(pieces.buffered(PIECES_AHEAD)))
}

/// Nobody has removed it by hand.
pub(super) fn is_there(app: &App, export: &StoredExport) -> bool {
    export.content.is_some() || app.objects.exists(&object_of(export))
}

fn object_of(export: &StoredExport) -> ObjectName<'_> {
    ObjectName::Export {
        job_id: export.job_id,
        attempt: export.attempt,
        format: &export.format,
    }
}

pub(super) fn read_piece(file: &File, range: Range<u64>) -> Result<Bytes, Error> {
    kill_point("download");
    let length = usize::try_from(range.end - range.start).map_err(Error::internal)?;
    let mut piece = Vec::with_capacity(length);
    // Into memory that nobody has filled with zeros first.
    while piece.len() < length {
        let at = range.start + piece.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut piece), at) {
            Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    piece.truncate(length);
    Ok(Bytes::from(piece))
}

/// Unique to the bytes: an export is written once, under an id of its own.
fn etag(export: &StoredExport) -> String {
    match &export.tag {
        Some(tag) => quoted(tag),
        None => format!("\"{:x}-{:x}-{:x}\"", export.id, export.created_at, export.bytes),
    }
}

pub(super) fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

pub(super) fn matches(tags: &str, etag: &str) -> bool {
    tags.split(',').any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.trim_start_matches("W/") == etag
    })
}

/// RFC 6266: a plain name for old clients, the real one in UTF-8 for the others.
fn disposition(file_name: &str) -> String {
    let plain: String = file_name
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => character,
            _ => '_',
        })
        .collect();
    if plain == file_name {
        return format!("attachment; filename=\"{plain}\"");
    }
    let mut encoded = String::new();
    for byte in file_name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), Rejection> {
    headers.insert(name, HeaderValue::from_str(value).map_err(Error::internal)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_of_every_kind() {
        assert_eq!(disposition("1-a.csv"), "attachment; filename=\"1-a.csv\"");
        assert_eq!(
            disposition("1-größe \"x\".csv"),
            "attachment; filename=\"1-gr__e__x_.csv\"; filename*=UTF-8''1-gr%C3%B6%C3%9Fe%20%22x%22.csv"
        );
    }

    #[test]
    fn etags_match_in_lists_and_weakly() {
        assert!(matches("\"a\", W/\"b\"", "\"b\""));
        assert!(matches("*", "\"b\""));
        assert!(!matches("\"a\"", "\"b\""));
    }
}
