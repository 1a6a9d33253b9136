select private.close_table('public.offer_kinds');

create policy offer_kinds_select_all on public.offer_kinds for select to anon, authenticated using (true);

grant select on public.offer_kinds to anon, authenticated, service_role;
-- no insert, update or delete: a kind comes with the code that fulfils it, in a migration
