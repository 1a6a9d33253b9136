select private.close_table('public.rooms');

create policy rooms_select_party on public.rooms for select to authenticated
using (
    id = any((select private.my_room_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.rooms to authenticated, service_role;
-- no insert, update or delete: join_room makes rooms, and they end with their session
