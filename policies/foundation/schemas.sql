-- Compiled first: everything of ours is closed, and opened again file by file below.
revoke all on schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all tables in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all sequences in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all routines in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;

grant usage on schema public to anon, authenticated, service_role;
-- USAGE on private lets policies and public functions reach the helpers granted to the same role, and nothing more:
-- PostgREST does not expose the schema.
grant usage on schema private to anon, authenticated, service_role, supabase_auth_admin, edge, worker;
