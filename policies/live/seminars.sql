select private.close_table('public.seminars');

create policy seminars_select_anon on public.seminars for select to anon
using (status in ('published', 'live', 'ended'));

create policy seminars_select_authenticated on public.seminars for select to authenticated
using (
    status in ('published', 'live', 'ended')
    or host_id = (select auth.uid())
    or id = any((select private.my_hosted_seminar_ids())::uuid[])
    or pool_id = any((select private.my_pool_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy seminars_insert_teacher on public.seminars for insert to authenticated
with check (
    host_id = (select auth.uid())
    and (select private.has_role('teacher'))
    and (course_id is null or course_id = any((select private.my_taught_course_ids())::uuid[]))
);

create policy seminars_update_host on public.seminars for update to authenticated
using (
    host_id = (select auth.uid())
    and status in ('draft', 'published', 'live')
    and (select private.has_role('teacher'))
)
with check (
    host_id = (select auth.uid())
    and (select private.has_role('teacher'))
    and (course_id is null or course_id = any((select private.my_taught_course_ids())::uuid[]))
);

grant
select,
insert (
    course_id, title, description, access, starts_at, duration_minutes, time_zone, capacity, has_waiting_list, closes_at
),
update (
    course_id, title, description, access, starts_at, duration_minutes, time_zone, capacity, has_waiting_list, closes_at
)
on public.seminars to authenticated;
grant select on public.seminars to anon, service_role;
-- no delete: cancel_seminar cancels it, a draft too
