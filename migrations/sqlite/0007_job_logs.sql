-- What every job tells of itself is written with what it tells of: neither is there without the other.
create trigger jobs_tell_queued after insert on jobs when new.status = 'queued'
begin
    insert into job_logs (job_id, at, level, message)
    select new.id, new.created_at, 'INFO', case before when 0 then 'queued' else 'queued, waiting behind ' || before end
    from (select count(*) as before from jobs
          where status = 'queued' and (priority, id) < (new.priority, new.id));
end;

create trigger jobs_tell_reused after insert on jobs when new.status = 'success'
begin
    insert into job_logs (job_id, at, level, message)
    values (new.id, new.created_at, 'INFO', 'done, by an earlier result that is fresh enough');
end;

create trigger jobs_tell after update of status on jobs
-- An import says itself how it ends, and which rows are wrong, a line each.
when not (new.kind = 'import' and new.status in ('success', 'failure'))
begin
    insert into job_logs (job_id, at, level, message)
    values (
        new.id,
        coalesce(new.ended_at, cast(unixepoch('subsec') * 1000000 as integer)),
        case new.status when 'failure' then 'ERROR' else 'INFO' end,
        case new.status
            when 'running' then case new.attempt when 1 then 'running' else 'running, attempt ' || new.attempt end
            when 'queued' then 'queued again'
            when 'success' then coalesce((select 'done, ' || rows || iif(rows = 1, ' row', ' rows') from results where id = new.result_id), 'done')
            when 'failure' then new.error_message
            else new.status
        end);
end;

-- Lists of a user's jobs.
create index jobs_user on jobs (user_id);
create index job_users_user on job_users (user_id);
