//! What an import goes on with at the server when it is given up in the middle of a statement.

use std::time::Duration;

use tokio_postgres::CancelToken;
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

const CANCELS: u32 = 5;
const CANCEL_EVERY: Duration = Duration::from_millis(500);

/// Stops it when dropped, unless the import is over.
pub(super) struct GivenUp(Option<(CancelToken, MakeRustlsConnect)>);

impl GivenUp {
    pub(super) fn new(cancel: CancelToken, tls: MakeRustlsConnect) -> Self {
        Self(Some((cancel, tls)))
    }

    pub(super) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some((cancel, tls)) = self.0.take() {
            tokio::spawn(stop(cancel, tls));
        }
    }
}

/// A request that comes before the last statement has begun is forgotten, and one that comes after it too.
async fn stop(cancel: CancelToken, tls: MakeRustlsConnect) {
    for _ in 0..CANCELS {
        if let Err(error) = cancel.cancel_query(tls.clone()).await {
            debug!(%error, "cannot ask a source to stop an import");
        }
        tokio::time::sleep(CANCEL_EVERY).await;
    }
}
