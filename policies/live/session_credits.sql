select private.close_table('public.session_credits');

create policy session_credits_select_party on public.session_credits for select to authenticated
using (
    student_id = (select auth.uid())
    or host_id = (select auth.uid())
    or (select private.has_role('moderator'))
);

grant select on public.session_credits to authenticated, service_role;
-- no insert, update or delete: credit_session writes it
