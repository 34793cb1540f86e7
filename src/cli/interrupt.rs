//! Ctrl-C: the job that is under way is stopped, also at its database, or told of, and no half file stays.

use std::fs;
use std::fs::File;
use std::io;
use std::io::stdin;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;
use rustix::termios::OptionalActions;
use rustix::termios::tcgetattr;
use rustix::termios::tcsetattr;
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::cli::client::Client;
use crate::cli::keyed::Keyed;
use crate::cli::output::say_interrupted;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// As shells report a program that a signal has ended: this, and the signal's number.
const STATUS: i32 = 128;
/// How long an interrupted submit may take to tell its job, and a server to stop that.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// What is told of a submit that nobody knows what became of.
pub(super) const MAY_HAVE_BEGUN: &str = "a job may have begun, which `holistics jobs list` shows";

/// What is under way.
#[derive(Clone, Default)]
pub(super) struct Interrupt {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    is_submitting: bool,
    /// What is being submitted, where its job is to end with us.
    submit: Option<Keyed>,
    is_left: bool,
    job_id: Option<i64>,
    /// A job that goes on without us: others have begun it, or it is an import.
    left_job: Option<i64>,
    part: Option<PathBuf>,
}

impl Interrupt {
    /// Waits for the signal in a thread of its own, which ends the program.
    pub(super) fn watch(client: &Client, bar: &ProgressBar) -> Result<Self> {
        let interrupt = Self::default();
        let (watching, bar) = (interrupt.clone(), bar.downgrade());
        let client = client.with_timeout(CANCEL_TIMEOUT)?;
        on_end(move |signal| {
            if signal == SignalKind::interrupt() && watching.lock().is_left {
                return;
            }
            if let Some(bar) = bar.upgrade() {
                bar.finish_and_clear();
            }
            watching.stop(&client, signal);
        })?;
        Ok(interrupt)
    }

    /// Stops the job, because nobody can take what it makes after this error, which says so if it cannot be stopped.
    pub(super) fn given_up(&self, client: &Client, error: Error) -> Error {
        let Some(id) = self.lock().job_id else {
            return error;
        };
        let client = client.with_timeout(CANCEL_TIMEOUT);
        let stopped = client.and_then(|client| cancel(&client, id));
        self.job_is_over();
        match stopped {
            Ok(_) => error,
            // It was somebody else's from the beginning.
            Err(problem) if problem.code == ErrorCode::Forbidden => error,
            Err(_) => error.and(&format!(
                "job {id} may go on, which `holistics jobs cancel {id}` stops"
            )),
        }
    }

