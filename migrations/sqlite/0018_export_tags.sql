-- Told to who reads a file while it is written, and to who goes on with it later: another run's file has another.
alter table exports add column tag text;
