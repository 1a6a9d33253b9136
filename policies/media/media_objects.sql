select private.close_table('public.media_objects');

create policy media_objects_select_anon on public.media_objects for select to anon
using (
    status = 'ready'
    and (
        purpose in ('sample', 'public')
        or exists (select from public.lesson_media as m where m.media_id = media_objects.id)
        or exists (select from public.media_captions as c where c.media_id = media_objects.id)
        or exists (select from public.profile_media as p where p.media_id = media_objects.id)
    )
);

create policy media_objects_select_authenticated on public.media_objects for select to authenticated
using (
    owner_id = (select auth.uid())
    or (select private.has_role('moderator'))
    or (
        status = 'ready'
        and (
            purpose in ('sample', 'public')
            or exists (select from public.lesson_media as m where m.media_id = media_objects.id)
            or exists (select from public.media_captions as c where c.media_id = media_objects.id)
            or exists (select from public.profile_media as p where p.media_id = media_objects.id)
        )
    )
);

grant select on public.media_objects to anon, authenticated, service_role;
-- no insert, update or delete: functions reserve, check and delete files
