//! Named places at which the process can be made to die, so that a test reaches each edge of a crash:
//! `HOLISTICS_KILL_AT=kept:3` dies when it comes to `kept` for the third time. Nothing happens unless it is set.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::process::Signal;
use rustix::process::getpid;
use rustix::process::kill_process;

static KILL_AT: LazyLock<Option<KillAt>> = LazyLock::new(|| {
    let wanted = std::env::var("HOLISTICS_KILL_AT").ok()?;
    let (name, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    Some(KillAt {
        name: name.to_owned(),
        left: AtomicU64::new(count.parse().ok()?),
    })
});

struct KillAt {
    name: String,
    left: AtomicU64,
}

/// Dies here if that is wanted, without a word to anybody, as by `kill -9`.
pub(crate) fn kill_point(name: &str) {
    if let Some(wanted) = &*KILL_AT
        && wanted.name == name
        && wanted.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
