select private.close_table('public.room_attendances');

create policy room_attendances_select_party on public.room_attendances for select to authenticated
using (
    user_id = (select auth.uid())
    or room_id = any((select private.my_hosted_room_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.room_attendances to authenticated, service_role;
-- no insert, update or delete: attendance is derived, not claimed
