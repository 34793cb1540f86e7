-- What a job runs is of no use once it is over, and can be long.
create trigger jobs_forget_statement after update of status on jobs
when new.status in ('success', 'failure', 'cancelled')
begin
    update jobs set statement = '' where id = new.id;
end;
update jobs set statement = '' where status in ('success', 'failure', 'cancelled');
-- How many jobs of one user wait.
create index jobs_queued_of_user on jobs (user_id) where status = 'queued';
