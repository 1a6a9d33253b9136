select private.close_table('public.user_qualifications');

create policy user_qualifications_select_anon on public.user_qualifications for select to anon
using (is_public);

create policy user_qualifications_select_authenticated on public.user_qualifications for select to authenticated
using (is_public or user_id = (select auth.uid()) or (select private.has_role('moderator')));

create policy user_qualifications_insert_owner on public.user_qualifications for insert to authenticated
with check (user_id = (select auth.uid()) and (select private.is_active()));

create policy user_qualifications_update_owner on public.user_qualifications for update to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()))
with check (user_id = (select auth.uid()) and (select private.is_active()));

create policy user_qualifications_delete_owner on public.user_qualifications for delete to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()));

grant select on public.user_qualifications to anon, authenticated;
-- user_id is the caller by default, and named where a list is written over; is_public is the database's, and what is
-- verified is for verify_qualification
grant
insert (user_id, title, issuer, awarded_on, url, document_path, position),
update (title, issuer, awarded_on, url, document_path, position),
delete
on public.user_qualifications to authenticated;
grant select, insert, update, delete on public.user_qualifications to service_role;
