select private.close_table('public.payment_exceptions');

create policy payment_exceptions_select_admin on public.payment_exceptions for select to authenticated
using ((select private.has_role('admin')));

grant select on public.payment_exceptions to authenticated, service_role;
-- no insert, update or delete: report_payment_exception and resolve_payment_exception write it
