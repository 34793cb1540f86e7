//! The queue beside a model of it: the same steps in thousands of orders, and every job is where the model has it.

use proptest::prelude::*;
use proptest::test_runner::Config;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::job::Job;
use crate::job::JobKind;
use crate::job::JobStatus;
use crate::job::NewJob;
use crate::job::Submitted;
use crate::query::Statement;
use crate::query::file::parse_report;
use crate::store::Store;
use crate::store::jobs::Terms;
use crate::store::results::NewResult;
use crate::store::results::Place;

const USERS: usize = 3;
const USER_JOBS_MAX: usize = 2;
const SOURCE_JOBS_MAX: usize = 3;
const LOSSES_MAX: i64 = 3;
const QUEUE_MAX: usize = 6;

/// What somebody does. Numbers choose among the jobs, or the claims, that there are.
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit {
        user: usize,
        work: u8,
        is_export: bool,
        may_join: bool,
    },
    Claim,
    Renew(usize),
    Finish(usize),
    Fail(usize),
    HandBack(usize),
    EndCancelled(usize),
    Cancel(usize),
    /// The worker of a job is not heard of for a lease.
    Lose(usize),
    /// The server is killed and comes back.
    Restart,
    /// The report is removed, and brought back after a submit that had found it.
    RemoveReport,
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0_usize..1_000;
    prop_oneof![
        6 => (0..USERS, 0_u8..4, any::<bool>(), prop::bool::weighted(0.8)).prop_map(
            |(user, work, is_export, may_join)| Step::Submit { user, work, is_export, may_join }
        ),
        6 => Just(Step::Claim),
        1 => number().prop_map(Step::Renew),
        3 => number().prop_map(Step::Finish),
        1 => number().prop_map(Step::Fail),
        1 => number().prop_map(Step::HandBack),
        2 => number().prop_map(Step::EndCancelled),
        2 => number().prop_map(Step::Cancel),
        3 => number().prop_map(Step::Lose),
        1 => Just(Step::Restart),
        1 => Just(Step::RemoveReport),
    ]
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    id: i64,
    user: usize,
    work: u8,
    is_export: bool,
    may_join: bool,
    status: JobStatus,
    attempt: i64,
    losses: i64,
}

impl Known {
    fn is_held(&self) -> bool {
        matches!(self.status, JobStatus::Running | JobStatus::Cancelling)
    }

    fn is_joinable(&self) -> bool {
        self.may_join && matches!(self.status, JobStatus::Queued | JobStatus::Running)
    }

    fn cancel(&mut self) {
        self.status = match self.status {
            JobStatus::Queued => JobStatus::Cancelled,
            JobStatus::Running => JobStatus::Cancelling,
            other => other,
        };
    }

    /// What the end of a lease does.
    fn lose(&mut self) {
        match self.status {
            JobStatus::Running => {
                self.losses += 1;
                self.status = match self.losses >= LOSSES_MAX {
                    true => JobStatus::Failure,
                    false => JobStatus::Queued,
                };
            }
            JobStatus::Cancelling => self.status = JobStatus::Cancelled,
            _ => {}
        }
    }
}

async fn apply_report(store: &Store) {
    let report = parse_report("r.sql", "---\nid: 1\ntitle: Test\n---\nselect 1").unwrap();
    store.apply_reports(&[report], None, false).await.unwrap();
}

/// The store, and what should be in it.
struct Tested {
    _folder: TempDir,
    store: Store,
    metadata: Connection,
    users: Vec<i64>,
    known: Vec<Known>,
    /// All that was ever claimed, most of it by workers that are late.
    claims: Vec<Job>,
}

