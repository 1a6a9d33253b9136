select private.close_table('public.lesson_media');

-- lessons hides those of courses that the caller may not read
create policy lesson_media_select_anon on public.lesson_media for select to anon
using (exists (
    select from public.lessons as l where l.id = lesson_media.lesson_id and (l.is_intro or lesson_media.is_preview)
));

create policy lesson_media_select_authenticated on public.lesson_media for select to authenticated
using (
    (
        course_id = any((select private.my_course_ids())::uuid[])
        and not exists (select from public.lesson_locks as k where k.lesson_id = lesson_media.lesson_id)
    )
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
    or exists (
        select from public.lessons as l where l.id = lesson_media.lesson_id and (l.is_intro or lesson_media.is_preview)
    )
);

create policy lesson_media_update_creator on public.lesson_media for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lesson_media to anon, authenticated, service_role;
grant update (title, is_preview) on public.lesson_media to authenticated;
-- no insert or delete: functions keep the positions
