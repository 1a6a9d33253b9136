-- Compiled from policies/ by ./guildhall policies. Edit the files there, never this one.

-- policies/foundation/schemas.sql
-- Compiled first: everything of ours is closed, and opened again file by file below.
revoke all on schema public, private from public, anon, authenticated, service_role, supabase_auth_admin, edge;
revoke all on all tables in schema public, private
from public, anon, authenticated, service_role, supabase_auth_admin, edge;
revoke all on all sequences in schema public, private
from public, anon, authenticated, service_role, supabase_auth_admin, edge;
revoke all on all routines in schema public, private
from public, anon, authenticated, service_role, supabase_auth_admin, edge;

grant usage on schema public to anon, authenticated, service_role;
-- USAGE on private lets policies and public functions reach the helpers granted to the same role, and nothing more:
-- PostgREST does not expose the schema.
grant usage on schema private to anon, authenticated, service_role, supabase_auth_admin, edge;

-- policies/foundation/audit_log.sql
select private.close_table('public.audit_log');

create policy audit_log_select_admin on public.audit_log for select to authenticated
using ((select private.has_role('admin')));

grant select on public.audit_log to authenticated, service_role;
-- no insert, update or delete: functions write it, and nobody changes it

-- policies/foundation/functions.sql
grant execute on function private.check_request() to anon, authenticated, service_role;
grant execute on function private.schema_version() to edge;

-- policies/foundation/mail_outbox.sql
select private.close_table('private.mail_outbox');

create policy mail_outbox_all_nobody on private.mail_outbox for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: enqueue_mail writes it

-- policies/foundation/status_transitions.sql
select private.close_table('private.status_transitions');

create policy status_transitions_all_nobody on private.status_transitions for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it and definer functions read it

-- policies/identity/accounts.sql
select private.close_table('private.accounts');

create policy accounts_all_nobody on private.accounts for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions and the triggers of auth.users write it

-- policies/identity/functions.sql
grant execute on function private.is_active() to authenticated, service_role;
grant execute on function private.has_role(public.app_role) to authenticated, service_role;
grant execute on function private.require_active() to authenticated;
grant execute on function private.require_role(public.app_role) to authenticated;

grant execute on function private.change_role(uuid, public.app_role, boolean) to authenticated;
grant execute on function public.grant_role(uuid, public.app_role) to authenticated;
grant execute on function public.revoke_role(uuid, public.app_role) to authenticated;
grant execute on function private.set_account_status(
    uuid, public.account_status, text, timestamptz
) to authenticated;
grant execute on function public.set_account_status(
    uuid, public.account_status, text, timestamptz
) to authenticated;

grant execute on function private.custom_access_token(jsonb) to supabase_auth_admin;

-- policies/identity/profiles.sql
select private.close_table('public.profiles');

create policy profiles_select_anon on public.profiles for select to anon
using (is_public);

create policy profiles_select_authenticated on public.profiles for select to authenticated
using (is_public or id = (select auth.uid()) or (select private.has_role('moderator')));

create policy profiles_update_owner on public.profiles for update to authenticated
using (id = (select auth.uid()) and (select private.is_active()))
with check (id = (select auth.uid()) and (select private.is_active()));

grant select on public.profiles to anon, authenticated;
grant update (handle, display_name, headline, bio, location, website_url, avatar_path, is_public)
on public.profiles to authenticated;
grant select, update on public.profiles to service_role;
-- no insert or delete: a profile comes and goes with its account

-- policies/identity/storage_objects.sql
-- storage.objects is Supabase's table: its grants are not ours, and only our own policies are remade here.
drop policy if exists objects_select_avatar_owner on storage.objects;
drop policy if exists objects_insert_avatar_owner on storage.objects;
drop policy if exists objects_update_avatar_owner on storage.objects;
drop policy if exists objects_delete_avatar_owner on storage.objects;

-- An avatar lies in the folder named by its owner's id. The bucket is public: fetching needs no policy, and this one
-- lets nobody list but the owner.
create policy objects_select_avatar_owner on storage.objects for select to authenticated
using (bucket_id = 'avatars' and starts_with(name, (select auth.uid())::text || '/'));

create policy objects_insert_avatar_owner on storage.objects for insert to authenticated
with check (
    bucket_id = 'avatars' and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
);

