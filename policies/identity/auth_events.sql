select private.close_table('public.auth_events');

create policy auth_events_select_owner_or_admin on public.auth_events for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.auth_events to authenticated, service_role;
-- no insert, update or delete: triggers on auth.sessions and the hook of auth write it
