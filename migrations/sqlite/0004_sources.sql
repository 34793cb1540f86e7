-- The databases that reports run on and imports write to; the warehouse is always the first.
create table sources (
    id integer primary key autoincrement,
    name text not null unique,
    kind text not null check (kind in ('postgres', 'mysql', 'sqlite', 'duckdb')),
    -- Without the password. Empty for the warehouse.
    url text not null,
    -- Encrypted; the key is not in the database.
    password blob,
    -- JSON.
    settings text not null,
    created_at integer not null,
    updated_at integer not null
);
insert into sources (id, name, kind, url, settings, created_at, updated_at)
values (1, 'warehouse', 'duckdb', '', '{"writable":true}', 0, 0);
