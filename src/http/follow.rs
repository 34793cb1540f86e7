//! A file handed out while it is written, to those who ask for that: what they get is whole if the answer ends as it should.

use std::sync::Arc;

use axum::body::Body;
use axum::body::Bytes;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::ETAG;
use axum::response::IntoResponse as _;
use axum::response::Response;
use futures::TryStreamExt as _;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::sync::watch;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::Format;
use crate::exports::options::Options;
use crate::hex::hex;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::download::PIECE_BYTES;
use crate::http::download::content_type;
use crate::http::download::quoted;
use crate::http::download::read_piece;
use crate::http::error::Rejection;
use crate::http::new_job::may_export;
use crate::http::params::Params;
use crate::http::poll::find_job;
use crate::http::wait::job_after;
use crate::http::wait::parse_wait;
use crate::job::Job;
use crate::job::JobKind;
use crate::job::JobStatus;
use crate::objects::Growth;
use crate::store::results::Summed;

/// Tells that the file is still being written, and by which job.
const FOLLOWED_JOB: HeaderName = HeaderName::from_static("x-followed-job");

/// What came first.
pub(super) enum Followed {
    /// The file has begun: the answer is it.
    Growing(Response),
    /// The job was done, or the time was over.
    Done(Job),
}

/// Waits for the file of a job that is not done, as long as `_wait` says.
pub(super) async fn follow(
    app: &App,
    mut caller: Caller,
    params: &Params,
    job: Job,
    trail: &Trail,
) -> Result<Followed, Rejection> {
    let wait = parse_wait(params.get("_wait"))?;
    // What may be cut is made more than once, until it fits.
    let is_made_once = job.kind == JobKind::Export && !job.truncate;
    let growth = tokio::select! {
        biased;
        growth = app.objects.growing(job.id), if is_made_once => growth,
        job = job_after(app, &mut caller, job.id, wait) => {
            let job = job?;
            may_export(&caller)?;
            return Ok(Followed::Done(job));
        }
    };
    trail.note(|record| record.job_id = Some(job.id));
    let format = Format::parse(&job.format).ok_or(Rejection::NoFile)?;
    let options: Options = serde_json::from_str(&job.options).map_err(Error::internal)?;
    let etag = quoted(&growth.borrow().tag);
    let reader = Reader {
        app: app.clone(),
        job_id: job.id,
        caller,
        growth,
        position: 0,
        sum: Sha256::new(),
    };
    let pieces = futures::stream::try_unfold(reader, Reader::next).inspect_err(
        move |error| tracing::debug!(job_id = job.id, %error, "a file that is followed breaks off"),
    );
    let headers = [
        (CONTENT_TYPE, content_type(format, &options).to_owned()),
        // The finished file has the same.
        (ETAG, etag),
        (FOLLOWED_JOB, job.id.to_string()),
    ];
    Ok(Followed::Growing(
        (headers, Body::from_stream(pieces)).into_response(),
    ))
}

/// Reads behind the one that writes.
struct Reader {
    app: App,
    job_id: i64,
    /// Looked at again as long as there is more to come.
    caller: Caller,
    growth: watch::Receiver<Growth>,
    position: u64,
    /// Of what was read: whoever follows asks for it in the end.
    sum: Sha256,
}

impl Reader {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        loop {
            let Growth {
                attempt,
                file,
                bytes,
                is_whole,
                ..
            } = self.growth.borrow_and_update().clone();
            if self.position < bytes {
                self.go_on().await.map_err(|_| broken_off())?;
                return self.read(file, bytes).await.map(Some);
            }
            if is_whole {
                self.end(attempt).await?;
                return Ok(None);
            }
            if self.growth.changed().await.is_err() && !self.growth.borrow().is_whole {
                return Err(broken_off());
            }
        }
    }

    /// Refused to who may not have any more what comes.
    async fn go_on(&mut self) -> Result<(), Rejection> {
        if self.caller.look_again_in_time(&self.app).await? {
            may_export(&self.caller)?;
            find_job(&self.app, &self.caller, self.job_id).await?;
        }
        Ok(())
    }

    async fn read(mut self, file: Arc<std::fs::File>, bytes: u64) -> Result<(Bytes, Self), Error> {
        let piece = self.position..bytes.min(self.position + PIECE_BYTES as u64);
        self.position = piece.end;
        let reading = tokio::task::spawn_blocking(move || {
            let piece = read_piece(&file, piece)?;
            self.sum.update(&piece);
            Ok((piece, self))
        });
        reading.await.map_err(Error::internal)?
    }

    /// The file is whole once the job is done, and with it on disk.
    async fn end(self, attempt: i64) -> Result<(), Error> {
        let waiter = self.app.store.waiter(self.job_id);
        let mut stop = self.app.stop.clone();
        loop {
            let mut told = std::pin::pin!(waiter.told());
            // From here on no call is missed; what came before shows in the row.
            told.as_mut().enable();
            let job = find_job(&self.app, &self.caller, self.job_id).await;
            let job = job.map_err(|_| broken_off())?;
            let is_own = job.attempt == attempt;
            match (job.status, job.export_id) {
                (JobStatus::Running | JobStatus::Cancelling, _) if is_own => {}
                (JobStatus::Success, Some(export_id)) if is_own => {
                    self.app.store.sync().await?;
                    let sum = hex(&self.sum.finalize());
                    return self.app.store.keep_sha256(Summed::Export(export_id), &sum).await;
                }
                _ => return Err(broken_off()),
            }
            tokio::select! {
                () = told => {}
                _ = stop.wait_for(|stop| *stop) => return Err(broken_off()),
            }
        }
    }
}

fn broken_off() -> Error {
    Error::new(ErrorCode::Cancelled, "the file did not become whole")
}
