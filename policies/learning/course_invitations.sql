select private.close_table('public.course_invitations');

create policy course_invitations_select_party on public.course_invitations for select to authenticated
using (
    recipient = any((select private.my_invitation_names())::text[])
    or invited_by = (select auth.uid())
    or (select private.has_role('admin'))
);

create policy course_invitations_delete_party on public.course_invitations for delete to authenticated
using (
    (
        recipient = any((select private.my_invitation_names())::text[])
        or (invited_by = (select auth.uid()) and (select private.has_role('teacher')))
        or (select private.has_role('admin'))
    )
    and (select private.is_active())
);

grant select, delete on public.course_invitations to authenticated;
grant select on public.course_invitations to service_role;
-- no insert or update: enrol_list and accept_course_invitation write it
