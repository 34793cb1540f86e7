//! How often keys may be used and guessed, counted in memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::http::error::Rejection;

const MINUTE: Duration = Duration::from_secs(60);

/// Wrong keys that one address may send within a minute.
const WRONG_KEYS_MAX: u32 = 30;

/// More than this many are forgotten once their minute is over.
const TIDY_AT: usize = 1_024;

/// What has been counted since a minute began.
#[derive(Clone, Copy)]
struct Count {
    began: Instant,
    count: u32,
}

#[derive(Default)]
pub(crate) struct Limits {
    of_keys: Mutex<HashMap<i64, Count>>,
    of_addresses: Mutex<HashMap<IpAddr, Count>>,
}

impl Limits {
    /// Counts a request of a key that may make so many a minute.
    pub(super) fn count_request(&self, key_id: i64, max: u32) -> Result<(), Rejection> {
        let count = count(&self.of_keys, key_id);
        match count.count > max {
            true => Err(Rejection::Limited {
                message: format!("this key may be used {max} times a minute"),
                max,
                retry_after: seconds_left(&count),
            }),
            false => Ok(()),
        }
    }

    pub(super) fn count_wrong_key(&self, address: IpAddr) {
        count(&self.of_addresses, address);
    }

    /// Refuses who has sent too many wrong keys, whatever the next one is.
    pub(super) fn check_address(&self, address: IpAddr) -> Result<(), Rejection> {
        let counts = self.of_addresses.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get(&address) {
            Some(count) if count.count >= WRONG_KEYS_MAX && count.began.elapsed() < MINUTE => {
                Err(Rejection::Limited {
                    message: format!("{WRONG_KEYS_MAX} wrong keys came from this address within a minute"),
                    max: WRONG_KEYS_MAX,
                    retry_after: seconds_left(count),
                })
            }
            _ => Ok(()),
        }
    }
}

fn count<K: Eq + std::hash::Hash>(counts: &Mutex<HashMap<K, Count>>, key: K) -> Count {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    if counts.len() > TIDY_AT {
        counts.retain(|_, count| count.began.elapsed() < MINUTE);
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
