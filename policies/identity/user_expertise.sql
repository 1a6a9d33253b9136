select private.close_table('public.user_expertise');

create policy user_expertise_select_anon on public.user_expertise for select to anon
using (is_public);

create policy user_expertise_select_authenticated on public.user_expertise for select to authenticated
using (is_public or user_id = (select auth.uid()) or (select private.has_role('moderator')));

create policy user_expertise_insert_owner on public.user_expertise for insert to authenticated
with check (user_id = (select auth.uid()) and (select private.is_active()));

create policy user_expertise_delete_owner on public.user_expertise for delete to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()));

grant select on public.user_expertise to anon, authenticated;
grant insert (user_id, topic), delete on public.user_expertise to authenticated;
grant select, insert, delete on public.user_expertise to service_role;
-- no update: a topic is removed, and another added
