//! How long a server is waited for that has too much to do, or is away: told here, and nowhere else.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use ureq::Body;
use ureq::http::Response;

use crate::cli::answer::Answer;
use crate::cli::answer::busy_pause;
use crate::cli::answer::told_of;
use crate::cli::faults::has_broken;
use crate::cli::faults::may_have_arrived;
use crate::cli::faults::may_pass;
use crate::cli::output::say_note;

/// How long one request may wait for a busy server: a key that may be used so many times a minute waits for less than
/// one.
pub(super) const BUSY_WAIT_MAX: Duration = Duration::from_mins(5);
/// How long for one that has answered before, and is being restarted, or behind a network that is away.
const AWAY_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often else: what has never answered may not be there at all.
const STRANGER_FAILURES_MAX: u32 = 3;
/// How much longer each pause is, and how long at most.
const AWAY_PAUSE: Duration = Duration::from_millis(200);
const AWAY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// After which wait it is told.
const WAIT_TOLD: Duration = Duration::from_secs(4);

/// What a server answers that has too much to do.
pub(super) const BUSY: u16 = 429;
/// What a server answers that has a fault, and what a proxy before one that is away.
const FAULT: u16 = 500;
const AWAY: [u16; 3] = [502, 503, 504];

/// What came of a request.
type Asked = Result<Answer, ureq::Error>;

/// Whether an answer is that of no server, or none of its making.
pub(super) fn is_fault(answer: &Answer) -> bool {
    answer.status() == FAULT || AWAY.contains(&answer.status())
}

/// Whether what was asked may have been done, though no answer says so.
pub(super) fn left_open(asked: &Asked) -> bool {
    asked.as_ref().map_or_else(may_have_arrived, is_fault)
}

/// The waits of one request.
pub(super) struct Waits<'a> {
    /// As messages have it.
    host: &'a str,
    max: Duration,
    busy: Duration,
    failures: u32,
    away_since: Option<Instant>,
    is_told: bool,
}

impl<'a> Waits<'a> {
    /// For no longer than this.
    pub(super) fn new(host: &'a str, max: Duration) -> Self {
        Self {
            host,
            max,
            busy: Duration::ZERO,
            failures: 0,
            away_since: None,
            is_told: false,
        }
    }

    /// Waits until it may be asked again, if that is worth it; of what is not safe to send twice only what was refused is.
    pub(super) fn for_another(&mut self, asked: &Asked, is_safe: bool, was_there: bool) -> bool {
        match asked {
            Ok(answer) if answer.status() == BUSY => self.for_busy(&answer.response, &answer.text),
            // One that has a fault is there, and may not get over it.
            Ok(answer) if is_safe && answer.status() == FAULT => self.for_absent(false),
            Ok(answer) => is_safe && is_fault(answer) && self.for_absent(was_there),
            Err(error) => {
                is_safe && (has_broken(error) || (was_there && may_pass(error))) && self.for_absent(was_there)
            }
        }
    }

    /// Waits until a server that has too much to do, or a key that is used too often, says that it may be asked again;
    /// whether that was worth it.
    fn for_busy(&mut self, response: &Response<Body>, text: &str) -> bool {
        let after = busy_pause(response);
        self.busy = self.busy.saturating_add(after);
        if self.busy > self.max {
            return false;
        }
        if self.busy > WAIT_TOLD {
            let told = told_of(text).unwrap_or_else(|| "too much to do".to_owned());
            let after = humantime::format_duration(after);
            self.tell(&format!("{told}: {} is asked again in {after}", self.host));
        }
        thread::sleep(after);
        true
    }

    /// Waits a moment for one that is away; whether that was worth it.
    fn for_absent(&mut self, was_there: bool) -> bool {
        let away = self.away_since.get_or_insert_with(Instant::now).elapsed();
        let max = AWAY_WAIT_MAX.min(self.max);
        if away >= max || (!was_there && self.failures >= STRANGER_FAILURES_MAX) {
            return false;
        }
        if away > WAIT_TOLD {
            let max = humantime::format_duration(max);
            self.tell(&format!("{} is away: it is asked again for {max}", self.host));
        }
        self.failures += 1;
        thread::sleep((AWAY_PAUSE * self.failures).min(AWAY_PAUSE_MAX));
        true
    }

    /// Once is enough.
    fn tell(&mut self, note: &str) {
        if !self.is_told {
            self.is_told = true;
            say_note(note);
        }
    }
}
