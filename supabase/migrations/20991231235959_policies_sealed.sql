-- Compiled from policies/ by ./guildhall policies. Edit the files there, never this one.

-- policies/foundation/schemas.sql
-- Compiled first: everything of ours is closed, and opened again file by file below.
revoke all on schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all tables in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all sequences in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all routines in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;

grant usage on schema public to anon, authenticated, service_role;
-- USAGE on private lets policies and public functions reach the helpers granted to the same role, and nothing more:
-- PostgREST does not expose the schema.
grant usage on schema private to anon, authenticated, service_role, supabase_auth_admin, edge, worker;

-- policies/foundation/app_config.sql
select private.close_table('private.app_config');

create policy app_config_all_nobody on private.app_config for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the operator writes it, and functions of ours read it

-- policies/foundation/audit_log.sql
select private.close_table('public.audit_log');

create policy audit_log_select_admin on public.audit_log for select to authenticated
using ((select private.has_role('admin')));

grant select on public.audit_log to authenticated, service_role;
-- no insert, update or delete: functions write it, and nobody changes it

-- policies/foundation/functions.sql
grant execute on function private.check_request() to anon, authenticated, service_role;
grant execute on function private.request_id() to anon, authenticated, service_role;
grant execute on function private.schema_version() to edge, worker;
grant execute on function private.settle_mail(bigint, private.mail_status, text) to worker;
grant execute on function private.purge_mail() to worker;

-- policies/foundation/limits_functions.sql
grant execute on function private.take_request_token() to anon, authenticated;
grant execute on function private.take_token(text, text) to edge;
grant execute on function private.purge_rate_buckets() to worker;

-- policies/foundation/mail_outbox.sql
select private.close_table('private.mail_outbox');

create policy mail_outbox_all_nobody on private.mail_outbox for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: enqueue_mail, claim_mail and settle_mail write it

-- policies/foundation/mail_templates.sql
select private.close_table('private.mail_templates');

create policy mail_templates_all_nobody on private.mail_templates for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it and definer functions read it

-- policies/foundation/procrastinate.sql
-- The job queue is the worker's alone. It has no row level security: the schema is closed to everybody else, and
-- whoever may work on the queue may work on all of it.
grant usage on schema procrastinate to worker;
grant select, insert, update, delete on all tables in schema procrastinate to worker;
grant usage on all sequences in schema procrastinate to worker;
grant execute on all functions in schema procrastinate to worker;

-- policies/foundation/rate_buckets.sql
select private.close_table('private.rate_buckets');

create policy rate_buckets_all_nobody on private.rate_buckets for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: take_token writes it

-- policies/foundation/rate_limited_functions.sql
select private.close_table('private.rate_limited_functions');

create policy rate_limited_functions_all_nobody on private.rate_limited_functions
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it, and take_request_token reads it

-- policies/foundation/rate_limits.sql
select private.close_table('private.rate_limits');

create policy rate_limits_all_nobody on private.rate_limits for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the operator writes it, and take_token reads it

-- policies/foundation/status_transitions.sql
select private.close_table('private.status_transitions');

create policy status_transitions_all_nobody on private.status_transitions for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it and definer functions read it

-- policies/foundation/webhook_functions.sql
grant execute on function private.receive_webhook(text, text, text, jsonb) to edge;
grant execute on function private.purge_webhook_inbox() to worker;

-- policies/foundation/webhook_inbox.sql
select private.close_table('private.webhook_inbox');

create policy webhook_inbox_all_nobody on private.webhook_inbox for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: receive_webhook writes it

-- policies/identity/account_care_functions.sql
grant execute on function private.create_user(text, text, public.app_role, boolean) to authenticated;
grant execute on function public.create_user(text, text, public.app_role, boolean) to authenticated;
grant execute on function private.verify_email(uuid) to authenticated;
grant execute on function public.verify_email(uuid) to authenticated;
grant execute on function private.send_password_reset(uuid) to authenticated;
grant execute on function public.send_password_reset(uuid) to authenticated;

grant execute on function private.personal_files(uuid) to authenticated;
grant execute on function public.personal_files(uuid) to authenticated;
grant execute on function private.delete_user(uuid) to authenticated;
grant execute on function public.delete_user(uuid) to authenticated;
grant execute on function private.delete_account() to authenticated;
grant execute on function public.delete_account() to authenticated;

grant execute on function private.my_auth_facts() to authenticated;
grant execute on function public.export_my_data() to authenticated;

-- policies/identity/accounts.sql
select private.close_table('public.accounts');

create policy accounts_select_owner_or_moderator on public.accounts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('moderator')));

grant select on public.accounts to authenticated, service_role;
-- no insert, update or delete: functions and the triggers of auth.users write it

-- policies/identity/accounts_functions.sql
grant execute on function private.find_accounts(text) to authenticated;
grant execute on function public.search_accounts(text) to authenticated;
grant execute on function private.export_user_accounts(
    text, public.app_role, public.account_status, timestamptz, timestamptz
) to authenticated;
grant execute on function public.export_user_accounts(
    text, public.app_role, public.account_status, timestamptz, timestamptz
) to authenticated;

grant execute on function private.password_verification_attempt(jsonb) to supabase_auth_admin;
grant execute on function private.purge_auth_events() to worker;

-- policies/identity/auth_events.sql
select private.close_table('public.auth_events');

create policy auth_events_select_owner_or_admin on public.auth_events for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.auth_events to authenticated, service_role;
-- no insert, update or delete: triggers on auth.sessions and the hook of auth write it

-- policies/identity/external_identities.sql
select private.close_table('private.external_identities');

create policy external_identities_all_nobody on private.external_identities
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions and the triggers of auth.users write it

-- policies/identity/external_identities_functions.sql
grant execute on function private.sync_user() to authenticated;
grant execute on function public.sync_user() to authenticated;

-- policies/identity/follow_functions.sql
grant execute on function private.is_member() to authenticated, service_role;

-- policies/identity/follows.sql
select private.close_table('public.follows');

create policy follows_select_anon on public.follows for select to anon
using (follower_is_public and followee_is_public);

create policy follows_select_authenticated on public.follows for select to authenticated
using (
    (follower_is_public and followee_is_public)
    or follower_id = (select auth.uid())
    or followee_id = (select auth.uid())
    or (select private.has_role('moderator'))
);

create policy follows_insert_follower on public.follows for insert to authenticated
with check (follower_id = (select auth.uid()) and followee_is_public and (select private.is_member()));

create policy follows_delete_party on public.follows for delete to authenticated
using (
    (follower_id = (select auth.uid()) or followee_id = (select auth.uid())) and (select private.is_active())
);

