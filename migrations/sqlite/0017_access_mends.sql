-- When a key stops that another has taken the place of. Its terms stay as they were, for the next that does.
alter table api_keys add column retires_at integer;

-- How many feeds a user has is asked before there is another.
create index feeds_of_user on feeds (user_id);
