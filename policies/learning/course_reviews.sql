select private.close_table('public.course_reviews');

create policy course_reviews_select_anon on public.course_reviews for select to anon
using (is_public and is_listed);

create policy course_reviews_select_authenticated on public.course_reviews for select to authenticated
using (
    (is_public and is_listed)
    or student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.course_reviews to anon, authenticated, service_role;
-- no insert, update or delete: functions write it