impl Tested {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.sqlite");
        let store = Store::open(&path).await.unwrap();
        apply_report(&store).await;
        let mut users = Vec::new();
        for user in 0..USERS {
            let email = format!("user{user}@example.com");
            users.push(
                store
                    .add_user(&email, "User", crate::access::Role::Analyst, true)
                    .await
                    .unwrap()
                    .id,
            );
        }
        let metadata = Connection::open(&path).unwrap();
        let settings = format!("update sources set settings = '{{\"concurrency\":{SOURCE_JOBS_MAX}}}'");
        metadata.execute(&settings, []).unwrap();
        Self {
            _folder: folder,
            store,
            metadata,
            users,
            known: Vec::new(),
            claims: Vec::new(),
        }
    }

    fn claim_of(&self, number: usize) -> Option<Job> {
        let count = self.claims.len();
        (count > 0).then(|| self.claims[number % count].clone())
    }

    /// The job of a claim, if that is still the one that counts.
    fn held(&mut self, claim: &Job) -> Option<&mut Known> {
        let job = self.known.iter_mut().find(|job| job.id == claim.id)?;
        (job.attempt == claim.attempt && job.is_held()).then_some(job)
    }

    /// Changes the job of a claim from one status to another if it is at that; whether it was.
    fn moves(&mut self, claim: &Job, from: JobStatus, to: JobStatus) -> bool {
        match self.held(claim) {
            Some(job) if job.status == from => {
                job.status = to;
                true
            }
            _ => false,
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Submit {
                user,
                work,
                is_export,
                may_join,
            } => self.submit(user, work, is_export, may_join).await,
            Step::Claim => self.claim().await,
            Step::Renew(number) => {
                let Some(claim) = self.claim_of(number) else {
                    return;
                };
                let wanted = self.held(&claim).map(|job| job.status);
                assert_eq!(self.store.renew(&claim, 60_000_000).await.unwrap(), wanted);
            }
            Step::Finish(number) => {
                let Some(claim) = self.claim_of(number) else {
                    return;
                };
                let result = NewResult {
                    rows: 1,
                    bytes: 3,
                    rows_kept: Place::Inline,
                    content: Some(b"row".to_vec()),
                    lifetime_us: 60_000_000,
                    columns: "[]".to_owned(),
                    engine_us: 1,
                    truncated: false,
                };
                let wanted = self.moves(&claim, JobStatus::Running, JobStatus::Success);
                assert_eq!(self.store.keep_result(&claim, &result).await.is_ok(), wanted);
            }
            Step::Fail(number) => {
                let Some(claim) = self.claim_of(number) else {
                    return;
                };
                let wanted = self.moves(&claim, JobStatus::Running, JobStatus::Failure);
                let error = Error::invalid("no such column");
                assert_eq!(self.store.fail(&claim, &error).await.is_ok(), wanted);
            }
            Step::HandBack(number) => {
                let Some(claim) = self.claim_of(number) else {
                    return;
                };
                let _ = self.moves(&claim, JobStatus::Running, JobStatus::Queued)
                    || self.moves(&claim, JobStatus::Cancelling, JobStatus::Cancelled);
                self.store.hand_back(&claim).await.unwrap();
            }
            Step::EndCancelled(number) => {
                let Some(claim) = self.claim_of(number) else {
                    return;
                };
                let wanted = self.moves(&claim, JobStatus::Cancelling, JobStatus::Cancelled);
                assert_eq!(self.store.end_cancelled(&claim).await.unwrap(), wanted);
            }
            Step::Cancel(number) => {
                let count = self.known.len().max(1);
                let Some(job) = self.known.get_mut(number % count) else {
                    return;
                };
                job.cancel();
                self.store.cancel(job.id).await.unwrap();
            }
            Step::Lose(number) => {
                let count = self.known.len().max(1);
                let Some(job) = self.known.get_mut(number % count) else {
                    return;
                };
                let lose = "update jobs set lease_until = 0 where id = ?1 and lease_until is not null";
                self.metadata.execute(lose, [job.id]).unwrap();
                job.lose();
                self.store.expire_leases(LOSSES_MAX).await.unwrap();
            }
            Step::Restart => {
                self.known.iter_mut().for_each(Known::lose);
                self.store.take_up_interrupted(LOSSES_MAX).await.unwrap();
            }
            Step::RemoveReport => {
                self.known.iter_mut().for_each(Known::cancel);
                self.store.remove_report(1, None).await.unwrap();
                for may_join in [true, false] {
                    let late = self.new_job(0, 0, false, may_join);
                    let refused = self.store.submit(&late, QUEUE_MAX as i64).await;
                    assert_eq!(refused.unwrap_err().code, ErrorCode::NotFound);
                }
                apply_report(&self.store).await;
            }
        }
    }

    fn new_job(&self, user: usize, work: u8, is_export: bool, may_join: bool) -> NewJob {
        NewJob {
            kind: if is_export {
                JobKind::Export
            } else {
                JobKind::Query
            },
            format: if is_export {
                "csv".to_owned()
            } else {
                String::new()
            },
            options: "{}".to_owned(),
            user_id: self.users[user],
            report_id: 1,
            report_version: 1,
            source_id: 1,
            statement: Statement {
                sql: format!("select {work}"),
                binds: Vec::new(),
                checks: Vec::new(),
            },
            filter_values: "{}".to_owned(),
            cache_us: 0,
            may_join,
            truncate: false,
            key: None,
            pins: "{}".to_owned(),
            values_of: None,
        }
    }

    async fn submit(&mut self, user: usize, work: u8, is_export: bool, may_join: bool) {
        let new = self.new_job(user, work, is_export, may_join);
        let same = self
            .known
            .iter()
            .find(|job| may_join && job.is_joinable() && (job.work, job.is_export) == (work, is_export));
        let queued = self
            .known
            .iter()
            .filter(|job| job.status == JobStatus::Queued)
            .count();
        let own = self
            .known
            .iter()
            .filter(|job| job.status == JobStatus::Queued && job.user == user)
            .count();
        let submitted = self.store.submit(&new, QUEUE_MAX as i64).await;
        match (same, queued < QUEUE_MAX && own < QUEUE_MAX / 2) {
            (Some(same), _) => assert_eq!(submitted.unwrap(), Submitted::Joined(same.id)),
            (None, false) => assert!(submitted.is_err()),
            (None, true) => {
                let Submitted::Created(id) = submitted.unwrap() else {
                    panic!("nothing like it is there");
                };
                assert!(self.known.iter().all(|job| job.id < id));
                self.known.push(Known {
                    id,
                    user,
                    work,
                    is_export,
                    may_join,
                    status: JobStatus::Queued,
                    attempt: 0,
                    losses: 0,
                });
            }
        }
    }

    async fn claim(&mut self) {
        let held = |user: usize| {
            self.known
                .iter()
                .filter(move |job| job.is_held() && job.user == user)
                .count()
        };
        let all_held = self.known.iter().filter(|job| job.is_held()).count();
        let may_run = |job: &&Known| {
            job.status == JobStatus::Queued && held(job.user) < USER_JOBS_MAX && all_held < SOURCE_JOBS_MAX
        };
        let next = self
            .known
            .iter()
            .filter(may_run)
            .min_by_key(|job| (job.is_export, job.id));
        let wanted = next.map(|job| (job.id, job.attempt + 1));
        let terms = Terms {
            lease_us: 60_000_000,
            user_jobs_max: USER_JOBS_MAX as i64,
        };
        let claimed = self.store.claim(&terms).await.unwrap();
        assert_eq!(
            claimed
                .as_ref()
                .map(|claimed| (claimed.job.id, claimed.job.attempt)),
            wanted
        );
        if let (Some((id, attempt)), Some(claimed)) = (wanted, claimed) {
            let job = self.known.iter_mut().find(|job| job.id == id).unwrap();
            (job.status, job.attempt) = (JobStatus::Running, attempt);
            self.claims.push(claimed.job);
        }
    }

    fn check(&self, step: Step) {
        let mut rows = self
            .metadata
            .prepare_cached("select id, status, attempt, losses from jobs order by id")
            .unwrap();
        let rows = rows.query_map([], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
            ))
        });
        let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
        let known = self.known.iter();
        let wanted: Vec<_> = known
            .map(|job| (job.id, job.status.name().to_owned(), job.attempt, job.losses))
            .collect();
        assert_eq!(rows, wanted, "after {step:?}");
        let miscounted = "select count(*) from
            (select user_id, priority, count from queued_counts where count > 0
             except select * from (select 0, priority, count(*) from jobs where status = 'queued' group by priority
                                   union all select user_id, priority, count(*) from jobs
                                   where status = 'queued' group by user_id, priority))";
        let queued =
            "select coalesce(sum(count), 0) - 2 * (select count(*) from jobs where status = 'queued')
             from queued_counts";
        for sql in [miscounted, queued] {
            let found: i64 = self.metadata.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!(found, 0, "after {step:?}: {sql}");
        }
    }
}

/// As many orders of steps; more by `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(48, |count| count.parse().unwrap())
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn queue_is_as_its_model(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut tested = Tested::new().await;
            for step in steps {
                tested.take(step).await;
                tested.check(step);
            }
            let sound: String = tested.metadata.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok");
        });
    }
}
