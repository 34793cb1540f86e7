-- Where the rows of a result are: in a file, here if they are few, or nowhere: a file that was made while the
-- query ran is then all that is left of it.
alter table results add column rows_kept text not null default 'file' check (rows_kept in ('file', 'inline', 'no'));
alter table results add column content blob check ((rows_kept = 'inline') = (content is not null));

-- A small file is here and not in a folder.
alter table exports add column content blob;

-- To hand out a finished job again, and to let a result go without reading all jobs.
create index jobs_result on jobs (result_id) where result_id is not null;
create index jobs_export on jobs (export_id) where export_id is not null;
