select private.close_table('public.media_captions');

-- lesson_media hides what the caller may not play
create policy media_captions_select_anon on public.media_captions for select to anon
using (exists (select from public.lesson_media as m where m.id = media_captions.lesson_media_id));

create policy media_captions_select_authenticated on public.media_captions for select to authenticated
using (exists (select from public.lesson_media as m where m.id = media_captions.lesson_media_id));

create policy media_captions_delete_creator on public.media_captions for delete to authenticated
using (
    exists (
        select from public.lesson_media as m
        where
            m.id = media_captions.lesson_media_id
            and m.course_id = any((select private.my_taught_course_ids())::uuid[])
    )
    and (select private.has_role('teacher'))
);

grant select on public.media_captions to anon, authenticated, service_role;
grant delete on public.media_captions to authenticated;
-- no insert or update: add_media_captions replaces captions
