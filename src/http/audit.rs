//! What is written down of each use: who, what, from where, with which outcome, how many rows and bytes. No data.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use axum::Json;
use axum::body::Body;
use axum::body::Bytes;
use axum::body::HttpBody;
use axum::extract::FromRequestParts;
use axum::extract::State;
use axum::http::Extensions;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::error::Error;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::jobs::iso_time;
use crate::http::params::Params;
use crate::http::params::count;
use crate::store::Store;
use crate::store::audit::Record;

/// The status of a request whose client went away, as proxies have it.
const GONE: i64 = 499;

const PAGE_SIZE: u64 = 1_000;
const PAGE_SIZE_MAX: u64 = 10_000;

/// The record of a request, as far as it is known.
#[derive(Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Record>>);

impl Trail {
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Record)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says what is changed.
    pub(super) fn target(&self, what: &str, id: i64) {
        self.note(|record| {
            record.target = Some(what.to_owned());
            record.target_id = Some(id);
        });
    }

    fn taken(&self) -> Record {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the response write the record when the last of it is sent, or nobody takes more.
    /// What goes out in pieces is recorded before the first of them too: a crash may be what ends it.
    pub(super) async fn follow(&self, store: &Store, response: Response) -> Response {
        let mut record = self.taken();
        let status = response.status();
        if record.action.is_empty() {
            // Who has no key could fill the disk with records.
            if record.user_id.is_none() || ![403, 429].contains(&status.as_u16()) {
                return response;
            }
            "refused".clone_into(&mut record.action);
        }
        record.status = i64::from(status.as_u16());
        if !status.is_success() {
            record.rows = None;
        }
        let begins = status.is_success() && response.body().size_hint().exact().is_none();
        let begun = begins.then(|| Record {
            action: format!("{} begins", record.action),
            ..record.clone()
        });
        let response = response.map(|body| {
            Body::new(Counted {
                body,
                bytes: 0,
                record,
                store: store.clone(),
            })
        });
        if let Some(begun) = begun {
            store.record(begun);
            // Even if the client goes away meanwhile.
            let store = store.clone();
            let written = tokio::spawn(async move { store.write_records().await }).await;
            if let Err(error) = written.map_err(Error::internal).flatten() {
                tracing::error!(%error, "cannot record that a download begins");
            }
        }
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Trail {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// Records a request whose client goes away before there is an answer: what it has begun goes on.
pub(super) struct Guard {
    trail: Trail,
    store: Store,
}

impl Guard {
    pub(super) fn new(trail: Trail, store: Store) -> Self {
        Self { trail, store }
    }

    /// There is an answer.
    pub(super) async fn follow(self, response: Response) -> Response {
        self.trail.follow(&self.store, response).await
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let record = self.trail.taken();
        if !record.action.is_empty() {
            self.store.record(Record {
                status: GONE,
                ..record
            });
        }
    }
}

/// A body that is counted as it goes out.
struct Counted {
    body: Body,
    bytes: i64,
    record: Record,
    store: Store,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.bytes += i64::try_from(data.len()).unwrap_or(i64::MAX);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let bytes = Some(self.bytes);
        let record = std::mem::take(&mut self.record);
        self.store.record(Record { bytes, ..record });
    }
}

/// The records of uses, oldest first; for administrators.
#[utoipa::path(
    get,
    path = "/audit.json",
    params(
        ("last_id" = Option<i64>, Query, description = "The id of the last record that is known"),
        ("_page_size" = Option<u64>, Query, description = "Records; 1,000 unless given, at most 10,000"),
    ),
    responses((status = 200, description = "The records", body = Vec<Object>)),
    security(("key" = []))
)]
pub(crate) async fn get_audit(
    State(app): State<App>,
    _caller: Caller,
    params: Params,
) -> Result<Json<Vec<Value>>, Rejection> {
    let last_id = match params.get("last_id").filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| Error::must_be("last_id", "the id of a record", text))?,
    };
    let size = count("_page_size", params.get("_page_size"), PAGE_SIZE)?;
    if size > PAGE_SIZE_MAX {
        let wanted = format!("a whole number from 1 to {PAGE_SIZE_MAX}");
        return Err(Error::must_be("_page_size", &wanted, &size.to_string()).into());
    }
    let limit = i64::try_from(size).map_err(Error::internal)?;
    let records = app.store.records_after(last_id, limit).await?;
    Ok(Json(records.into_iter().map(shown).collect()))
}

/// A record as it is told, by the API and the command line.
pub(crate) fn shown(record: Record) -> Value {
    let values = record.filter_values.as_deref();
    let values = values.and_then(|values| serde_json::from_str(values).ok());
    json!({
        "id": record.id,
        "at": iso_time(record.at),
        "user_id": record.user_id,
        "key_id": record.key_id,
        "feed_id": record.feed_id,
        "address": record.address,
        "action": record.action,
        "path": record.path,
        "report_id": record.report_id,
        "report_version": record.report_version,
        "job_id": record.job_id,
        "target": record.target,
        "target_id": record.target_id,
        "filter_values": values.unwrap_or(Value::Null),
        "status": record.status,
        "rows": record.rows,
        "bytes": record.bytes,
    })
}
