select private.close_table('public.follows');

create policy follows_select_anon on public.follows for select to anon
using (follower_is_public and followee_is_public);

create policy follows_select_authenticated on public.follows for select to authenticated
using (
    (follower_is_public and followee_is_public)
    or follower_id = (select auth.uid())
    or followee_id = (select auth.uid())
    or (select private.has_role('moderator'))
);

create policy follows_insert_follower on public.follows for insert to authenticated
with check (follower_id = (select auth.uid()) and followee_is_public and (select private.is_member()));

create policy follows_delete_party on public.follows for delete to authenticated
using (
    (follower_id = (select auth.uid()) or followee_id = (select auth.uid())) and (select private.is_active())
);

grant select on public.follows to anon, authenticated;
grant insert (follower_id, followee_id), delete on public.follows to authenticated;
grant select, insert, delete on public.follows to service_role;
-- no update: one follows or does not
