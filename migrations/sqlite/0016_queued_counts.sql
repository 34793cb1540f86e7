-- How many jobs are queued, by user and priority, and of all as user 0:
-- counting them would take each submit longer the more there are.
create table queued_counts (
    user_id integer not null,
    priority integer not null,
    count integer not null check (count >= 0),
    primary key (user_id, priority)
) without rowid;

insert into queued_counts select 0, priority, count(*) from jobs where status = 'queued' group by priority;
insert into queued_counts select user_id, priority, count(*) from jobs where status = 'queued' group by user_id, priority;

-- What a job tells first is how many are before it, which is how many there were.
drop trigger jobs_tell_queued;
create trigger jobs_queued after insert on jobs when new.status = 'queued'
begin
    insert into job_logs (job_id, at, level, message)
    select new.id, new.created_at, 'INFO', case before when 0 then 'queued' else 'queued, waiting behind ' || before end
    from (select coalesce(sum(count), 0) as before from queued_counts
          where user_id = 0 and priority <= new.priority);
    insert into queued_counts values (0, new.priority, 1), (new.user_id, new.priority, 1)
    on conflict (user_id, priority) do update set count = count + 1;
end;

create trigger jobs_queued_again after update of status on jobs when old.status <> 'queued' and new.status = 'queued'
begin
    insert into queued_counts values (0, new.priority, 1), (new.user_id, new.priority, 1)
    on conflict (user_id, priority) do update set count = count + 1;
end;

create trigger jobs_taken after update of status on jobs when old.status = 'queued' and new.status <> 'queued'
begin
    update queued_counts set count = count - 1 where user_id in (0, new.user_id) and priority = new.priority;
end;

create trigger jobs_removed after delete on jobs when old.status = 'queued'
begin
    update queued_counts set count = count - 1 where user_id in (0, old.user_id) and priority = old.priority;
end;

-- Which was for that.
drop index jobs_queued_of_user;