create policy objects_update_avatar_owner on storage.objects for update to authenticated
using (bucket_id = 'avatars' and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()))
with check (
    bucket_id = 'avatars' and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
);

create policy objects_delete_avatar_owner on storage.objects for delete to authenticated
using (bucket_id = 'avatars' and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()));

-- policies/identity/user_roles.sql
select private.close_table('public.user_roles');

create policy user_roles_select_owner_or_admin on public.user_roles for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.user_roles to authenticated, service_role;
-- no insert, update or delete: grant_role and revoke_role write it

-- policies/catalog/categories.sql
select private.close_table('public.categories');

create policy categories_select_all on public.categories for select to anon, authenticated
using (true);

create policy categories_insert_admin on public.categories for insert to authenticated
with check ((select private.has_role('admin')));

create policy categories_update_admin on public.categories for update to authenticated
using ((select private.has_role('admin')))
with check ((select private.has_role('admin')));

create policy categories_delete_admin on public.categories for delete to authenticated
using ((select private.has_role('admin')));

grant select on public.categories to anon, authenticated;
grant insert (slug, name, description, position), update (slug, name, description, position), delete
on public.categories to authenticated;
grant select, insert, update, delete on public.categories to service_role;

-- policies/catalog/courses.sql
select private.close_table('public.courses');

create policy courses_select_anon on public.courses for select to anon
using (status = 'published');

