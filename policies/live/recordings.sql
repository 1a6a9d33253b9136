select private.close_table('public.recordings');

create policy recordings_select_party on public.recordings for select to authenticated
using (
    room_id = any((select private.my_hosted_room_ids())::uuid[])
    or room_id = any((select private.my_session_room_ids())::uuid[])
    or (is_published and room_id = any((select private.my_room_ids())::uuid[]))
    or (select private.has_role('moderator'))
);

grant select on public.recordings to authenticated, service_role;
-- no insert, update or delete: functions reserve recordings
