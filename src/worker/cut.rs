//! Files with as many of a result's rows as fit, where `_truncate=true` asked for that.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::error::Error;
use crate::error::Result;
use crate::objects::Object;
use crate::objects::ObjectName;
use crate::report::Report;
use crate::results::Rows;
use crate::store::jobs::Claimed;
use crate::store::results::NewResult;
use crate::store::results::Place;
use crate::worker::Run;
use crate::worker::Worker;
use crate::worker::export::Encoder;

impl Worker {
    /// Stores the rows first: how many of them fit is known when a file of too many has failed,
    /// and the database is not to be asked again for that.
    pub(super) async fn export_what_fits(
        &self,
        claimed: &Claimed,
        report: &Report,
        run: &Run,
        encoder: impl Fn() -> Encoder,
    ) -> Result<(Object, NewResult)> {
        let began = Instant::now();
        let (written, schema) = self
            .in_time(report, self.write_result(claimed, report, run))
            .await?;
        let mut result = self.new_result(report, written, &schema, began.elapsed())?;
        let name = ObjectName::Result {
            job_id: claimed.job.id,
            attempt: claimed.job.attempt,
        };
        let mut rows = u64::try_from(result.rows).map_err(Error::internal)?;
        let file = loop {
            let encoder = encoder();
            let (is_full, read) = (encoder.is_full.clone(), encoder.read.clone());
            let stored = Rows::of(result.content.clone(), &self.objects, &name)?;
            match encoder.encode_stored(stored, rows).await {
                Err(_) if rows > 0 && is_full.load(Ordering::Relaxed) => {
                    // A little less than was read until the file was full, part of which was on its way.
                    rows = rows.min(read.load(Ordering::Relaxed));
                    rows -= rows.div_ceil(8);
                }
                Err(error) => {
                    // Another try stores them again.
                    self.objects.remove(&name)?;
                    return Err(error);
                }
                Ok(file) => break file,
            }
        };
        let rows = i64::try_from(rows).map_err(Error::internal)?;
        let is_cut = rows < result.rows;
        if is_cut || report.cache.is_zero() {
            // Nobody could come back for them.
            self.objects.remove(&name)?;
            result = NewResult {
                rows,
                bytes: 0,
                rows_kept: Place::No,
                content: None,
                truncated: result.truncated || is_cut,
                ..result
            };
        }
        Ok((file, result))
    }
}
