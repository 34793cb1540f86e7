-- What a manifest says beside what is there already.
-- The columns and their types, as JSON; null for results of earlier versions.
alter table results add column columns text;
-- How long the query ran, with the rows on their way.
alter table results add column engine_us integer;
-- Of the stored rows, and of the file; once somebody has asked for it.
alter table results add column sha256 text;
alter table exports add column sha256 text;
-- The values of the filters by name, as JSON, but for those that are secret.
alter table jobs add column filter_values text not null default '{}';
