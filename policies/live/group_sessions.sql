select private.close_table('public.group_sessions');

create policy group_sessions_select_anon on public.group_sessions for select to anon
using (is_listed);

create policy group_sessions_select_authenticated on public.group_sessions for select to authenticated
using (
    is_listed
    or host_id = (select auth.uid())
    or id = any((select private.my_group_session_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy group_sessions_insert_teacher on public.group_sessions for insert to authenticated
with check (
    host_id = (select auth.uid())
    and (select private.has_role('teacher'))
    and (course_id is null or course_id = any((select private.my_taught_course_ids())::uuid[]))
);

create policy group_sessions_update_host on public.group_sessions for update to authenticated
using (host_id = (select auth.uid()) and (select private.has_role('teacher')))
with check (
    host_id = (select auth.uid())
    and (select private.has_role('teacher'))
    and (course_id is null or course_id = any((select private.my_taught_course_ids())::uuid[]))
);

grant
select,
insert (course_id, title, description, visibility, access, duration_minutes, capacity, has_waiting_list),
update (course_id, title, description, visibility, access, duration_minutes, capacity, has_waiting_list)
on public.group_sessions to authenticated;
grant select on public.group_sessions to anon, service_role;
-- no delete: delete_group_session cancels its slots
