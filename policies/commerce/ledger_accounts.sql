select private.close_table('public.ledger_accounts');

create policy ledger_accounts_select_owner_or_admin on public.ledger_accounts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.ledger_accounts to authenticated, service_role;
-- no insert, update or delete: post_journal writes it
