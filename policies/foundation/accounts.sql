select private.close_table('public.accounts');

create policy accounts_select_owner_or_moderator on public.accounts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('moderator')));

grant select on public.accounts to authenticated, service_role;
-- no insert, update or delete: functions and the triggers of auth.users write it
