-- What a user is: administrators may everything, analysts make reports, viewers run what is shared with them.
alter table users add column role text not null default 'viewer'
    check (role in ('viewer', 'analyst', 'administrator'));
update users set role = case is_admin when 1 then 'administrator' else 'viewer' end;
alter table users drop column is_admin;
-- Whether they may take whole files, beside pages.
alter table users add column can_export integer not null default 1 check (can_export in (0, 1));

-- What a key may do of what its user may, as JSON; nothing is everything.
alter table api_keys add column terms text not null default '{}';
-- Keys of earlier open what they did.
update api_keys set terms = '{"scopes":["run","read","import"]}'
where user_id in (select id from users where role = 'viewer');

create table groups (
    id integer primary key autoincrement,
    name text not null unique
);
create table group_users (
    group_id integer not null references groups (id) on delete cascade,
    user_id integer not null references users (id),
    primary key (group_id, user_id)
) without rowid;
create index group_users_user on group_users (user_id);

-- Who made a report, unless it was applied on the server itself.
alter table reports add column owner_id integer references users (id);
-- Who may run a report beside its owner and administrators: a user, a group, or, with neither, everyone.
create table report_shares (
    report_id integer not null references reports (id) on delete cascade,
    user_id integer references users (id),
    group_id integer references groups (id) on delete cascade,
    check (user_id is null or group_id is null)
);
create unique index report_shares_once on report_shares (report_id, coalesce(user_id, 0), coalesce(group_id, 0));
-- What was there could be run by all.
insert into report_shares (report_id) select id from reports;

-- Which key submitted a job, and the filter values that the key pins, as JSON: a pinned key sees no other jobs.
alter table jobs add column key_id integer;
alter table jobs add column pins text not null default '{}';
create index jobs_of_key on jobs (key_id) where status in ('queued', 'running', 'cancelling');
