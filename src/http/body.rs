//! The whole body of a request, in time and within its limit.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::FromRequest;
use axum::extract::Request;
use axum::extract::rejection::BytesRejection;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::App;
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
    let reading = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &()));
    let late = format!(
        "the body did not arrive within {} seconds",
        BODY_TIMEOUT.as_secs()
    );
    reading
        .await
        .map_err(|_| Error::invalid(late))?
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(_) if rejection.status() == 413 => {
                let max = app.config.request_bytes_max;
                let message = format!("the body is over the limit of {max} (setting `request_bytes_max`)");
                Error::new(ErrorCode::TooLarge, message).into()
            }
            _ => Error::invalid("the body could not be read").into(),
        })
}
