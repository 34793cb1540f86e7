//! What becomes of a job, as it happens: server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use std::time::Instant;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::response::sse::Event;
use axum::response::sse::KeepAlive;
use axum::response::sse::Sse;
use futures::Stream;
use serde_json::json;

use crate::error::ErrorCode;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::job_logs::JobLogLine;
use crate::http::limits::Counted;
use crate::http::params::Segments;
use crate::http::poll::find_job;
use crate::job::JobStatus;
use crate::store::changes::Waiter;

/// After this a client comes back, with its key, for the rest.
const STREAM_MAX: Duration = Duration::from_mins(5);

/// How often a job is looked at that has told nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The lines of a job's log (`log`, each with its id), its status whenever that changes (`status`), and `end`.
/// A client that comes back says in `Last-Event-ID` which line it knows.
#[utoipa::path(
    get,
    path = "/jobs/{job_id}/events",
    params(
        ("job_id" = i64, Path, description = "From the submit's answer"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The last line that is known"),
    ),
    responses(
        (status = 200, description = "Server-sent events", content_type = "text/event-stream"),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
        (status = 429, description = "Too many streams of one user", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_events(
    State(app): State<App>,
    caller: Caller,
    Segments(job_id): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let job_id = job_id.parse().map_err(|_| Rejection::NotFound)?;
    find_job(&app, &caller, job_id).await?;
    let counted = Counted::stream(&app.limits, caller.user.id)?;
    let known = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let watch = Watch {
        _counted: counted,
        caller,
        began: Instant::now(),
        watcher: app.store.waiter(job_id),
        app,
        job_id,
        last_id: known.and_then(|text| text.parse().ok()).unwrap_or(0),
        status: None,
        ready: VecDeque::new(),
        is_over: false,
    };
    Ok(Sse::new(events(watch))
        .keep_alive(KeepAlive::default())
        .into_response())
}

struct Watch {
    app: App,
    _counted: Counted,
    began: Instant,
    /// Looked at again before each look: what they may see no more, they are told no more of.
    caller: Caller,
    job_id: i64,
    watcher: Waiter,
    /// The last line that was sent.
    last_id: i64,
    /// The last status that was sent.
    status: Option<JobStatus>,
    ready: VecDeque<Event>,
    is_over: bool,
}

fn events(watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(watch, |mut watch| async move {
        loop {
            if let Some(event) = watch.ready.pop_front() {
                return Some((Ok(event), watch));
            }
            if watch.is_over || *watch.app.stop.borrow() || watch.began.elapsed() > STREAM_MAX {
                return None;
            }
            match watch.look().await {
                Ok(()) => {}
                Err(Rejection::Error(error)) if error.code == ErrorCode::Internal => {
                    // The client comes back for the rest.
                    tracing::error!(%error, "a job's events broke off");
                    return None;
                }
                // The caller may no more, or the job has been forgotten: who comes back hears of it.
                Err(_) => return None,
            }
        }
    })
}

impl Watch {
    /// Finds something to send, or waits for a moment.
    async fn look(&mut self) -> Result<(), Rejection> {
        let Self {
            app, caller, watcher, ..
        } = self;
        let mut told = std::pin::pin!(watcher.told());
        told.as_mut().enable();
        // First the job, then its lines: what it says last is there before it is finished.
        caller.look_again(app).await?;
        let job = find_job(app, caller, self.job_id).await?;
        let (lines, more) = app.store.log_after(self.job_id, self.last_id).await?;
        for line in lines {
            self.last_id = line.id;
            let id = line.id.to_string();
            let data = json!(JobLogLine::from(line)).to_string();
            self.ready
                .push_back(Event::default().event("log").id(id).data(data));
        }
        if !more && self.status != Some(job.status) {
            self.status = Some(job.status);
            let data = json!({"status": job.status.name()}).to_string();
            self.ready.push_back(Event::default().event("status").data(data));
        }
        if !more && job.is_finished() {
            self.is_over = true;
            self.ready.push_back(Event::default().event("end").data("{}"));
        }
        if self.ready.is_empty() {
            let mut stop = app.stop.clone();
            tokio::select! {
                () = told => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                // An error means that the sender is gone, which is a stop too.
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
        Ok(())
    }
}
