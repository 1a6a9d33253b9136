select private.close_table('public.schedules');

create policy schedules_select_host on public.schedules for select to authenticated
using (host_id = (select auth.uid()) or (select private.has_role('moderator')));

create policy schedules_insert_host on public.schedules for insert to authenticated
with check (host_id = (select auth.uid()) and (select private.is_host()));

create policy schedules_update_host on public.schedules for update to authenticated
using (host_id = (select auth.uid()) and (select private.is_host()))
with check (host_id = (select auth.uid()) and (select private.is_host()));

create policy schedules_delete_host on public.schedules for delete to authenticated
using (host_id = (select auth.uid()) and (select private.is_active()));

-- set_default_schedule writes is_default
grant
select,
insert (
    host_id, name, time_zone, slot_minutes, step_minutes, buffer_before_minutes, buffer_after_minutes,
    minimum_notice_minutes, horizon_days, maximum_per_day, maximum_per_week,
    requires_acceptance, cancellation_notice_hours, late_cancellation_percent
),
update (
    name, time_zone, slot_minutes, step_minutes, buffer_before_minutes, buffer_after_minutes,
    minimum_notice_minutes, horizon_days, maximum_per_day, maximum_per_week,
    requires_acceptance, cancellation_notice_hours, late_cancellation_percent
),
delete
on public.schedules to authenticated;
grant select on public.schedules to service_role;
