select private.close_table('public.course_stats');

create policy course_stats_select_anon on public.course_stats for select to anon
using (is_public);

create policy course_stats_select_authenticated on public.course_stats for select to authenticated
using (
    is_public
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.course_stats to anon, authenticated, service_role;
-- no insert, update or delete: triggers count
