//! How often keys may be used and guessed, counted in memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::error::Rejection;
use crate::plural::plural;

const MINUTE: Duration = Duration::from_secs(60);

/// Wrong keys that one address may send within a minute.
const WRONG_KEYS_MAX: u32 = 30;

/// Streams of events that one user may have open: each looks at its job every second.
const STREAMS_MAX: u32 = 100;

/// Requests of one user that may wait for jobs: others find a place among the server's connections.
const WAITS_MAX: u32 = 300;

/// More than this many are forgotten once their minute is over.
const TIDY_AT: usize = 1_024;
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What has been counted since a minute began.
#[derive(Clone, Copy)]
struct Count {
    began: Instant,
    count: u32,
}

#[derive(Default)]
pub(crate) struct Limits {
    of_keys: Counts<i64>,
    of_addresses: Counts<IpAddr>,
    streams: Open,
    waits: Open,
}

type Counts<K> = Mutex<(HashMap<K, Count>, Option<Instant>)>;

impl Limits {
    /// Counts a request of a key that may make so many a minute.
    pub(super) fn count_request(&self, key_id: i64, max: u32) -> Result<(), Rejection> {
        let count = count(&self.of_keys, key_id);
        match count.count > max {
            true => Err(Rejection::Limited {
                message: format!("this key may be used {} a minute", plural(max, "time")),
                max,
                retry_after: seconds_left(&count),
            }),
            false => Ok(()),
        }
    }

    /// Counts a wrong key, and refuses whoever has sent too many. A right one is never held up:
    /// nobody can shut others out who come from the same address.
    pub(super) fn count_wrong_key(&self, address: IpAddr) -> Result<(), Rejection> {
        let count = count(&self.of_addresses, whole(address));
        match count.count > WRONG_KEYS_MAX {
            true => Err(Rejection::Limited {
                message: format!("{WRONG_KEYS_MAX} wrong keys came from this address within a minute"),
                max: WRONG_KEYS_MAX,
                retry_after: seconds_left(&count),
            }),
            false => Ok(()),
        }
    }
}

/// How many things of a kind each user has under way.
type Open = Arc<Mutex<HashMap<i64, u32>>>;

/// One of them, which counts until it is dropped.
pub(super) struct Counted {
    open: Open,
    user_id: i64,
}

impl Counted {
    /// `None` where the user has as many as that.
    fn new(open: &Open, user_id: i64, max: u32) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(user_id).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Self {
            open: open.clone(),
            user_id,
        })
    }

    pub(super) fn stream(limits: &Limits, user_id: i64) -> Result<Self, Error> {
        Self::new(&limits.streams, user_id, STREAMS_MAX).ok_or_else(|| {
            let message = format!(
                "you have {STREAMS_MAX} streams of events open: close one, or ask for the job's logs"
            );
            Error::new(ErrorCode::Busy, message)
        })
    }

    pub(super) fn wait(limits: &Limits, user_id: i64) -> Result<Self, Error> {
        Self::new(&limits.waits, user_id, WAITS_MAX).ok_or_else(|| {
            let message = format!("{WAITS_MAX} requests of yours wait for jobs already: ask without `_wait`");
            Error::new(ErrorCode::Busy, message)
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.user_id) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user_id);
            }
        }
    }
}

/// Who has one address of IPv6 has 2^64 of them.
fn whole(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

fn count<K: Eq + std::hash::Hash>(counts: &Counts<K>, key: K) -> Count {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let (counts, tidied) = &mut *counts;
    if counts.len() > TIDY_AT && tidied.is_none_or(|at| at.elapsed() > TIDY_EVERY) {
        counts.retain(|_, count| count.began.elapsed() < MINUTE);
        *tidied = Some(Instant::now());
    }
    let fresh = Count {
        began: Instant::now(),
        count: 0,
    };
    let count = counts.entry(key).or_insert(fresh);
    if count.began.elapsed() >= MINUTE {
        *count = fresh;
    }
    count.count = count.count.saturating_add(1);
    *count
}

fn seconds_left(count: &Count) -> u64 {
    MINUTE.saturating_sub(count.began.elapsed()).as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_count_until_they_end() {
        let limits = Limits::default();
        let mut open: Vec<_> = (0..STREAMS_MAX)
            .map(|_| Counted::stream(&limits, 1).unwrap())
            .collect();
        assert!(Counted::stream(&limits, 1).is_err());
        assert!(Counted::stream(&limits, 2).is_ok());
        open.pop();
        assert!(Counted::stream(&limits, 1).is_ok());
        drop(open);
        assert!(limits.streams.lock().unwrap().is_empty());
    }
}
