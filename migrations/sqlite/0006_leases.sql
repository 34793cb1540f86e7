-- A job belongs to a worker for a lease, and can be cancelled. SQLite changes a constraint by making the table anew;
-- what refers to it is put aside, because dropping a table deletes its rows.
create temporary table kept_job_users as select job_id, user_id from job_users;
create temporary table kept_job_logs as select id, job_id, at, level, message from job_logs;
drop table job_users;
drop table job_logs;
create table new_jobs (
    id integer primary key autoincrement,
    kind text not null check (kind in ('query', 'export', 'import')),
    -- Who waits for a page is served before who waits for a file.
    priority integer not null generated always as (case kind when 'query' then 0 when 'export' then 1 else 2 end) virtual,
    -- Empty unless the job makes a file.
    format text not null check ((kind = 'export') = (format <> '')),
    -- How a file is written beside its format, as JSON without the defaults.
    options text not null default '{}' check (options = '{}' or kind = 'export'),
    status text not null check (status in ('queued', 'running', 'cancelling', 'success', 'failure', 'cancelled')),
    user_id integer not null references users (id),
    report_id integer check ((report_id is null) = (kind = 'import')),
    report_version integer check ((report_version is null) = (kind = 'import')),
    import_id integer references data_imports (id) check ((import_id is null) = (kind <> 'import')),
    -- What it runs on. The source may be gone by now.
    source_id integer not null,
    -- The same for every job that would do the same.
    result_key text not null,
    -- What a submit must have in common with a live job to be joined to it: the result key, or nothing with anybody.
    live_key text not null,
    -- Empty for an import.
    statement text not null,
    -- How often a worker has taken it, and how often one was lost meanwhile.
    attempt integer not null default 0 check (attempt >= 0),
    losses integer not null default 0 check (losses >= 0),
    -- Until when its worker must have been heard of.
    lease_until integer,
    created_at integer not null,
    started_at integer,
    ended_at integer,
    error_code text,
    error_message text,
    -- Rows of an import that were left out; they are in a file.
    rejected integer not null default 0 check (rejected >= 0),
    -- Gone when the result has expired.
    result_id integer references results (id) on delete set null,
    export_id integer references exports (id) on delete set null,
    foreign key (report_id, report_version) references report_versions (report_id, version),
    check ((status in ('success', 'failure', 'cancelled')) = (ended_at is not null)),
    check ((status in ('running', 'cancelling')) = (lease_until is not null)),
    check ((status = 'failure') = (error_code is not null)),
    check ((error_code is null) = (error_message is null)),
    check (status not in ('running', 'cancelling') or started_at is not null)
);
insert into new_jobs (id, kind, format, options, status, user_id, report_id, report_version, import_id, source_id,
                      result_key, live_key, statement, attempt, losses, lease_until, created_at, started_at, ended_at,
                      error_code, error_message, rejected, result_id, export_id)
select id, kind, format, options, status, user_id, report_id, report_version, import_id, source_id,
       result_key, result_key, statement, attempt, losses, case status when 'running' then 0 end, created_at, started_at,
       ended_at, error_code, error_message, rejected, result_id, export_id
from jobs;
-- Ids of jobs that are gone are not given out again.
insert into sqlite_sequence (name, seq)
select 'new_jobs', 0 where not exists (select 1 from sqlite_sequence where name = 'new_jobs');
update sqlite_sequence set seq = coalesce((select seq from sqlite_sequence where name = 'jobs'), 0) where name = 'new_jobs';
drop table jobs;
alter table new_jobs rename to jobs;
-- One live job for the same work; one that ends, or is to end, never stands in the way of the next.
create unique index jobs_live on jobs (live_key, kind, format, options) where status in ('queued', 'running');
-- The queue in its order, and all that decides who is next, so that looking through it reads no row.
create index jobs_queue on jobs (priority, id, user_id, source_id, kind) where status = 'queued';
create index jobs_leased on jobs (lease_until, user_id, source_id) where status in ('running', 'cancelling');
create index jobs_live_imports on jobs (source_id, id)
    where kind = 'import' and status in ('queued', 'running', 'cancelling');
create index jobs_age on jobs (created_at);
create index jobs_result on jobs (result_id) where result_id is not null;
create index jobs_export on jobs (export_id) where export_id is not null;
create index jobs_import on jobs (import_id) where import_id is not null;
create index jobs_report on jobs (report_id) where report_id is not null;

-- The state machine.
create trigger jobs_transitions before update of status on jobs
when (old.status, new.status) not in (values
    ('queued', 'running'), ('queued', 'cancelled'),
    ('running', 'queued'), ('running', 'cancelling'), ('running', 'success'), ('running', 'failure'),
    ('cancelling', 'cancelled'))
begin
    select raise(abort, 'a job cannot go from this status to that');
end;

create table job_users (
    job_id integer not null references jobs (id) on delete cascade,
    user_id integer not null references users (id),
    primary key (job_id, user_id)
);
insert into job_users (job_id, user_id) select job_id, user_id from kept_job_users;
drop table kept_job_users;

-- Ids grow within a job, which is all that they are for.
create table job_logs (
    id integer primary key,
    job_id integer not null references jobs (id) on delete cascade,
    at integer not null,
    level text not null check (level in ('INFO', 'WARN', 'ERROR')),
    message text not null
);
insert into job_logs (id, job_id, at, level, message) select id, job_id, at, level, message from kept_job_logs;
drop table kept_job_logs;
create index job_logs_job on job_logs (job_id, id);
