alter table users add column can_import integer not null default 0 check (can_import in (0, 1));

-- A file that somebody uploaded, and the table that its rows go to.
create table data_imports (
    id integer primary key autoincrement,
    title text not null,
    user_id integer not null references users (id),
    -- The source may be gone by now.
    source_id integer not null,
    schema_name text,
    table_name text not null,
    mode text not null check (mode in ('replace', 'append', 'fail')),
    -- How the file is read, as JSON.
    options text not null,
    file_name text not null,
    -- Names the file in the folder of uploads.
    upload text not null unique,
    bytes integer not null check (bytes >= 0),
    sha256 text not null,
    -- What was found in the file, as JSON, once it was imported.
    survey text,
    created_at integer not null,
    updated_at integer not null,
    -- When the uploaded file goes; null once it has gone.
    expires_at integer
);
create index data_imports_expiry on data_imports (expires_at) where expires_at is not null;

-- A job is of a report or of an import, so that the report can be none. SQLite changes a column by making its table anew;
-- what refers to it is put aside, because dropping a table deletes its rows.
create temporary table kept_job_users as select job_id, user_id from job_users;
drop table job_users;
create table new_jobs (
    id integer primary key autoincrement,
    kind text not null check (kind in ('query', 'export', 'import')),
    -- Empty unless the job makes a file.
    format text not null check ((kind = 'export') = (format <> '')),
    -- How a file is written beside its format, as JSON without the defaults.
    options text not null default '{}' check (options = '{}' or kind = 'export'),
    status text not null check (status in ('queued', 'running', 'success', 'failure')),
    user_id integer not null references users (id),
    report_id integer check ((report_id is null) = (kind = 'import')),
    report_version integer check ((report_version is null) = (kind = 'import')),
    import_id integer references data_imports (id) check ((import_id is null) = (kind <> 'import')),
    -- What it runs on. The source may be gone by now.
    source_id integer not null,
    -- The same for every job that would do the same.
    result_key text not null,
    -- Empty for an import.
    statement text not null,
    -- How often a worker has taken it, and how often the server died meanwhile.
    attempt integer not null default 0 check (attempt >= 0),
    losses integer not null default 0 check (losses >= 0),
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
    check ((status in ('success', 'failure')) = (ended_at is not null)),
    check ((status = 'failure') = (error_code is not null)),
    check ((error_code is null) = (error_message is null)),
    check (status <> 'running' or started_at is not null)
);
insert into new_jobs (id, kind, format, options, status, user_id, report_id, report_version, source_id, result_key,
                      statement, attempt, losses, created_at, started_at, ended_at, error_code, error_message,
                      result_id, export_id)
select id, kind, format, options, status, user_id, report_id, report_version, 1, result_key,
       statement, attempt, losses, created_at, started_at, ended_at, error_code, error_message, result_id, export_id
from jobs;
-- Ids of jobs that are gone are not given out again.
insert into sqlite_sequence (name, seq)
select 'new_jobs', 0 where not exists (select 1 from sqlite_sequence where name = 'new_jobs');
update sqlite_sequence set seq = coalesce((select seq from sqlite_sequence where name = 'jobs'), 0) where name = 'new_jobs';
drop table jobs;
alter table new_jobs rename to jobs;
create unique index jobs_live on jobs (result_key, kind, format, options) where status in ('queued', 'running');
create index jobs_queue on jobs (id) where status = 'queued';
create index jobs_age on jobs (created_at);
create index jobs_result on jobs (result_id) where result_id is not null;
create index jobs_export on jobs (export_id) where export_id is not null;
create index jobs_import on jobs (import_id) where import_id is not null;

create table job_users (
    job_id integer not null references jobs (id) on delete cascade,
    user_id integer not null references users (id),
    primary key (job_id, user_id)
);
insert into job_users (job_id, user_id) select job_id, user_id from kept_job_users;
drop table kept_job_users;

-- What a job tells of itself.
create table job_logs (
    id integer primary key autoincrement,
    job_id integer not null references jobs (id) on delete cascade,
    at integer not null,
    level text not null check (level in ('INFO', 'WARN', 'ERROR')),
    message text not null
);
create index job_logs_job on job_logs (job_id, id);
