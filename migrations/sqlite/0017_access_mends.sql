-- When a key stops that another has taken the place of. Its terms stay as they were, for the next that does.
alter table api_keys add column retires_at integer;

-- How many feeds a user has is asked before there is another.
create index feeds_of_user on feeds (user_id);

-- The values of a job can be long, and are told of what it has made: without that they are of no use.
-- The audit copies none that are longer than this.
create trigger jobs_forget_values after update of status on jobs
when new.status in ('failure', 'cancelled') and length(new.filter_values) > 4096
begin
    update jobs set filter_values = 'null' where id = new.id;
end;
create trigger results_forget_values before delete on results
begin
    update jobs set filter_values = 'null' where result_id = old.id and length(filter_values) > 4096;
end;
update jobs set filter_values = 'null'
where status in ('success', 'failure', 'cancelled') and result_id is null and length(filter_values) > 4096;