grant select on public.follows to anon, authenticated;
grant insert (follower_id, followee_id), delete on public.follows to authenticated;
grant select, insert, delete on public.follows to service_role;
-- no update: one follows or does not

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

-- policies/identity/notification_preferences.sql
select private.close_table('public.notification_preferences');

create policy notification_preferences_select_owner on public.notification_preferences for select to authenticated
using (user_id = (select auth.uid()));

create policy notification_preferences_insert_owner on public.notification_preferences for insert to authenticated
with check (user_id = (select auth.uid()) and (select private.is_active()));

create policy notification_preferences_update_owner on public.notification_preferences for update to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()))
with check (user_id = (select auth.uid()) and (select private.is_active()));

create policy notification_preferences_delete_owner on public.notification_preferences for delete to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()));

grant select, delete on public.notification_preferences to authenticated;
-- no user_id: it is the caller's by default. The topic is updated because an upsert writes every column that it names.
grant insert (topic, by_email, in_app), update (topic, by_email, in_app)
on public.notification_preferences to authenticated;

-- policies/identity/notification_topics.sql
select private.close_table('public.notification_topics');

create policy notification_topics_select_member on public.notification_topics for select to authenticated
using (true);

grant select on public.notification_topics to authenticated, service_role;
-- no insert, update or delete: migrations write it

-- policies/identity/notifications_functions.sql
grant execute on function private.claim_mail(bigint) to worker;
grant execute on function private.address_for_password_link(uuid) to worker;

-- policies/identity/profile_functions.sql
-- the check of profiles.display_name calls it as whoever writes
grant execute on function private.is_name(text) to authenticated, service_role;

grant execute on function private.is_handle_available(text) to authenticated;
grant execute on function public.is_handle_available(text) to authenticated;

-- policies/identity/profiles.sql
select private.close_table('public.profiles');

create policy profiles_select_anon on public.profiles for select to anon
using (is_public);

create policy profiles_select_authenticated on public.profiles for select to authenticated
using (is_public or id = (select auth.uid()) or (select private.has_role('moderator')));

create policy profiles_update_owner_or_admin on public.profiles for update to authenticated
using ((id = (select auth.uid()) and (select private.is_active())) or (select private.has_role('admin')))
with check ((id = (select auth.uid()) and (select private.is_active())) or (select private.has_role('admin')));

grant select on public.profiles to anon, authenticated;
grant update (handle, display_name, headline, bio, location, website_url, avatar_path, is_public)
on public.profiles to authenticated;
grant select, update on public.profiles to service_role;
-- no insert or delete: a profile comes and goes with its account

-- policies/identity/reserved_handles.sql
select private.close_table('private.reserved_handles');

create policy reserved_handles_all_nobody on private.reserved_handles for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it and definer functions read it

-- policies/identity/search_functions.sql
-- private.matching_user_ids is nobody's: who sees everybody is decided before it is called
grant execute on function private.search_users(text) to authenticated;
grant execute on function public.search_users(text) to authenticated;

-- policies/identity/search_terms.sql
select private.close_table('private.search_terms');

create policy search_terms_all_nobody on private.search_terms for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and definer functions read it

-- policies/identity/search_words.sql
select private.close_table('private.search_words');

create policy search_words_all_nobody on private.search_words for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and definer functions read it

-- policies/identity/storage_objects.sql
-- storage.objects is Supabase's table: its grants are not ours, and only our own policies are remade here.
drop policy if exists objects_select_owner_or_moderator on storage.objects;
drop policy if exists objects_insert_owner on storage.objects;
drop policy if exists objects_update_owner on storage.objects;
drop policy if exists objects_delete_owner_or_moderator on storage.objects;

-- An avatar, and the document that shows a qualification, lie in the folder named by their owner's id; the picture of a
-- course in the one named by the course's, the files of a product in the one named by the product's. The buckets of
-- avatars and thumbnails are public: fetching needs no policy, and this one lets nobody list but the owner, and
-- moderators, who take down what nobody should see. That of documents is private; one that moderators looked at is not
-- written over. That of products is private, too: who bought one fetches what his order gives.
create policy objects_select_owner_or_moderator on storage.objects for select to authenticated
using (
    (
        bucket_id in ('avatars', 'qualifications')
        and (starts_with(name, (select auth.uid())::text || '/') or (select private.has_role('moderator')))
    )
    or (
        bucket_id = 'course-thumbnails'
        and (
            split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
            or (select private.has_role('moderator'))
        )
    )
    or (
        bucket_id = 'products'
        and (
            split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
            or name = any((select private.my_bought_paths())::text[])
        )
    )
);

create policy objects_insert_owner on storage.objects for insert to authenticated
with check (
    (
        bucket_id in ('avatars', 'qualifications')
        and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
    )
    or (
        bucket_id = 'course-thumbnails'
        and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
        and (select private.has_role('teacher'))
    )
    or (
        bucket_id = 'products'
        and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        and (select private.has_role('teacher'))
    )
);

create policy objects_update_owner on storage.objects for update to authenticated
using (
    (bucket_id = 'avatars' and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()))
    or (
        bucket_id = 'course-thumbnails'
        and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
        and (select private.has_role('teacher'))
    )
    or (
        bucket_id = 'products'
        and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        and (select private.has_role('teacher'))
    )
)
with check (
    (bucket_id = 'avatars' and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()))
    or (
        bucket_id = 'course-thumbnails'
        and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
        and (select private.has_role('teacher'))
    )
    or (
        bucket_id = 'products'
        and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        and (select private.has_role('teacher'))
    )
);

create policy objects_delete_owner_or_moderator on storage.objects for delete to authenticated
using (
    (
        bucket_id in ('avatars', 'qualifications')
        and (
            (starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()))
            or (select private.has_role('moderator'))
        )
    )
    or (
        bucket_id = 'course-thumbnails'
        and (
            (
                split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
                and (select private.has_role('teacher'))
            )
            or (select private.has_role('moderator'))
        )
    )
    or (
        bucket_id = 'products'
        and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        and (select private.has_role('teacher'))
    )
);

-- policies/identity/teacher_applications.sql
select private.close_table('public.teacher_applications');

create policy teacher_applications_select_applicant_or_moderator on public.teacher_applications for select
to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('moderator')));

grant select on public.teacher_applications to authenticated, service_role;
-- no insert, update or delete: apply_to_teach and decide_teacher_application write it

grant execute on function private.apply_to_teach(text, text[]) to authenticated;
grant execute on function public.apply_to_teach(text, text[]) to authenticated;
grant execute on function private.withdraw_teacher_application() to authenticated;
grant execute on function public.withdraw_teacher_application() to authenticated;
grant execute on function private.decide_teacher_application(uuid, boolean, text) to authenticated;
grant execute on function public.decide_teacher_application(uuid, boolean, text) to authenticated;

