select private.close_table('public.profile_media');

-- profiles hides those that are not public
create policy profile_media_select_anon on public.profile_media for select to anon
using (is_published and exists (select from public.profiles as p where p.id = profile_media.profile_id));

create policy profile_media_select_authenticated on public.profile_media for select to authenticated
using (
    profile_id = (select auth.uid())
    or (select private.has_role('moderator'))
    or (is_published and exists (select from public.profiles as p where p.id = profile_media.profile_id))
);

create policy profile_media_insert_teacher on public.profile_media for insert to authenticated
with check (profile_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy profile_media_update_teacher on public.profile_media for update to authenticated
using (profile_id = (select auth.uid()) and (select private.has_role('teacher')))
with check (profile_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy profile_media_delete_owner_or_moderator on public.profile_media for delete to authenticated
using (
    (profile_id = (select auth.uid()) and (select private.is_active()))
    or (select private.has_role('moderator'))
);

grant select on public.profile_media to anon, authenticated, service_role;
grant insert (media_id, title, description, is_published, position),
update (title, description, is_published, position),
delete
on public.profile_media to authenticated;
