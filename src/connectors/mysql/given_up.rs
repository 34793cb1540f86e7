//! What an import leaves behind at the server when it is given up in the middle of a command.

use std::sync::Arc;

use tracing::debug;

use crate::connectors::mysql::connect::Target;
use crate::connectors::mysql::load::SETTLE;

/// Tidies up when dropped, unless there is nothing to tidy up any more.
pub(super) struct GivenUp(Option<Rest>);

struct Rest {
    target: Arc<Target>,
    connection_id: u32,
    /// What waits for whoever imports into the same table.
    wait: String,
    /// Drops the tables that nobody needs any more.
    leftovers: String,
}

impl GivenUp {
    pub(super) fn new(target: Arc<Target>, connection_id: u32, wait: String, leftovers: String) -> Self {
        Self(Some(Rest {
            target,
            connection_id,
            wait,
            leftovers,
        }))
    }

    /// The import is over and has tidied up itself.
    pub(super) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(rest) = self.0.take() {
            tokio::spawn(rest.tidy_up());
        }
    }
}

impl Rest {
    async fn tidy_up(self) {
        let mut client = match self.target.connect().await {
            Ok(client) => client,
            Err(error) => {
                debug!(%error, "cannot ask a source to stop an import");
                return;
            }
        };
        if let Err(error) = client.command(&format!("kill {}", self.connection_id)).await {
            debug!(
                ?error,
                "cannot ask a source to stop an import, or its connection has ended"
            );
        }
        // The next run of the import makes a table of the same name, and that one is left alone.
        let removed = async {
            client.command(SETTLE).await?;
            match client.has_rows(&self.wait).await? {
                true => client.command(&self.leftovers).await,
                false => Ok(()),
            }
        };
        let removed = removed.await;
        if let Err(error) = removed {
            debug!(?error, "cannot remove what an import has left behind");
        }
        drop(client.quit().await);
    }
}