grant execute on function public.teaching_status() to authenticated;

-- policies/identity/user_accounts.sql
select private.close_table('public.user_accounts');

grant select on public.user_accounts to authenticated, service_role;
-- no policy: the view runs as its caller, under those of accounts and profiles

-- policies/identity/user_expertise.sql
select private.close_table('public.user_expertise');

create policy user_expertise_select_anon on public.user_expertise for select to anon
using (is_public);

create policy user_expertise_select_authenticated on public.user_expertise for select to authenticated
using (is_public or user_id = (select auth.uid()) or (select private.has_role('moderator')));

create policy user_expertise_insert_owner on public.user_expertise for insert to authenticated
with check (user_id = (select auth.uid()) and (select private.is_active()));

create policy user_expertise_delete_owner on public.user_expertise for delete to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()));

grant select on public.user_expertise to anon, authenticated;
grant insert (user_id, topic), delete on public.user_expertise to authenticated;
grant select, insert, delete on public.user_expertise to service_role;
-- no update: a topic is removed, and another added

-- policies/identity/user_qualifications.sql
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

grant execute on function private.verify_qualification(uuid, boolean) to authenticated;
grant execute on function public.verify_qualification(uuid, boolean) to authenticated;

-- policies/identity/user_roles.sql
select private.close_table('public.user_roles');

create policy user_roles_select_owner_or_admin on public.user_roles for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.user_roles to authenticated, service_role;
-- no insert, update or delete: grant_role and revoke_role write it

-- policies/identity/user_settings.sql
select private.close_table('public.user_settings');

create policy user_settings_select_owner on public.user_settings for select to authenticated
using (user_id = (select auth.uid()));

create policy user_settings_update_owner on public.user_settings for update to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()))
with check (user_id = (select auth.uid()) and (select private.is_active()));

grant select, update (locale, time_zone, theme) on public.user_settings to authenticated;
grant select, update on public.user_settings to service_role;
-- no insert or delete: settings come and go with the profile

-- policies/identity/user_stats.sql
select private.close_table('public.user_stats');

create policy user_stats_select_anon on public.user_stats for select to anon
using (is_public);

create policy user_stats_select_authenticated on public.user_stats for select to authenticated
using (is_public or user_id = (select auth.uid()) or (select private.has_role('moderator')));

grant select on public.user_stats to anon, authenticated, service_role;
-- no insert, update or delete: triggers count

-- policies/identity/workspace_members.sql
select private.close_table('public.workspace_members');

create policy workspace_members_select_member on public.workspace_members for select to authenticated
using (workspace_id = any((select private.my_workspace_ids())::uuid[]));

grant select on public.workspace_members to authenticated, service_role;
-- no insert, update or delete: functions write it

-- policies/identity/workspaces.sql
select private.close_table('public.workspaces');

create policy workspaces_select_member on public.workspaces for select to authenticated
using (id = any((select private.my_workspace_ids())::uuid[]));

create policy workspaces_update_admin on public.workspaces for update to authenticated
using (id = any((select private.my_workspace_ids('admin'))::uuid[]) and (select private.is_active()))
with check (id = any((select private.my_workspace_ids('admin'))::uuid[]) and (select private.is_active()));

create policy workspaces_delete_owner on public.workspaces for delete to authenticated
using (id = any((select private.my_workspace_ids('owner'))::uuid[]) and (select private.is_active()));

grant select, update (name), delete on public.workspaces to authenticated;
grant select on public.workspaces to service_role;
-- no insert: create_workspace also makes the first owner

-- policies/identity/workspaces_functions.sql
grant execute on function private.my_workspace_ids(public.workspace_role) to authenticated;

grant execute on function private.create_workspace(text) to authenticated;
grant execute on function public.create_workspace(text) to authenticated;
grant execute on function private.add_workspace_member(uuid, uuid, public.workspace_role) to authenticated;
grant execute on function public.add_workspace_member(uuid, uuid, public.workspace_role) to authenticated;
grant execute on function private.update_workspace_member(uuid, uuid, public.workspace_role) to authenticated;
grant execute on function public.update_workspace_member(uuid, uuid, public.workspace_role) to authenticated;
grant execute on function private.remove_workspace_member(uuid, uuid) to authenticated;
grant execute on function public.remove_workspace_member(uuid, uuid) to authenticated;

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
-- position is the database's
grant insert (slug, name, description), update (slug, name, description), delete
on public.categories to authenticated;
grant select, insert, update, delete on public.categories to service_role;

-- policies/catalog/categories_functions.sql
grant execute on function private.reorder_categories(uuid[]) to authenticated;
grant execute on function public.reorder_categories(uuid[]) to authenticated;
grant execute on function private.merge_categories(uuid, uuid) to authenticated;
grant execute on function public.merge_categories(uuid, uuid) to authenticated;

-- policies/catalog/course_care_functions.sql
grant execute on function private.publication_checklist(uuid) to authenticated;
grant execute on function public.publication_checklist(uuid) to authenticated;
grant execute on function private.archive_course(uuid) to authenticated;
grant execute on function public.archive_course(uuid) to authenticated;
grant execute on function private.delete_course(uuid) to authenticated;
grant execute on function public.delete_course(uuid) to authenticated;

-- for admins and moderators, as each checks
grant execute on function private.set_course_featured(uuid, boolean) to authenticated;
grant execute on function private.feature_course(uuid) to authenticated;
grant execute on function public.feature_course(uuid) to authenticated;
grant execute on function public.unfeature_course(uuid) to authenticated;
grant execute on function private.set_course_suspended(uuid, boolean, text) to authenticated;
grant execute on function private.suspend_course(uuid, text) to authenticated;
grant execute on function public.suspend_course(uuid, text) to authenticated;
grant execute on function public.unsuspend_course(uuid) to authenticated;
grant execute on function private.transfer_course(uuid, uuid) to authenticated;
grant execute on function public.transfer_course(uuid, uuid) to authenticated;

-- policies/catalog/course_search.sql
select private.close_table('private.course_search');

create policy course_search_all_nobody on private.course_search for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and definer functions read it

-- policies/catalog/course_stats.sql
select private.close_table('public.course_stats');

create policy course_stats_select_anon on public.course_stats for select to anon
using (is_public);

create policy course_stats_select_authenticated on public.course_stats for select to authenticated
using (
    is_public
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.course_stats to anon, authenticated, service_role;
-- no insert, update or delete: triggers count

-- policies/catalog/course_views.sql
select private.close_table('public.course_views');

create policy course_views_select_creator_or_admin on public.course_views for select to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) or (select private.has_role('admin')));

