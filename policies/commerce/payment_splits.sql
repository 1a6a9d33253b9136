select private.close_table('public.payment_splits');

create policy payment_splits_select_owner_or_admin on public.payment_splits for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payment_splits to authenticated, service_role;
-- no insert, update or delete: receive_payment and reverse_splits write it