create policy courses_select_authenticated on public.courses for select to authenticated
using (
    status = 'published'
    or creator_id = (select auth.uid())
    or id = any((select private.my_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy courses_insert_teacher on public.courses for insert to authenticated
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy courses_update_creator on public.courses for update to authenticated
using (creator_id = (select auth.uid()) and (select private.has_role('teacher')))
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy courses_delete_creator on public.courses for delete to authenticated
using (creator_id = (select auth.uid()) and status = 'draft' and (select private.has_role('teacher')));

grant select on public.courses to anon, authenticated;
-- creator_id is the caller by default; status, is_featured and published_at are for functions
grant
insert (
    category_id, slug, title, subtitle, description, level, language, objectives, includes, prerequisites,
    target_audience, tags, thumbnail_path, price_amount, price_currency
),
update (
    category_id, slug, title, subtitle, description, level, language, objectives, includes, prerequisites,
    target_audience, tags, thumbnail_path, price_amount, price_currency
),
delete
on public.courses to authenticated;
grant select, insert, update, delete on public.courses to service_role;

-- policies/catalog/functions.sql
grant execute on function private.my_taught_course_ids() to authenticated, service_role;
grant execute on function private.require_course_owner(uuid) to authenticated;

grant execute on function private.publish_course(uuid) to authenticated;
grant execute on function public.publish_course(uuid) to authenticated;
grant execute on function private.unpublish_course(uuid) to authenticated;
grant execute on function public.unpublish_course(uuid) to authenticated;

-- policies/catalog/lesson_contents.sql
select private.close_table('public.lesson_contents');

create policy lesson_contents_select_anon on public.lesson_contents for select to anon
using (exists (select from public.lessons as l where l.id = lesson_contents.lesson_id and l.is_intro));

create policy lesson_contents_select_authenticated on public.lesson_contents for select to authenticated
using (
    course_id = any((select private.my_course_ids())::uuid[])
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
    or exists (select from public.lessons as l where l.id = lesson_contents.lesson_id and l.is_intro)
);

create policy lesson_contents_insert_creator on public.lesson_contents for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_contents_update_creator on public.lesson_contents for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_contents_delete_creator on public.lesson_contents for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lesson_contents to anon, authenticated;
-- lesson_id is updatable because an upsert sets it; course_id is the database's
grant insert (lesson_id, body), update (lesson_id, body), delete on public.lesson_contents to authenticated;
grant select, insert, update, delete on public.lesson_contents to service_role;

-- policies/catalog/lessons.sql
select private.close_table('public.lessons');

create policy lessons_select_all on public.lessons for select to anon, authenticated
using (exists (select from public.courses as c where c.id = lessons.course_id));

create policy lessons_insert_creator on public.lessons for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lessons_update_creator on public.lessons for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lessons_delete_creator on public.lessons for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lessons to anon, authenticated;
-- course_id and position are the database's
grant
insert (module_id, title, summary, duration_seconds, is_intro),
update (module_id, title, summary, duration_seconds, is_intro),
delete
on public.lessons to authenticated;
grant select, insert, update, delete on public.lessons to service_role;

-- policies/catalog/modules.sql
select private.close_table('public.modules');

create policy modules_select_all on public.modules for select to anon, authenticated
using (exists (select from public.courses as c where c.id = modules.course_id));

create policy modules_insert_creator on public.modules for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy modules_update_creator on public.modules for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy modules_delete_creator on public.modules for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.modules to anon, authenticated;
-- position is the database's; a module stays in its course
grant insert (course_id, title, description), update (title, description), delete on public.modules to authenticated;
grant select, insert, update, delete on public.modules to service_role;

-- policies/learning/certificates.sql
select private.close_table('public.certificates');

create policy certificates_select_party on public.certificates for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.certificates to authenticated, service_role;
-- no insert, update or delete: grading issues it; a certificate is revoked, not edited

-- policies/learning/enrolments.sql
select private.close_table('public.enrolments');

create policy enrolments_select_party on public.enrolments for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.enrolments to authenticated, service_role;
-- no insert, update or delete: enrol and the functions of later domains write it

-- policies/learning/functions.sql
grant execute on function private.my_course_ids() to authenticated, service_role;

grant execute on function private.enrol(uuid) to authenticated;
grant execute on function public.enrol(uuid) to authenticated;
grant execute on function private.record_progress(uuid, integer, boolean) to authenticated;
grant execute on function public.record_progress(uuid, integer, boolean) to authenticated;

grant execute on function private.save_quiz_question(
    uuid, uuid, public.question_kind, text, jsonb, jsonb, smallint, text
) to authenticated;
grant execute on function public.save_quiz_question(
    uuid, public.question_kind, text, jsonb, jsonb, smallint, text, uuid
) to authenticated;
grant execute on function private.quiz_answer_keys(uuid) to authenticated;
grant execute on function public.quiz_answer_keys(uuid) to authenticated;

grant execute on function private.grade_quiz_and_issue_certificate(uuid, jsonb, uuid) to authenticated;
grant execute on function public.submit_quiz(uuid, jsonb, uuid) to authenticated;
grant execute on function private.verify_certificate(text) to anon, authenticated, service_role;
grant execute on function public.verify_certificate(text) to anon, authenticated, service_role;

-- policies/learning/lesson_progress.sql
select private.close_table('public.lesson_progress');

create policy lesson_progress_select_party on public.lesson_progress for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.lesson_progress to authenticated, service_role;
-- no insert, update or delete: record_progress writes it

-- policies/learning/quiz_answer_keys.sql
select private.close_table('private.quiz_answer_keys');

create policy quiz_answer_keys_all_nobody on private.quiz_answer_keys for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: save_quiz_question writes it, grading and the creator's function read it

-- policies/learning/quiz_attempts.sql
select private.close_table('public.quiz_attempts');

create policy quiz_attempts_select_party on public.quiz_attempts for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.quiz_attempts to authenticated, service_role;
-- no insert, update or delete: submit_quiz writes it, and nobody changes it

-- policies/learning/quiz_questions.sql
select private.close_table('public.quiz_questions');

create policy quiz_questions_select_party on public.quiz_questions for select to authenticated
using (
    course_id = any((select private.my_course_ids())::uuid[])
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy quiz_questions_delete_creator on public.quiz_questions for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select, delete on public.quiz_questions to authenticated;
grant select on public.quiz_questions to service_role;
-- no insert or update: save_quiz_question writes a question together with its key

-- policies/learning/quizzes.sql
select private.close_table('public.quizzes');

create policy quizzes_select_all on public.quizzes for select to anon, authenticated
using (exists (select from public.courses as c where c.id = quizzes.course_id));

create policy quizzes_insert_creator on public.quizzes for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy quizzes_update_creator on public.quizzes for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy quizzes_delete_creator on public.quizzes for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.quizzes to anon, authenticated;
-- a quiz stays in its course
grant
insert (course_id, title, description, pass_percent, attempt_limit, is_certifying),
update (title, description, pass_percent, attempt_limit, is_certifying),
delete
on public.quizzes to authenticated;
grant select, insert, update, delete on public.quizzes to service_role;
