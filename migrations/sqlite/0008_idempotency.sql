-- What a client calls a submit, so that the same submit sent once more is the same job.
create table idempotency_keys (
    user_id integer not null references users (id),
    key text not null,
    -- Of all that was asked for.
    request_hash blob not null,
    job_id integer not null,
    created_at integer not null,
    primary key (user_id, key)
) without rowid;
create index idempotency_keys_age on idempotency_keys (created_at);
