-- Compiled first: closes everything in our schemas; the files below open it again.
revoke all on schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all tables in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all sequences in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all routines in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;

grant usage on schema public to anon, authenticated, service_role;
-- With USAGE on private, policies and public functions can call the helpers that are granted to the same role.
-- PostgREST does not expose the schema.
grant usage on schema private to anon, authenticated, service_role, supabase_auth_admin, edge, worker;

-- functions.sql of each domain inserts its functions again.
delete from private.api_functions;
