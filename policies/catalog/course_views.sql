select private.close_table('public.course_views');

create policy course_views_select_creator_or_admin on public.course_views for select to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) or (select private.has_role('admin')));

grant select on public.course_views to authenticated, service_role;
-- no insert, update or delete: the edge counts
grant execute on function private.add_course_views(jsonb) to edge;
