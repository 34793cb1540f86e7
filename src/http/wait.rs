//! Long polls: an answer waits for a job, as long as the client asks for.

use std::time::Duration;

use crate::error::Error;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::limits::Counted;
use crate::http::poll::find_job;
use crate::job::Job;

/// Below the minute after which many proxies and clients give up.
const WAIT_SECS_MAX: f64 = 50.0;

/// Reads `_wait`: seconds from 0 to 50, with a fraction if need be.
pub(super) fn parse_wait(text: Option<&str>) -> Result<Duration, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(Duration::ZERO);
    };
    match text.parse() {
        Ok(seconds) if (0.0..=WAIT_SECS_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => {
            let wanted = format!("a number of seconds from 0 to {WAIT_SECS_MAX}");
            Err(Error::must_be("_wait", &wanted, text))
        }
    }
}

/// The job as it is when it is done, or when the time is over, or when the server stops. Who has waited is looked at
/// again: the caller is then who they are by now.
pub(super) async fn job_after(
    app: &App,
    caller: &mut Caller,
    id: i64,
    wait: Duration,
) -> Result<Job, Rejection> {
    if wait.is_zero() {
        return find_job(app, caller, id).await;
    }
    let _counted = Counted::wait(&app.limits, caller.user.id)?;
    let waiter = app.store.waiter(id);
    let mut stop = app.stop.clone();
    let mut over = std::pin::pin!(tokio::time::sleep(wait));
    loop {
        let mut told = std::pin::pin!(waiter.told());
        // From here on no call is missed; what came before shows in the row.
        told.as_mut().enable();
        let job = find_job(app, caller, id).await?;
        if job.is_finished() {
            return Ok(job);
        }
        let is_over = tokio::select! {
            () = told => false,
            () = over.as_mut() => true,
            // An error means that the sender is gone, which is a stop too.
            _ = stop.wait_for(|stop| *stop) => true,
        };
        caller.look_again(app).await?;
        if is_over {
            return find_job(app, caller, id).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_of_every_kind() {
        for (text, expected) in [
            (None, 0),
            (Some(""), 0),
            (Some("0"), 0),
            (Some("0.25"), 250),
            (Some("50"), 50_000),
        ] {
            assert_eq!(
                parse_wait(text).unwrap(),
                Duration::from_millis(expected),
                "{text:?}"
            );
        }
        for text in ["51", "-1", "NaN", "inf", "5s", "1e9"] {
            assert!(parse_wait(Some(text)).is_err(), "{text}");
        }
    }
}
