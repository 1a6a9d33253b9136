select private.close_table('public.schedule_exceptions');

create policy schedule_exceptions_select_host on public.schedule_exceptions for select to authenticated
using (schedule_id = any((select private.my_schedule_ids())::uuid[]) or (select private.has_role('moderator')));

grant select on public.schedule_exceptions to authenticated, service_role;
-- no insert, update or delete: set_schedule_hours writes it
