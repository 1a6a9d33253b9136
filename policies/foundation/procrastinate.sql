-- Only the worker may use the job queue, and all of it: it has no row level security, and the schema is closed to every
-- other role.
grant usage on schema procrastinate to worker;
grant select, insert, update, delete on all tables in schema procrastinate to worker;
grant usage on all sequences in schema procrastinate to worker;
grant execute on all functions in schema procrastinate to worker;
