-- The job queue is the worker's alone. It has no row level security: the schema is closed to everybody else, and
-- whoever may work on the queue may work on all of it.
grant usage on schema procrastinate to worker;
grant select, insert, update, delete on all tables in schema procrastinate to worker;
grant usage on all sequences in schema procrastinate to worker;
grant execute on all functions in schema procrastinate to worker;
