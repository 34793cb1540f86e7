-- What a change was made to: a user, a group, a source, an import, a feed. Reports and jobs have columns of their own.
alter table audit add column target text;
alter table audit add column target_id integer;
