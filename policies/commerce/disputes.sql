select private.close_table('public.disputes');

create policy disputes_select_admin on public.disputes for select to authenticated
using ((select private.has_role('admin')));

grant select on public.disputes to authenticated, service_role;
-- no insert, update or delete: record_dispute_result writes it
