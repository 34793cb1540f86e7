-- All times are microseconds since 1970-01-01 UTC.

create table users (
    id integer primary key autoincrement,
    email text not null unique,
    name text not null,
    is_admin integer not null check (is_admin in (0, 1)),
    api_access integer not null check (api_access in (0, 1)),
    created_at integer not null
);

-- The key itself is nowhere, only its SHA-256.
create table api_keys (
    id integer primary key autoincrement,
    user_id integer not null references users (id),
    name text not null,
    hash blob not null unique,
    created_at integer not null,
    last_used_at integer,
    revoked_at integer
);

-- The version that runs; the definition holds title, filters, SQL and the rest as JSON.
create table reports (
    id integer primary key check (id > 0),
    version integer not null check (version > 0),
    foreign key (id, version) references report_versions (report_id, version)
);

create table report_versions (
    report_id integer not null,
    version integer not null check (version > 0),
    definition text not null,
    created_at integer not null,
    primary key (report_id, version)
);

-- Immutable rows on disk, named by the job and attempt that wrote them.
create table results (
    id integer primary key autoincrement,
    job_id integer not null,
    attempt integer not null,
    result_key text not null,
    rows integer not null check (rows >= 0),
    bytes integer not null check (bytes >= 0),
    created_at integer not null,
    expires_at integer not null,
    unique (job_id, attempt)
);
create index results_key on results (result_key, created_at);
create index results_expiry on results (expires_at);

-- A file made of a result.
create table exports (
    id integer primary key autoincrement,
    result_id integer not null references results (id) on delete cascade,
    job_id integer not null,
    attempt integer not null,
    format text not null,
    file_name text not null,
    bytes integer not null check (bytes >= 0),
    created_at integer not null,
    unique (job_id, attempt)
);
create index exports_result on exports (result_id, format);

create table jobs (
    id integer primary key autoincrement,
    kind text not null check (kind in ('query', 'export')),
    -- Empty for a query job.
    format text not null check ((kind = 'export') = (format <> '')),
    status text not null check (status in ('queued', 'running', 'success', 'failure')),
    user_id integer not null references users (id),
    report_id integer not null,
    report_version integer not null,
    -- The same for every job that would run the same SQL with the same values on the same source.
    result_key text not null,
    statement text not null,
    -- How often a worker has taken it, and how often the server died meanwhile.
    attempt integer not null default 0 check (attempt >= 0),
    losses integer not null default 0 check (losses >= 0),
    created_at integer not null,
    started_at integer,
    ended_at integer,
    error_code text,
    error_message text,
    -- Gone when the result has expired.
    result_id integer references results (id) on delete set null,
    export_id integer references exports (id) on delete set null,
    foreign key (report_id, report_version) references report_versions (report_id, version),
    check ((status in ('success', 'failure')) = (ended_at is not null)),
    check ((status = 'failure') = (error_code is not null)),
    check ((error_code is null) = (error_message is null)),
    check (status <> 'running' or started_at is not null)
);
-- One live job for the same work; a finished job can never stand in the way of the next.
create unique index jobs_live on jobs (result_key, kind, format) where status in ('queued', 'running');
create index jobs_queue on jobs (id) where status = 'queued';
create index jobs_age on jobs (created_at);

-- Who may see a job: who submitted it and who joined it.
create table job_users (
    job_id integer not null references jobs (id) on delete cascade,
    user_id integer not null references users (id),
    primary key (job_id, user_id)
);
