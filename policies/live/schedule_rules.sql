select private.close_table('public.schedule_rules');

create policy schedule_rules_select_host on public.schedule_rules for select to authenticated
using (schedule_id = any((select private.my_schedule_ids())::uuid[]) or (select private.has_role('moderator')));

grant select on public.schedule_rules to authenticated, service_role;
-- no insert, update or delete: set_schedule_hours writes it
