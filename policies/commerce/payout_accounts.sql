select private.close_table('public.payout_accounts');

create policy payout_accounts_select_owner_or_admin on public.payout_accounts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payout_accounts to authenticated, service_role;
-- no insert, update or delete: bind_payout_account and apply_account write it
