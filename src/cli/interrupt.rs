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
    job: UnderWay,
    /// The program that shows what came is asked to end instead.
    is_left: bool,
    part: Option<PathBuf>,
}

/// What is known of a job.
#[derive(Clone, Default)]
enum UnderWay {
    #[default]
    Nothing,
    Submitting(Keyed),
    /// An import has been sent, and not been answered.
    Uploaded,
    /// It ends with us.
    Own(i64),
    /// Others have begun it.
    Others(i64),
    /// It goes on without us.
    Import(i64),
}

impl UnderWay {
    /// What a submit has come to: its job, and whether that is a new one.
    fn of((job_id, is_new): (i64, bool)) -> Self {
        match is_new {
            true => Self::Own(job_id),
            false => Self::Others(job_id),
        }
    }
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

    /// Stops the job, because nobody can take what it makes after this error, which says so if it goes on.
    pub(super) fn given_up(&self, client: &Client, error: Error) -> Error {
        let job = self.lock().job.clone();
        let goes_on = match job {
            UnderWay::Own(id) => {
                let client = client.with_timeout(CANCEL_TIMEOUT);
                match client.and_then(|client| cancel(&client, id)) {
                    Ok(Cancelled::Stopped) => None,
                    Ok(Cancelled::GoesOn) => Some(of_others(id)),
                    Err(_) => Some(format!(
                        "job {id} may go on, which `holistics jobs cancel {id}` stops"
                    )),
                }
            }
            UnderWay::Others(id) => Some(of_others(id)),
            _ => None,
        };
        self.job_is_over();
        match goes_on {
            Some(told) => error.and(&told),
            None => error,
        }
    }

    fn stop(&self, client: &Client, signal: SignalKind) -> ! {
        let (_, changed) = &*self.state;
        // An import's answer has to come; a submit says its job if it is sent again.
        let waited = changed.wait_timeout_while(self.lock(), CANCEL_TIMEOUT, |state| {
            matches!(state.job, UnderWay::Uploaded)
        });
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let job = match state.job.clone() {
            UnderWay::Submitting(submit) if client.is_open() => job_of(&submit, client),
            UnderWay::Submitting(_) => Ok(UnderWay::Nothing),
            job => Ok(job),
        };
        let told = match job {
            Ok(UnderWay::Nothing | UnderWay::Submitting(_)) => String::new(),
            Ok(UnderWay::Uploaded) | Err(_) => format!(": {MAY_HAVE_BEGUN}"),
            Ok(UnderWay::Import(id)) => {
                format!(": job {id} goes on; `holistics jobs cancel {id}` stops it")
            }
            Ok(UnderWay::Others(id)) => format!(": {}", of_others(id)),
            Ok(UnderWay::Own(id)) => match cancel(client, id) {
                Ok(Cancelled::Stopped) => format!(": job {id} cancelled"),
                Ok(Cancelled::GoesOn) => format!(": {}", of_others(id)),
                Err(error) => {
                    format!(": job {id} may go on ({error}); `holistics jobs cancel {id}` stops it")
                }
            },
        };
        if let Some(part) = &state.part {
            let _ = fs::remove_file(part);
        }
        say_interrupted(format!("interrupted{told}"));
        // With the lock held, so that nothing goes on meanwhile.
        std::process::exit(STATUS + signal.as_raw_value())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits this and says its job, which from then on is stopped with the program, unless somebody else waits for it.
    pub(super) fn submitting(&self, client: &Client, submit: &Keyed) -> Result<i64> {
        self.is(UnderWay::Submitting(submit.clone()));
        let (submitted, is_open) = (submit.send(client), client.is_open());
        match submitted {
            Ok(submitted) => {
                self.is(UnderWay::of(submitted));
                Ok(submitted.0)
            }
            // It may have been taken all the same.
            Err(error) if is_open => {
                let job = client.with_timeout(CANCEL_TIMEOUT);
                match job.and_then(|client| job_of(submit, &client)) {
                    Ok(job) => {
                        self.is(job);
                        Err(self.given_up(client, error))
                    }
                    Err(_) => Err(error.and(MAY_HAVE_BEGUN)),
                }
            }
            Err(error) => {
                self.is(UnderWay::Nothing);
                Err(error)
            }
        }
    }

    /// An import has been sent: from now on there may be a job, which is not known yet.
    pub(super) fn has_uploaded(&self) {
        self.is(UnderWay::Uploaded);
    }

    /// The import has this job, if any, which goes on. Whether there may be one.
    pub(super) fn import_is(&self, job_id: Option<i64>) -> bool {
        let was_uploaded = matches!(self.lock().job, UnderWay::Uploaded);
        self.is(job_id.map_or(UnderWay::Nothing, UnderWay::Import));
        was_uploaded
    }

    fn is(&self, job: UnderWay) {
        self.lock().job = job;
        self.state.1.notify_all();
    }

    /// From now on Ctrl-C is for the program that shows what came.
    pub(super) fn leave_to_pager(&self) {
        self.lock().is_left = true;
    }

    /// The job is over: there is nothing to stop any more. If it is over because of Ctrl-C, this never returns.
    pub(super) fn job_is_over(&self) {
        self.is(UnderWay::Nothing);
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

/// The job of a submit that was not answered: it is sent again.
fn job_of(submit: &Keyed, client: &Client) -> Result<UnderWay> {
    submit.send(&client.impatient()).map(UnderWay::of)
}

fn of_others(job_id: i64) -> String {
    format!("job {job_id} goes on, because others wait for it")
}

/// What became of a job that was to be stopped.
enum Cancelled {
    Stopped,
    /// Others have joined it since, or it was theirs from the beginning.
    GoesOn,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
}

fn cancel(client: &Client, job_id: i64) -> Result<Cancelled> {
    let path = format!("/jobs/{job_id}/cancel.json?_unless_joined=true");
    match client.send_json("PUT", &path, &json!({})) {
        Ok(Answer { status }) if status == "joined" => Ok(Cancelled::GoesOn),
        Ok(_) => Ok(Cancelled::Stopped),
        Err(error) if error.code == ErrorCode::Forbidden => Ok(Cancelled::GoesOn),
        Err(error) => Err(error),
    }
}
