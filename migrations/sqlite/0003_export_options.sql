-- How a file is written beside its format, as JSON without the defaults.
alter table jobs add column options text not null default '{}' check (options = '{}' or kind = 'export');
alter table exports add column options text not null default '{}';

drop index jobs_live;
create unique index jobs_live on jobs (result_key, kind, format, options) where status in ('queued', 'running');
drop index exports_result;
create index exports_result on exports (result_id, format, options);