grant select on public.course_views to authenticated, service_role;
-- no insert, update or delete: the edge counts
grant execute on function private.add_course_views(jsonb) to edge;

-- policies/catalog/course_words.sql
select private.close_table('private.course_words');

create policy course_words_all_nobody on private.course_words for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and definer functions read it

-- policies/catalog/courses.sql
select private.close_table('public.courses');

create policy courses_select_anon on public.courses for select to anon
using (status = 'published');

create policy courses_select_authenticated on public.courses for select to authenticated
using (
    status = 'published'
    or (creator_id = (select auth.uid()) and status <> 'deleted')
    or id = any((select private.my_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy courses_insert_teacher on public.courses for insert to authenticated
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy courses_update_creator_or_admin on public.courses for update to authenticated
using (
    (creator_id = (select auth.uid()) and status <> 'deleted' and (select private.has_role('teacher')))
    or (select private.has_role('admin'))
)
with check (
    (creator_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (select private.has_role('admin'))
);

create policy courses_delete_creator on public.courses for delete to authenticated
using (creator_id = (select auth.uid()) and status = 'draft' and (select private.has_role('teacher')));

grant select on public.courses to anon, authenticated;
-- creator_id is the caller by default; thumbnail_path begins with an id that is the database's to give; the
-- rest is for functions and triggers
grant
insert (
    category_id, slug, title, subtitle, description, level, language, objectives, includes, prerequisites,
    target_audience, tags, price_amount, price_currency, is_intro
),
update (
    category_id, slug, title, subtitle, description, level, language, objectives, includes, prerequisites,
    target_audience, tags, thumbnail_path, price_amount, price_currency, is_intro
),
delete
on public.courses to authenticated;
grant select, insert, update, delete on public.courses to service_role;

-- policies/catalog/creator_placements.sql
select private.close_table('public.creator_placements');

create policy creator_placements_select_anon on public.creator_placements for select to anon
using (is_public);

create policy creator_placements_select_authenticated on public.creator_placements for select to authenticated
using (is_public or (select private.has_role('admin')));

create policy creator_placements_insert_admin on public.creator_placements for insert to authenticated
with check ((select private.has_role('admin')));

create policy creator_placements_update_admin on public.creator_placements for update to authenticated
using ((select private.has_role('admin')))
with check ((select private.has_role('admin')));

create policy creator_placements_delete_admin on public.creator_placements for delete to authenticated
using ((select private.has_role('admin')));

grant select on public.creator_placements to anon, authenticated;
-- is_public is the database's; creator_id is updatable because an upsert sets it
grant
insert (creator_id, is_featured, display_priority),
update (creator_id, is_featured, display_priority),
delete
on public.creator_placements to authenticated;
grant select, insert, update, delete on public.creator_placements to service_role;

-- policies/catalog/creators.sql
select private.close_table('public.creators');

grant select on public.creators to anon, authenticated, service_role;
-- no policy: the view runs as its caller, under those of profiles, user_stats and creator_placements

-- policies/catalog/curriculum_functions.sql
grant execute on function private.reorder_modules(uuid, uuid[]) to authenticated;
grant execute on function public.reorder_modules(uuid, uuid[]) to authenticated;
grant execute on function private.reorder_lessons(uuid, uuid[]) to authenticated;
grant execute on function public.reorder_lessons(uuid, uuid[]) to authenticated;

-- policies/catalog/free_limit_functions.sql
grant execute on function private.free_course_limit() to anon, authenticated, service_role;
grant execute on function public.free_course_limit() to anon, authenticated, service_role;

-- policies/catalog/functions.sql
grant execute on function private.my_taught_course_ids() to authenticated, service_role;
grant execute on function private.require_course_owner(uuid) to authenticated;

grant execute on function private.publish_course(uuid) to authenticated;
grant execute on function public.publish_course(uuid) to authenticated;
grant execute on function private.unpublish_course(uuid) to authenticated;
grant execute on function public.unpublish_course(uuid) to authenticated;

-- policies/catalog/landing_functions.sql
grant execute on function private.search_creators(text) to anon, authenticated, service_role;
grant execute on function public.search_creators(text) to anon, authenticated, service_role;

-- policies/catalog/lesson_contents.sql
select private.close_table('public.lesson_contents');

create policy lesson_contents_select_anon on public.lesson_contents for select to anon
using (exists (select from public.lessons as l where l.id = lesson_contents.lesson_id and l.is_intro));

create policy lesson_contents_select_authenticated on public.lesson_contents for select to authenticated
using (
    (
        course_id = any((select private.my_course_ids())::uuid[])
        -- Asked of each lesson that is read, for few are: all locks of somebody in fifty courses are a thousand.
        and not exists (select from public.lesson_locks as k where k.lesson_id = lesson_contents.lesson_id)
    )
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

-- policies/catalog/search_functions.sql
-- private.courses_worded and private.words_near are nobody's: private.search_courses asks them
grant execute on function private.search_courses(
    text, public.course_level, text, text, uuid, bigint, text
) to anon, authenticated, service_role;
grant execute on function public.search_courses(
    text, public.course_level, text, text, uuid, bigint, text
) to anon, authenticated, service_role;

-- policies/learning/certificate_decisions.sql
select private.close_table('public.certificate_decisions');

create policy certificate_decisions_select_party on public.certificate_decisions for select to authenticated
using (
    (student_id = (select auth.uid()) and outcome <> 'pending')
    or decided_by = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.certificate_decisions to authenticated, service_role;
-- no insert, update or delete: the functions that decide write it, and nobody changes it

-- policies/learning/certificates.sql
select private.close_table('public.certificates');

create policy certificates_select_anon on public.certificates for select to anon
using (is_holder_public and status = 'issued');

create policy certificates_select_authenticated on public.certificates for select to authenticated
using (
    (is_holder_public and status = 'issued')
    or student_id = (select auth.uid())
    or enrolment_id = any((select private.my_assigned_enrolment_ids())::uuid[])
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.certificates to anon, authenticated, service_role;
-- no insert, update or delete: grading issues it; a certificate is revoked, not edited

-- policies/learning/certificates_functions.sql
grant execute on function private.recommend_certificate(uuid, text) to authenticated;
grant execute on function public.recommend_certificate(uuid, text) to authenticated;
grant execute on function private.issue_recommended_certificate(uuid, text) to authenticated;
grant execute on function public.issue_certificate(uuid, text) to authenticated;
grant execute on function private.reject_certificate(uuid, text) to authenticated;
grant execute on function public.reject_certificate(uuid, text) to authenticated;
grant execute on function private.award_certificate(uuid, text) to authenticated;
grant execute on function public.award_certificate(uuid, text) to authenticated;
grant execute on function private.revoke_certificate(uuid, text) to authenticated;
grant execute on function public.revoke_certificate(uuid, text) to authenticated;
grant execute on function private.reinstate_certificate(uuid, text) to authenticated;
grant execute on function public.reinstate_certificate(uuid, text) to authenticated;
grant execute on function private.find_certificates(text) to authenticated;
grant execute on function public.search_certificates(text) to authenticated;

-- policies/learning/course_students.sql
select private.close_table('public.course_students');

grant select on public.course_students to authenticated, service_role;
-- no policy: the view runs as its caller, under those of the tables it shows

-- policies/learning/enrolment_functions.sql
-- private.enrol_student is nobody's: who is to be enrolled is decided before it is called
grant execute on function private.leave_course(uuid) to authenticated;
grant execute on function public.leave_course(uuid) to authenticated;
grant execute on function private.free_courses_consumed() to authenticated;
grant execute on function public.free_courses_consumed() to authenticated;
grant execute on function private.course_access(uuid) to authenticated;
grant execute on function public.course_access(uuid) to authenticated;
grant execute on function public.resume_point(uuid) to authenticated;

grant execute on function private.find_students(text) to authenticated;
grant execute on function public.search_students(text) to authenticated;
grant execute on function public.creator_dashboard() to authenticated;
-- export_students runs as its caller, and with it what makes the file
grant execute on function private.csv_cell(text) to authenticated;
grant execute on function private.csv_file(text, text, text[]) to authenticated;
grant execute on function private.csv_line(public.course_students) to authenticated;
grant execute on function private.csv_students(text, text[]) to authenticated;
grant execute on function public.export_students(uuid, public.enrolment_status) to authenticated;
grant execute on function private.send_enrolment_mail(uuid, uuid) to authenticated;
grant execute on function public.send_enrolment_mail(uuid, uuid) to authenticated;

grant execute on function private.enrol_student_manually(uuid, uuid, timestamptz) to authenticated;
grant execute on function public.enrol_student_manually(uuid, uuid, timestamptz) to authenticated;
grant execute on function private.update_enrolment(uuid, timestamptz) to authenticated;
grant execute on function public.update_enrolment(uuid, timestamptz) to authenticated;
grant execute on function private.cancel_enrolment(uuid, text) to authenticated;
grant execute on function public.cancel_enrolment(uuid, text) to authenticated;
grant execute on function private.force_complete_enrolment(uuid) to authenticated;
grant execute on function public.force_complete_enrolment(uuid) to authenticated;
grant execute on function private.delete_enrolment(uuid) to authenticated;
grant execute on function public.delete_enrolment(uuid) to authenticated;
grant execute on function private.export_enrolments(
    text, uuid, public.enrolment_status, boolean, timestamptz, timestamptz
) to authenticated;
grant execute on function public.export_enrolments(
    text, uuid, public.enrolment_status, boolean, timestamptz, timestamptz
) to authenticated;

-- policies/learning/enrolment_notes.sql
select private.close_table('public.enrolment_notes');

create policy enrolment_notes_select_teaching on public.enrolment_notes for select to authenticated
using (
    course_id = any((select private.my_taught_course_ids())::uuid[])
    or enrolment_id = any((select private.my_assigned_enrolment_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy enrolment_notes_insert_creator_or_admin on public.enrolment_notes for insert to authenticated
with check (
    (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
    or (course_id is not null and (select private.has_role('admin')))
);

create policy enrolment_notes_update_creator_or_admin on public.enrolment_notes for update to authenticated
using (
    (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
    or (select private.has_role('admin'))
)
with check (
    (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
    or (course_id is not null and (select private.has_role('admin')))
);

create policy enrolment_notes_delete_creator_or_admin on public.enrolment_notes for delete to authenticated
using (
    (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
    or (select private.has_role('admin'))
);

-- enrolment_id is updatable because an upsert sets it; course, student, and when and by whom it was flagged are the
-- database's
grant
select,
insert (enrolment_id, body, is_at_risk, at_risk_reason),
update (enrolment_id, body, is_at_risk, at_risk_reason),
delete
on public.enrolment_notes to authenticated;
grant select on public.enrolment_notes to service_role;

-- policies/learning/enrolments.sql
select private.close_table('public.enrolments');

create policy enrolments_select_party on public.enrolments for select to authenticated
using (
    student_id = (select auth.uid())
    or creator_id = (select auth.uid())
    or student_teacher_id = any((select private.my_student_teacher_ids())::uuid[])
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

grant execute on function private.verify_certificate(text) to anon, authenticated, service_role;
grant execute on function public.verify_certificate(text) to anon, authenticated, service_role;

-- policies/learning/lesson_gates.sql
select private.close_table('public.lesson_gates');

create policy lesson_gates_select_all on public.lesson_gates for select to anon, authenticated
using (exists (select from public.courses as c where c.id = lesson_gates.course_id));

create policy lesson_gates_insert_creator on public.lesson_gates for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_gates_update_creator on public.lesson_gates for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_gates_delete_creator on public.lesson_gates for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lesson_gates to anon, authenticated;
-- lesson_id is updatable because an upsert sets it; course_id is the database's
grant
insert (lesson_id, after_days, after_lesson_id, after_quiz_id),
update (lesson_id, after_days, after_lesson_id, after_quiz_id),
delete
on public.lesson_gates to authenticated;
grant select, insert, update, delete on public.lesson_gates to service_role;

-- policies/learning/lesson_locks.sql
select private.close_table('public.lesson_locks');

grant select on public.lesson_locks to authenticated;
-- no policy: the view runs as its caller, and shows no locks but the caller's own

-- policies/learning/lesson_progress.sql
select private.close_table('public.lesson_progress');

create policy lesson_progress_select_party on public.lesson_progress for select to authenticated
using (
    student_id = (select auth.uid())
    or enrolment_id = any((select private.my_assigned_enrolment_ids())::uuid[])
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.lesson_progress to authenticated, service_role;
-- no insert, update or delete: record_progress writes it

-- policies/learning/module_progress.sql
select private.close_table('public.module_progress');

grant select on public.module_progress to authenticated, service_role;
-- no policy: the view runs as its caller, under those of the tables it shows

-- policies/learning/pending_approvals.sql
select private.close_table('public.pending_approvals');

grant select on public.pending_approvals to authenticated, service_role;
-- no policy: the view runs as its caller, under those of the tables it shows

-- policies/learning/quiz_answer_keys.sql
select private.close_table('private.quiz_answer_keys');

create policy quiz_answer_keys_all_nobody on private.quiz_answer_keys for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: save_quiz_question writes it, grading and the creator's function read it

-- policies/learning/quiz_attempt_points.sql
select private.close_table('private.quiz_attempt_points');

create policy quiz_attempt_points_all_nobody on private.quiz_attempt_points
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: grading writes it, attempt_feedback reads it

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
    (
        course_id = any((select private.my_course_ids())::uuid[])
        and quiz_id <> all((select private.my_sealed_quiz_ids())::uuid[])
    )
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
insert (
    course_id, title, description, pass_percent, attempt_limit, time_limit_seconds, question_count, is_shuffled,
    has_partial_credit, penalty_percent, feedback, is_certifying
),
update (
    title, description, pass_percent, attempt_limit, time_limit_seconds, question_count, is_shuffled,
    has_partial_credit, penalty_percent, feedback, is_certifying
),
delete
on public.quizzes to authenticated;
grant select, insert, update, delete on public.quizzes to service_role;

-- policies/learning/quizzes_functions.sql
grant execute on function private.my_sealed_quiz_ids() to authenticated, service_role;

grant execute on function private.save_quiz_question(
    uuid, uuid, public.question_kind, text, jsonb, jsonb, smallint, text
) to authenticated;
grant execute on function public.save_quiz_question(
    uuid, public.question_kind, text, jsonb, jsonb, smallint, text, uuid
) to authenticated;
grant execute on function private.save_quiz_questions(uuid, jsonb) to authenticated;
grant execute on function public.save_quiz_questions(uuid, jsonb) to authenticated;
grant execute on function private.reorder_quiz_questions(uuid, uuid[]) to authenticated;
grant execute on function public.reorder_quiz_questions(uuid, uuid[]) to authenticated;
grant execute on function private.quiz_answer_keys(uuid) to authenticated;
grant execute on function public.quiz_answer_keys(uuid) to authenticated;

grant execute on function private.start_quiz(uuid) to authenticated;
grant execute on function public.start_quiz(uuid) to authenticated;
grant execute on function private.attempt_questions(uuid) to authenticated;
grant execute on function public.attempt_questions(uuid) to authenticated;
grant execute on function private.grade_quiz_and_issue_certificate(uuid, jsonb, uuid) to authenticated;
grant execute on function public.submit_quiz(uuid, jsonb, uuid) to authenticated;
grant execute on function private.attempt_feedback(uuid) to authenticated;
grant execute on function public.attempt_feedback(uuid) to authenticated;

-- policies/learning/student_teacher_decisions.sql
select private.close_table('public.student_teacher_decisions');

create policy student_teacher_decisions_select_party on public.student_teacher_decisions for select to authenticated
using (
    user_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.student_teacher_decisions to authenticated, service_role;
-- no insert, update or delete: the functions that decide write it, and nobody changes it

-- policies/learning/student_teachers.sql
select private.close_table('public.student_teachers');

create policy student_teachers_select_anon on public.student_teachers for select to anon
using (is_public and status = 'approved');

create policy student_teachers_select_authenticated on public.student_teachers for select to authenticated
using (
    (is_public and status = 'approved')
    or user_id = (select auth.uid())
    or id = any((select private.my_chosen_student_teacher_ids())::uuid[])
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy student_teachers_update_self on public.student_teachers for update to authenticated
using (user_id = (select auth.uid()) and (select private.is_active()))
with check (user_id = (select auth.uid()) and (select private.is_active()));

grant select on public.student_teachers to anon, authenticated, service_role;
-- no insert or delete: apply_as_student_teacher writes it, and what was decided is not forgotten
grant update (is_available, max_students) on public.student_teachers to authenticated;

-- policies/learning/student_teachers_functions.sql
grant execute on function private.my_student_teacher_ids() to authenticated, service_role;
grant execute on function private.my_assigned_enrolment_ids() to authenticated, service_role;
grant execute on function private.my_chosen_student_teacher_ids() to authenticated, service_role;

grant execute on function private.apply_as_student_teacher(uuid, text) to authenticated;
grant execute on function public.apply_as_student_teacher(uuid, text) to authenticated;
grant execute on function private.withdraw_as_student_teacher(uuid) to authenticated;
grant execute on function public.withdraw_as_student_teacher(uuid) to authenticated;
grant execute on function private.decide_student_teacher(uuid, boolean, text) to authenticated;
grant execute on function public.decide_student_teacher(uuid, boolean, text) to authenticated;
grant execute on function private.revoke_student_teacher(uuid, text) to authenticated;
grant execute on function public.revoke_student_teacher(uuid, text) to authenticated;

grant execute on function private.assign_student_teacher(uuid, uuid) to authenticated;
grant execute on function public.assign_student_teacher(uuid, uuid) to authenticated;
grant execute on function private.choose_student_teacher(uuid) to authenticated;
grant execute on function public.choose_student_teacher(uuid) to authenticated;
grant execute on function private.student_teacher_dashboard() to authenticated;
grant execute on function public.student_teacher_dashboard() to authenticated;

-- policies/live/commitments.sql
select private.close_table('private.commitments');

create policy commitments_all_nobody on private.commitments for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the functions that make sessions write it

-- policies/live/functions.sql
grant execute on function private.schedule_session(uuid, timestamptz, integer, text, text) to authenticated;
grant execute on function public.schedule_session(uuid, timestamptz, integer, text, text) to authenticated;
grant execute on function private.cancel_session(uuid, text) to authenticated;
grant execute on function public.cancel_session(uuid, text) to authenticated;
grant execute on function private.complete_session(uuid, boolean) to authenticated;
grant execute on function public.complete_session(uuid, boolean) to authenticated;

-- policies/live/sessions.sql
select private.close_table('public.sessions');

create policy sessions_select_party on public.sessions for select to authenticated
using (
    student_id = (select auth.uid())
    or host_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.sessions to authenticated, service_role;
-- no insert, update or delete: schedule_session, cancel_session and complete_session write it

-- policies/commerce/balance_transactions.sql
select private.close_table('private.balance_transactions');

create policy balance_transactions_all_nobody on private.balance_transactions
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions of ours write and read it

-- policies/commerce/balances.sql
select private.close_table('public.balances');

grant select on public.balances to authenticated, service_role;

-- policies/commerce/billing_log.sql
select private.close_table('public.billing_log');

grant select on public.billing_log to authenticated, service_role;

-- policies/commerce/coupons.sql
select private.close_table('public.coupons');

create policy coupons_select_seller_or_admin on public.coupons for select to authenticated
using (seller_id = (select auth.uid()) or (select private.has_role('admin')));

create policy coupons_insert_seller_or_admin on public.coupons for insert to authenticated
with check (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (seller_id is null and (select private.has_role('admin')))
);

create policy coupons_update_seller_or_admin on public.coupons for update to authenticated
using (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher'))) or (select private.has_role('admin'))
)
with check (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher'))) or (select private.has_role('admin'))
);

grant select on public.coupons to authenticated;
-- what it takes off stays; how often it is used is the database's
grant
insert (
    seller_id, code, percent_off, amount_off, currency, offer_id, maximum_uses, maximum_uses_per_buyer, starts_at,
    ends_at, is_active
),
update (maximum_uses, maximum_uses_per_buyer, starts_at, ends_at, is_active)
on public.coupons to authenticated;
grant select on public.coupons to service_role;
-- no delete: orders refer to it

-- policies/commerce/currencies.sql
select private.close_table('private.currencies');

create policy currencies_all_nobody on private.currencies for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions of ours write and read it

-- policies/commerce/disputes.sql
select private.close_table('public.disputes');

create policy disputes_select_admin on public.disputes for select to authenticated
using ((select private.has_role('admin')));

grant select on public.disputes to authenticated, service_role;
-- no insert, update or delete: settle_dispute writes it

-- policies/commerce/entitlements.sql
select private.close_table('public.entitlements');

create policy entitlements_select_party on public.entitlements for select to authenticated
using (user_id = (select auth.uid()) or seller_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.entitlements to authenticated, service_role;
-- no insert, update or delete: settle_entitlements writes it

-- policies/commerce/fulfilments.sql
select private.close_table('public.fulfilments');

create policy fulfilments_select_party on public.fulfilments for select to authenticated
using (seller_id = (select auth.uid()) or buyer_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.fulfilments to authenticated, service_role;
-- no insert, update or delete: settle_entitlements and deliver_order write it

-- policies/commerce/functions.sql
grant execute on function private.place_order(uuid, uuid, integer, bigint, text, uuid, jsonb) to authenticated;
grant execute on function public.place_order(uuid, uuid, integer, bigint, text, uuid, jsonb) to authenticated;
grant execute on function private.cancel_order(uuid) to authenticated;
grant execute on function public.cancel_order(uuid) to authenticated;
grant execute on function private.settle_order(uuid, text) to authenticated;
grant execute on function public.settle_order(uuid, text) to authenticated;
grant execute on function private.publish_offer(uuid) to authenticated;
grant execute on function public.publish_offer(uuid) to authenticated;
grant execute on function private.archive_offer(uuid) to authenticated;
grant execute on function public.archive_offer(uuid) to authenticated;
grant execute on function private.publish_product(uuid) to authenticated;
grant execute on function public.publish_product(uuid) to authenticated;
grant execute on function private.archive_product(uuid) to authenticated;
grant execute on function public.archive_product(uuid) to authenticated;
grant execute on function private.order_files(uuid, public.file_type) to authenticated;
grant execute on function public.order_files(uuid, public.file_type) to authenticated;
grant execute on function private.order_document(uuid) to authenticated;
grant execute on function public.order_document(uuid) to authenticated;
grant execute on function private.verify_licence(text) to anon, authenticated;
grant execute on function public.verify_licence(text) to anon, authenticated;
grant execute on function private.my_product_ids() to authenticated;
grant execute on function private.my_bought_file_ids() to authenticated;
grant execute on function private.my_bought_paths() to authenticated;
grant execute on function private.sync_offer(uuid) to authenticated;
grant execute on function public.sync_offer(uuid) to authenticated;
grant execute on function private.deliver_order(uuid, text) to authenticated;
grant execute on function public.deliver_order(uuid, text) to authenticated;
grant execute on function private.request_payout(text, bigint) to authenticated;
grant execute on function public.request_payout(text, bigint) to authenticated;
grant execute on function private.approve_payouts(uuid[]) to authenticated;
grant execute on function public.approve_payouts(uuid[]) to authenticated;
grant execute on function private.process_payouts(uuid[]) to authenticated;
grant execute on function public.process_payouts(uuid[]) to authenticated;
grant execute on function private.cancel_payout(uuid) to authenticated;
grant execute on function public.cancel_payout(uuid) to authenticated;
grant execute on function private.replay_webhook(text, text) to authenticated;
grant execute on function public.replay_webhook(text, text) to authenticated;
grant execute on function private.bind_course_price(uuid, text, text) to authenticated;
grant execute on function public.bind_course_price(uuid, text, text) to authenticated;
grant execute on function private.begin_refund(uuid, bigint, text) to authenticated;
grant execute on function public.refund_order(uuid, bigint, text) to authenticated;
grant execute on function private.failed_webhooks() to authenticated;
grant execute on function private.reconciliation() to authenticated;

-- The edge: checkout, onboarding, the browser's return.
grant execute on function private.checkout_brief(uuid) to edge;
grant execute on function private.bind_stripe_object(text, text, uuid) to edge;
grant execute on function private.bind_session(text, uuid) to edge;
grant execute on function private.stripe_id(text, uuid) to edge;
grant execute on function private.stripe_as_of(text) to edge;
grant execute on function private.payout_account_brief(uuid) to edge;
grant execute on function private.bind_payout_account(uuid, text) to edge;
grant execute on function private.apply_stripe_object(jsonb, timestamptz) to edge;

-- The worker: what Stripe is asked in the background.
grant execute on function private.stripe_as_of(text) to worker;
grant execute on function private.offer_brief(uuid) to worker;
grant execute on function private.refund_brief(uuid) to worker;
grant execute on function private.payout_brief(uuid) to worker;
grant execute on function private.settle_refund(uuid, public.refund_status) to worker;
grant execute on function private.settle_payout(uuid, text, text) to worker;
grant execute on function private.bind_stripe_object(text, text, uuid) to worker;
grant execute on function private.apply_stripe_object(jsonb, timestamptz) to worker;
grant execute on function private.purge_expired_orders() to worker;
grant execute on function private.keep_balance_transactions(jsonb) to worker;
grant execute on function private.newest_balance_transaction() to worker;

-- policies/commerce/ledger_accounts.sql
select private.close_table('public.ledger_accounts');

create policy ledger_accounts_select_owner_or_admin on public.ledger_accounts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.ledger_accounts to authenticated, service_role;
-- no insert, update or delete: post_journal writes it

-- policies/commerce/ledger_journals.sql
select private.close_table('public.ledger_journals');

create policy ledger_journals_select_admin on public.ledger_journals for select to authenticated
using ((select private.has_role('admin')));

grant select on public.ledger_journals to authenticated, service_role;
-- no insert, update or delete: post_journal writes it

-- policies/commerce/ledger_lines.sql
select private.close_table('public.ledger_lines');

create policy ledger_lines_select_owner_or_admin on public.ledger_lines for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.ledger_lines to authenticated, service_role;
-- no insert, update or delete: post_journal writes it

-- policies/commerce/offer_courses.sql
select private.close_table('public.offer_courses');

create policy offer_courses_select_all on public.offer_courses for select to anon, authenticated
using (exists (select from public.offers as o where o.id = offer_courses.offer_id));

create policy offer_courses_insert_seller on public.offer_courses for insert to authenticated
with check (seller_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy offer_courses_delete_seller on public.offer_courses for delete to authenticated
using (seller_id = (select auth.uid()) and (select private.has_role('teacher')));

grant select on public.offer_courses to anon, authenticated;
grant insert (offer_id, course_id), delete on public.offer_courses to authenticated;
grant select on public.offer_courses to service_role;

-- policies/commerce/offers.sql
select private.close_table('public.offers');

create policy offers_select_anon on public.offers for select to anon
using (status = 'active');

create policy offers_select_authenticated on public.offers for select to authenticated
using (status = 'active' or seller_id = (select auth.uid()) or (select private.has_role('admin')));

-- a course's offer is its course's: nobody can name the course in an insert, and without it no offer is one of a course
create policy offers_insert_seller_or_admin on public.offers for insert to authenticated
with check (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (seller_id is null and (select private.has_role('admin')))
);

create policy offers_update_seller_or_admin on public.offers for update to authenticated
using (
    (course_id is null and seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (course_id is null and (select private.has_role('admin')))
)
with check (
    (course_id is null and seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (course_id is null and (select private.has_role('admin')))
);

create policy offers_delete_seller_or_admin on public.offers for delete to authenticated
using (
    (status = 'draft' and seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (status = 'draft' and (select private.has_role('admin')))
);

grant select on public.offers to anon, authenticated;
-- what it is and whose stays; the status is publish_offer's and archive_offer's
grant
insert (
    seller_id, kind, title, description, price_amount, price_currency, maximum_amount, maximum_quantity,
    billing_interval, trial_days, credits, duration_minutes, product_id, licence_tier, file_types, maximum_copies,
    maximum_streams, maximum_videos, maximum_performances, is_credit_required, term_years
),
update (
    title, description, price_amount, price_currency, maximum_amount, maximum_quantity, trial_days, credits,
    duration_minutes, file_types, maximum_copies, maximum_streams, maximum_videos, maximum_performances,
    is_credit_required, term_years
),
delete
on public.offers to authenticated;
grant select on public.offers to service_role;

-- policies/commerce/orders.sql
select private.close_table('public.orders');

create policy orders_select_party on public.orders for select to authenticated
using (
    buyer_id = (select auth.uid())
    or (seller_id = (select auth.uid()) and status = 'paid')
    or (student_teacher_id = (select auth.uid()) and status = 'paid')
    or (select private.has_role('admin'))
);

grant select on public.orders to authenticated, service_role;
-- no insert, update or delete: place_order, cancel_order, settle_order and the payment provider's word write it

-- policies/commerce/payment_splits.sql
select private.close_table('public.payment_splits');

create policy payment_splits_select_owner_or_admin on public.payment_splits for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payment_splits to authenticated, service_role;
-- no insert, update or delete: settle_payment and settle_returns write it

-- policies/commerce/payments.sql
select private.close_table('private.payments');

create policy payments_all_nobody on private.payments for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions of ours write and read it

-- policies/commerce/payout_accounts.sql
select private.close_table('public.payout_accounts');

create policy payout_accounts_select_owner_or_admin on public.payout_accounts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payout_accounts to authenticated, service_role;
-- no insert, update or delete: bind_payout_account and apply_account write it

-- policies/commerce/payouts.sql
select private.close_table('public.payouts');

create policy payouts_select_owner_or_admin on public.payouts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payouts to authenticated, service_role;
-- no insert, update or delete: functions write it

-- policies/commerce/product_files.sql
select private.close_table('public.product_files');

create policy product_files_select_creator_or_buyer on public.product_files for select to authenticated
using (
    product_id = any((select private.my_product_ids())::uuid[])
    or id = any((select private.my_bought_file_ids())::uuid[])
);

create policy product_files_insert_creator on public.product_files for insert to authenticated
with check (product_id = any((select private.my_product_ids())::uuid[]) and (select private.has_role('teacher')));

create policy product_files_delete_creator on public.product_files for delete to authenticated
using (product_id = any((select private.my_product_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.product_files to authenticated;
grant insert (product_id, file_type, path, size_bytes, mime_type), delete on public.product_files to authenticated;
grant select on public.product_files to service_role;
-- no update: another file is another row

-- policies/commerce/products.sql
select private.close_table('public.products');

create policy products_select_anon on public.products for select to anon
using (status = 'published');

create policy products_select_authenticated on public.products for select to authenticated
using (status = 'published' or creator_id = (select auth.uid()) or (select private.has_role('admin')));

create policy products_insert_creator on public.products for insert to authenticated
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy products_update_creator on public.products for update to authenticated
using (creator_id = (select auth.uid()) and (select private.has_role('teacher')))
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy products_delete_creator on public.products for delete to authenticated
using (status = 'draft' and creator_id = (select auth.uid()) and (select private.has_role('teacher')));

grant select on public.products to anon, authenticated;
-- what it is stays; the status is publish_product's and archive_product's, and whether it is sold the database's
grant
insert (creator_id, kind, title, description, bpm, musical_key),
update (title, description, bpm, musical_key),
delete
on public.products to authenticated;
grant select on public.products to service_role;

-- policies/commerce/reconciliation.sql
select private.close_table('public.reconciliation');

grant select on public.reconciliation to authenticated;

-- policies/commerce/refunds.sql
select private.close_table('public.refunds');

create policy refunds_select_buyer_or_admin on public.refunds for select to authenticated
using (buyer_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.refunds to authenticated, service_role;
-- no insert, update or delete: refund_order and settle_refund write it

-- policies/commerce/statement.sql
select private.close_table('public.statement');

grant select on public.statement to authenticated, service_role;

-- policies/commerce/stripe_objects.sql
select private.close_table('private.stripe_objects');

create policy stripe_objects_all_nobody on private.stripe_objects for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions of ours write and read it

-- policies/commerce/subscriptions.sql
select private.close_table('public.subscriptions');

create policy subscriptions_select_party on public.subscriptions for select to authenticated
using (user_id = (select auth.uid()) or seller_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.subscriptions to authenticated, service_role;
-- no insert, update or delete: apply_subscription writes it

-- policies/commerce/webhook_failures.sql
select private.close_table('public.webhook_failures');

grant select on public.webhook_failures to authenticated;
