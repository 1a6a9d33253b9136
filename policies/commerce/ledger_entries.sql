select private.close_table('public.ledger_entries');

create policy ledger_entries_select_owner_or_admin on public.ledger_entries for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.ledger_entries to authenticated, service_role;
-- no insert, update or delete: post_journal writes it
