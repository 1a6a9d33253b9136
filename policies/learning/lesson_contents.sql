select private.close_table('public.lesson_contents');

create policy lesson_contents_select_anon on public.lesson_contents for select to anon
using (exists (select from public.lessons as l where l.id = lesson_contents.lesson_id and l.is_intro));

create policy lesson_contents_select_authenticated on public.lesson_contents for select to authenticated
using (
    (
        course_id = any((select private.my_course_ids())::uuid[])
        -- Checked for each lesson that is read, which are few: all locks of a student in fifty courses are a thousand.
        and not exists (select from public.lesson_locks as k where k.lesson_id = lesson_contents.lesson_id)
    )
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
    or exists (select from public.lessons as l where l.id = lesson_contents.lesson_id and l.is_intro)
);

create policy lesson_contents_insert_creator on public.lesson_contents for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_contents_update_creator on public.lesson_contents for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_contents_delete_creator on public.lesson_contents for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lesson_contents to anon, authenticated;
-- lesson_id is updatable because an upsert sets it; the database sets course_id
grant insert (lesson_id, body), update (lesson_id, body), delete on public.lesson_contents to authenticated;
grant select, insert, update, delete on public.lesson_contents to service_role;
