//! The whole body of a request, in time and within its limit.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::FromRequest;
use axum::extract::Request;
use axum::extract::rejection::BytesRejection;
use serde::Deserialize;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::App;
use crate::http::auth::LOOK_AGAIN_AFTER;
use crate::http::auth::Pass;
use crate::http::error::Rejection;

/// How long a client may take to send it.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A small body, such as JSON.
pub(crate) struct WholeBody(pub(crate) Bytes);

impl FromRequest<App> for WholeBody {
    type Rejection = Rejection;

    async fn from_request(request: Request, app: &App) -> Result<Self, Rejection> {
        read_body(app, request).await.map(Self)
    }
}

pub(super) async fn read_body(app: &App, request: Request) -> Result<Bytes, Rejection> {
    let pass = request.extensions().get::<Arc<Pass>>().cloned();
    let began = Instant::now();
    let reading = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &()));
    let late = format!(
        "the body did not arrive within {} seconds",
        BODY_TIMEOUT.as_secs()
    );
    let body = reading
        .await
        .map_err(|_| Error::invalid(late))?
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(_) if rejection.status() == 413 => {
                let max = app.config.request_bytes_max;
                let message = format!("the body is over the limit of {max} (setting `request_bytes_max`)");
                Error::new(ErrorCode::TooLarge, message).into()
            }
            _ => Rejection::from(Error::invalid("the body could not be read")),
        })?;
    if let Some(pass) = pass
        && began.elapsed() > LOOK_AGAIN_AFTER
    {
        pass.caller(app).await?;
    }
    Ok(body)
}

/// A JSON body; what is wrong with it is told with the field that it is about.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], like: &str) -> Result<T, Error> {
    let wrong = |field: &str, error: &dyn std::fmt::Display| {
        Error::invalid(format!("the body must be JSON like {like}: {field}{error}"))
    };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = match error.path().iter().next() {
            None => String::new(),
            Some(_) => format!("`{}`: ", error.path()),
        };
        wrong(&field, error.inner())
    })?;
    reader.end().map_err(|error| wrong("", &error))?;
    Ok(parsed)
}