    fn stop(&self, client: &Client, signal: SignalKind) -> ! {
        let (_, changed) = &*self.state;
        // One that has a key says its job if it is sent again; of any other the answer has to come.
        let waited = changed.wait_timeout_while(self.lock(), CANCEL_TIMEOUT, |state| {
            state.is_submitting && state.submit.is_none()
        });
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let mut may_have_begun = state.is_submitting && state.submit.is_none();
        if let Some(submit) = state.submit.take() {
            match own_job(client, &submit) {
                Ok(own) => state.job_id = own,
                Err(_) => may_have_begun = client.was_reached(),
            }
        }
        if let Some(part) = &state.part {
            let _ = fs::remove_file(part);
        }
        match state.job_id {
            None => {
                let left = state.left_job;
                let told = match left {
                    Some(id) => format!(": job {id} goes on; `holistics jobs cancel {id}` stops it"),
                    None if may_have_begun => format!(": {MAY_HAVE_BEGUN}"),
                    None => String::new(),
                };
                say_interrupted(format!("interrupted{told}"));
            }
            Some(id) => {
                let word = match cancel(client, id) {
                    Ok(Cancelled { status }) if status == "joined" => {
                        "goes on, because others have joined it".to_owned()
                    }
                    Ok(_) => "cancelled".to_owned(),
                    // It was somebody else's from the beginning.
                    Err(error) if error.code == ErrorCode::Forbidden => {
                        "goes on, because it is others'".to_owned()
                    }
                    Err(error) => format!("may go on ({error}); `holistics jobs cancel {id}` stops it"),
                };
                say_interrupted(format!("interrupted: job {id} {word}"));
            }
        }
        // With the lock held, so that nothing goes on meanwhile.
        std::process::exit(STATUS + signal.as_raw_value())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits this and says its job, which from then on is stopped with the program, unless somebody else waits for it.
    pub(super) fn submitting(&self, client: &Client, submit: &Keyed) -> Result<i64> {
        self.submits();
        self.lock().submit = Some(submit.clone());
        let submitted = submit.send(client);
        let own = match &submitted {
            Ok((job_id, is_new)) => Ok(is_new.then_some(*job_id)),
            // It may have been accepted all the same.
            Err(error) if error.code == ErrorCode::Unreachable && client.was_reached() => {
                own_job(&client.with_timeout(CANCEL_TIMEOUT)?, submit)
            }
            Err(_) => Ok(None),
        };
        // Who joins a job leaves it to others.
        let joined = submitted
            .as_ref()
            .ok()
            .filter(|(_, is_new)| !is_new)
            .map(|(job_id, _)| *job_id);
        self.has_submitted(own.as_ref().map_or(None, |own| *own), joined);
        match (submitted, own) {
            (Ok((job_id, _)), _) => Ok(job_id),
            (Err(error), Ok(_)) => Err(self.given_up(client, error)),
            (Err(error), Err(_)) => Err(error.and(MAY_HAVE_BEGUN)),
        }
    }

    /// From now on there may be a job, which is not known yet.
    pub(super) fn submits(&self) {
        self.lock().is_submitting = true;
    }

    /// The submit has this job, if any, which goes on: whoever ends the program hears how it is stopped.
    /// Whether there may have been one.
    pub(super) fn leave(&self, job_id: Option<i64>) -> bool {
        let was_submitting = self.lock().is_submitting;
        self.has_submitted(None, job_id);
        was_submitting
    }

    fn has_submitted(&self, own: Option<i64>, left: Option<i64>) {
        let mut state = self.lock();
        (state.is_submitting, state.submit) = (false, None);
        (state.job_id, state.left_job) = (own, left);
        self.state.1.notify_all();
    }

    /// From now on Ctrl-C is for the program that shows what came.
    pub(super) fn leave_to_pager(&self) {
        self.lock().is_left = true;
    }

    /// The job is over: there is nothing to stop any more. If it is over because of Ctrl-C, this never returns.
    pub(super) fn job_is_over(&self) {
        let mut state = self.lock();
        (state.job_id, state.left_job) = (None, None);
    }

    /// Makes a file that is no good until it is whole: who ends the program has it removed, or not made.
    pub(super) fn make_part(&self, part: &Path) -> io::Result<File> {
        let mut state = self.lock();
        let file = File::create_new(part)?;
        state.part = Some(part.to_owned());
        Ok(file)
    }

    /// It is whole, or there is none any more.
    pub(super) fn part_is_over(&self) {
        self.lock().part = None;
    }
}

/// A terminal that does not show what is typed shows it again when the program is ended.
pub(super) fn keep_echo() -> Result<()> {
    let before = tcgetattr(stdin()).map_err(Error::internal)?;
    on_end(move |signal| {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
        std::process::exit(STATUS + signal.as_raw_value())
    })
}

/// Does this, in a thread of its own, whenever a signal asks the program to end: from here on, not once it runs.
fn on_end(act: impl Fn(SignalKind) + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::internal)?;
    let mut ends = {
        let _entered = runtime.enter();
        EndSignals::new()?
    };
    thread::spawn(move || {
        loop {
            act(runtime.block_on(ends.next()));
        }
    });
    Ok(())
}

/// What ends a command: Ctrl-C, SIGTERM, or a terminal that goes.
struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl EndSignals {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match ignores_hangup() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    async fn next(&mut self) -> SignalKind {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = hangup => SignalKind::hangup(),
        }
    }
}

/// What `nohup` has started goes on without its terminal.
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = 1 << (SignalKind::hangup().as_raw_value() - 1);
    mask.is_some_and(|mask| mask & bit != 0)
}

/// The job of a submit that nobody knows what became of, if it has one of its own.
fn own_job(client: &Client, submit: &Keyed) -> Result<Option<i64>> {
    let (job_id, is_new) = submit.send(&client.impatient())?;
    Ok(is_new.then_some(job_id))
}

#[derive(Deserialize)]
struct Cancelled {
    status: String,
}

/// Somebody else's submit may have joined the job since.
fn cancel(client: &Client, job_id: i64) -> Result<Cancelled> {
    let path = format!("/jobs/{job_id}/cancel.json?_unless_joined=true");
    client.send_json("PUT", &path, &json!({}))
}
