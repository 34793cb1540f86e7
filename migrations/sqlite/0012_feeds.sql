-- A file that is made anew when somebody asks for it, under an address that needs no key.
create table feeds (
    id integer primary key autoincrement,
    user_id integer not null references users (id),
    -- The key that made it, which it ends with.
    key_id integer not null references api_keys (id),
    report_id integer not null references reports (id) on delete cascade,
    format text not null,
    options text not null,
    -- The values of the filters by name, as JSON.
    filter_values text not null,
    -- The SHA-256 of the token in its address.
    token_hash blob not null,
    max_age integer not null check (max_age >= 0),
    -- Whether an old file may stand in for a new one that is late or fails.
    stale_ok integer not null check (stale_ok in (0, 1)),
    created_at integer not null,
    last_used_at integer,
    expires_at integer,
    is_paused integer not null default 0 check (is_paused in (0, 1)),
    -- The last job that made its file.
    job_id integer
);

-- By the day for which they sign links to downloads.
create table signing_keys (
    day integer primary key,
    key blob not null
);

-- Who did what with the data; written once.
create table audit (
    id integer primary key autoincrement,
    at integer not null,
    user_id integer,
    key_id integer,
    feed_id integer,
    address text,
    action text not null,
    -- The address that was asked for, without its query string.
    path text,
    report_id integer,
    report_version integer,
    job_id integer,
    -- The values of the filters but for secret ones, as JSON.
    filter_values text,
    status integer not null,
    rows integer,
    bytes integer
);
create trigger audit_stays before update on audit begin
    select raise(abort, 'a record of the audit does not change');
end;
