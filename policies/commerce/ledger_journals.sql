select private.close_table('public.ledger_journals');

create policy ledger_journals_select_admin on public.ledger_journals for select to authenticated
using ((select private.has_role('admin')));

grant select on public.ledger_journals to authenticated, service_role;
-- no insert, update or delete: post_journal writes it
