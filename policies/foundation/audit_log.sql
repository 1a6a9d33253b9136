select private.close_table('public.audit_log');

create policy audit_log_select_admin on public.audit_log for select to authenticated
using ((select private.has_role('admin')));

grant select on public.audit_log to authenticated, service_role;
-- no insert, update or delete: functions write it, and nobody changes it
