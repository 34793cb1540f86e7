-- Whether a result over its limit of rows is to be cut instead of refused, and whether it was.
alter table jobs add column truncate integer not null default 0;
alter table results add column truncated integer not null default 0;
