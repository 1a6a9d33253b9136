select private.close_table('public.course_stats');

create policy course_stats_select_all on public.course_stats for select to anon, authenticated
using (exists (select from public.courses as c where c.id = course_stats.course_id));

grant select on public.course_stats to anon, authenticated, service_role;
-- no insert, update or delete: triggers count
