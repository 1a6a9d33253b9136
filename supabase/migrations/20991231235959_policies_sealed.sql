-- Compiled from policies/ by ./guildhall policies. Edit the files there, never this one.

-- policies/foundation/schemas.sql
-- Compiled first: closes everything in our schemas; the files below open it again.
revoke all on schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all tables in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all sequences in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;
revoke all on all routines in schema public, private, procrastinate
from public, anon, authenticated, service_role, supabase_auth_admin, edge, worker;

grant usage on schema public to anon, authenticated, service_role;
-- With USAGE on private, policies and public functions can call the helpers that are granted to the same role.
-- PostgREST does not expose the schema.
grant usage on schema private to anon, authenticated, service_role, supabase_auth_admin, edge, worker;

-- functions.sql of each domain inserts its functions again.
delete from private.api_functions;

-- policies/foundation/accounts.sql
select private.close_table('public.accounts');

create policy accounts_select_owner_or_moderator on public.accounts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('moderator')));

grant select on public.accounts to authenticated, service_role;
-- no insert, update or delete: functions and the triggers of auth.users write it

-- policies/foundation/api_functions.sql
select private.close_table('private.api_functions');

create policy api_functions_all_nobody on private.api_functions for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: private.expose writes it, and take_request_token reads it

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

-- policies/foundation/discarded_files.sql
select private.close_table('private.discarded_files');

create policy discarded_files_all_nobody on private.discarded_files for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: discard_file and forget_removed_files write it

-- policies/foundation/errors.sql
select private.close_table('private.errors');

create policy errors_all_nobody on private.errors for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it, private.refuse and error_catalogue read it

-- policies/foundation/functions.sql
-- The API of foundation: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.error_catalogue()', '{anon, authenticated, service_role}', 'standard');

select private.expose('private.replay_webhook(text, text)', '{authenticated}', 'strict');
select private.expose('private.webhook_totals()', '{authenticated}', 'standard');

-- Helpers of policies and triggers, and what the edge and the worker call.
-- A trigger refuses as the role whose statement fires it.
grant execute on function private.refuse(text, text[]) to anon, authenticated, service_role;
grant execute on function private.error_of(text) to anon, authenticated;
-- Checks of titles and names, which run as the role that writes.
grant execute on function private.normalise_compatible(text) to authenticated, service_role;
grant execute on function private.fold_text(text) to authenticated, service_role;
grant execute on function private.invisible_characters() to authenticated, service_role;
grant execute on function private.is_visible(text) to authenticated, service_role;
grant execute on function private.is_line(text, integer) to authenticated, service_role;
grant execute on function private.is_name(text, integer) to authenticated, service_role;
grant execute on function private.are_names(text[], integer) to authenticated, service_role;
grant execute on function private.requires_sign_in(text, text) to anon;
grant execute on function private.check_request() to anon, authenticated, service_role;
grant execute on function private.request_id() to anon, authenticated, service_role;
grant execute on function private.schema_version() to edge, worker;
grant execute on function private.record_mail_result(bigint, private.mail_status, text) to worker;
grant execute on function private.claim_mail(bigint) to worker;
grant execute on function private.retry_webhooks() to worker;
grant execute on function private.removable_files() to worker, file_remover;
grant execute on function private.forget_removed_files(text[]) to worker;
grant execute on function private.purges() to worker;
grant execute on function private.purge(name) to worker;
grant execute on function private.lapses() to worker;
grant execute on function private.lapse(name) to worker;

grant execute on function private.is_active() to authenticated, service_role;
grant execute on function private.has_role(public.app_role) to authenticated, service_role;
-- require_role asks as its caller, to say which of the two is missing.
grant execute on function private.is_granted(public.app_role) to authenticated;
grant execute on function private.is_teacher() to authenticated, service_role;
grant execute on function private.require_active_account(uuid) to edge;
grant execute on function private.require_signed_in() to authenticated;
grant execute on function private.require_active() to authenticated;
grant execute on function private.require_role(public.app_role) to authenticated;

-- Exports call them as their caller.
grant execute on function private.csv_cell(text) to authenticated;
grant execute on function private.csv_file(text, text, text[]) to authenticated;

grant execute on function private.take_request_token() to anon, authenticated;
grant execute on function private.take_token(text, text) to edge;

grant execute on function private.receive_webhook(text, text, text, jsonb, boolean) to edge;
grant execute on function private.failed_webhooks() to authenticated;

-- policies/foundation/mail_outbox.sql
select private.close_table('private.mail_outbox');

create policy mail_outbox_all_nobody on private.mail_outbox for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: enqueue_mail, claim_mail and record_mail_result write it

-- policies/foundation/mail_templates.sql
select private.close_table('private.mail_templates');

create policy mail_templates_all_nobody on private.mail_templates for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: migrations write it and definer functions read it

-- policies/foundation/procrastinate.sql
-- Only the worker may use the job queue, and all of it: it has no row level security, and the schema is closed to every
-- other role.
grant usage on schema procrastinate to worker;
grant select, insert, update, delete on all tables in schema procrastinate to worker;
grant usage on all sequences in schema procrastinate to worker;
grant execute on all functions in schema procrastinate to worker;

-- policies/foundation/rate_buckets.sql
select private.close_table('private.rate_buckets');

create policy rate_buckets_all_nobody on private.rate_buckets for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: take_token writes it

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

-- policies/foundation/storage_quotas.sql
select private.close_table('private.storage_quotas');

create policy storage_quotas_all_nobody on private.storage_quotas for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the operator writes it, and the triggers of storage.objects read and count in it

-- policies/foundation/storage_usage.sql
select private.close_table('private.storage_usage');

create policy storage_usage_all_nobody on private.storage_usage for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the triggers of storage.objects write it

-- policies/foundation/transliterations.sql
select private.close_table('private.transliterations');

create policy transliterations_all_nobody on private.transliterations for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: definer functions read it

-- policies/foundation/user_roles.sql
select private.close_table('public.user_roles');

create policy user_roles_select_owner_or_admin on public.user_roles for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.user_roles to authenticated, service_role;
-- no insert, update or delete: grant_role and revoke_role write it

-- policies/foundation/webhook_failures.sql
select private.close_table('public.webhook_failures');

grant select on public.webhook_failures to authenticated;

-- policies/foundation/webhook_inbox.sql
select private.close_table('private.webhook_inbox');

create policy webhook_inbox_all_nobody on private.webhook_inbox for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: receive_webhook writes it

-- policies/identity/account_deletions.sql
select private.close_table('private.account_deletions');

create policy account_deletions_all_nobody on private.account_deletions for all
to anon, authenticated, service_role
using (false);

-- no grant to anybody: delete_user writes it

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
-- The API of identity: each function, the roles that may call it, and its tier of rate limits.

select private.expose(
    'private.set_account_status(uuid, public.account_status, text, timestamptz)',
    '{authenticated}', 'strict'
);
select private.expose('private.is_handle_available(text)', '{authenticated}', 'standard');
select private.expose('private.verify_qualification(uuid, boolean, text)', '{authenticated}', 'strict');
select private.expose('private.apply_to_teach(text, text[])', '{authenticated}', 'standard');
select private.expose('private.withdraw_teacher_application()', '{authenticated}', 'standard');
select private.expose('private.decide_teacher_application(uuid, boolean, text)', '{authenticated}', 'strict');
select private.expose('private.sync_user()', '{authenticated}', 'generous');
select private.expose('private.create_user(text, text, public.app_role, boolean)', '{authenticated}', 'strict');
select private.expose('private.verify_email(uuid)', '{authenticated}', 'strict');
select private.expose('private.change_email(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.send_password_reset(uuid)', '{authenticated}', 'strict');
select private.expose('private.personal_files(uuid)', '{authenticated}', 'standard');
select private.expose('private.account_obligations(uuid)', '{authenticated}', 'standard');
select private.expose('private.close_obligations(uuid, jsonb)', '{authenticated}', 'strict');
select private.expose('private.delete_user(uuid, jsonb)', '{authenticated}', 'strict');
select private.expose('private.delete_account(boolean)', '{authenticated}', 'strict');
select private.expose(
    'private.export_user_accounts(text, public.app_role, public.account_status, timestamptz, timestamptz)',
    '{authenticated}', 'strict'
);
select private.expose('private.create_workspace(text)', '{authenticated}', 'standard');
select private.expose('private.add_workspace_member(uuid, uuid, public.workspace_role)', '{authenticated}', 'standard');
select private.expose(
    'private.update_workspace_member(uuid, uuid, public.workspace_role)',
    '{authenticated}', 'standard'
);
select private.expose('private.remove_workspace_member(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('public.grant_role(uuid, public.app_role)', '{authenticated}', 'strict');
select private.expose('public.revoke_role(uuid, public.app_role)', '{authenticated}', 'strict');
select private.expose('public.search_users(text)', '{authenticated}', 'standard');
select private.expose('public.teaching_status()', '{authenticated}', 'standard');
select private.expose('public.export_my_data()', '{authenticated}', 'strict');
select private.expose('public.search_accounts(text)', '{authenticated}', 'standard');

-- Helpers of policies and triggers, and what the edge and the worker call.
grant execute on function private.my_auth_facts() to authenticated;

grant execute on function private.find_accounts(text) to authenticated;

grant execute on function private.password_verification_attempt(jsonb) to supabase_auth_admin;

grant execute on function private.is_member() to authenticated, service_role;

grant execute on function private.change_role(uuid, public.app_role, boolean) to authenticated;

grant execute on function private.custom_access_token(jsonb) to supabase_auth_admin;

grant execute on function private.address_for_password_link(uuid) to worker;

-- matching_user_ids is granted to no role: its callers decide who finds unlisted users.
grant execute on function private.search_users(text) to authenticated;

grant execute on function private.my_workspace_ids(public.workspace_role) to authenticated;

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
-- storage.objects is Supabase's table: Supabase grants on it, and each domain has policies for its own buckets.
drop policy if exists objects_select_user_or_moderator on storage.objects;
drop policy if exists objects_insert_user on storage.objects;
drop policy if exists objects_update_user on storage.objects;
drop policy if exists objects_delete_user_or_moderator on storage.objects;
drop policy if exists objects_select_remover_of_user_files on storage.objects;
drop policy if exists objects_delete_remover_of_user_files on storage.objects;

-- Avatars and documents of qualifications are in the folder with the user's id. Anybody fetches an avatar by its path,
-- because that bucket is public; these policies decide who lists and who reads documents.
create policy objects_select_user_or_moderator on storage.objects for select to authenticated
using (
    bucket_id in ('avatars', 'qualifications')
    and (starts_with(name, (select auth.uid())::text || '/') or (select private.has_role('moderator')))
);

create policy objects_insert_user on storage.objects for insert to authenticated
with check (
    bucket_id in ('avatars', 'qualifications')
    and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
);

-- no update of qualifications: a document that a moderator verified is not replaced
create policy objects_update_user on storage.objects for update to authenticated
using (
    bucket_id in ('avatars') and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
)
with check (
    bucket_id in ('avatars') and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
);

create policy objects_delete_user_or_moderator on storage.objects for delete to authenticated
using (
    bucket_id in ('avatars', 'qualifications')
    and (
        (starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()))
        or (select private.has_role('moderator'))
    )
);

-- The worker removes what no row names any more. Storage removes what its caller reads and may delete.
create policy objects_select_remover_of_user_files on storage.objects for select to file_remover
using (
    bucket_id in ('avatars', 'qualifications')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);

create policy objects_delete_remover_of_user_files on storage.objects for delete to file_remover
using (
    bucket_id in ('avatars', 'qualifications')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);

-- policies/identity/teacher_applications.sql
select private.close_table('public.teacher_applications');

create policy teacher_applications_select_applicant_or_moderator on public.teacher_applications for select
to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('moderator')));

grant select on public.teacher_applications to authenticated, service_role;
-- no insert, update or delete: apply_to_teach and decide_teacher_application write it

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
-- the database sets position
grant insert (slug, name, description), update (slug, name, description), delete
on public.categories to authenticated;
grant select, insert, update, delete on public.categories to service_role;

-- policies/catalog/course_search.sql
select private.close_table('private.course_search');

create policy course_search_all_nobody on private.course_search for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and definer functions read it

-- policies/catalog/course_slugs.sql
select private.close_table('private.course_slugs');

create policy course_slugs_all_nobody on private.course_slugs for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: triggers write it and course_by_slug reads it

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
-- the database sets is_public; creator_id is updatable because an upsert sets it
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

-- policies/catalog/functions.sql
-- The API of catalog: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.reorder_modules(uuid, uuid[])', '{authenticated}', 'standard');
select private.expose('private.reorder_lessons(uuid, uuid[])', '{authenticated}', 'standard');
select private.expose('private.publication_checklist(uuid)', '{authenticated}', 'standard');
select private.expose('private.publish_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.unpublish_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.archive_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.copy_course(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.delete_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.feature_course(uuid)', '{authenticated}', 'strict');
select private.expose('private.suspend_course(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.transfer_course(uuid, uuid)', '{authenticated}', 'strict');
select private.expose('private.intro_course_limit()', '{anon, authenticated, service_role}', 'standard');
select private.expose('private.reorder_categories(uuid[])', '{authenticated}', 'strict');
select private.expose('private.merge_categories(uuid, uuid)', '{authenticated}', 'strict');
select private.expose('private.unfeature_course(uuid)', '{authenticated}', 'strict');
select private.expose('private.unsuspend_course(uuid)', '{authenticated}', 'strict');
select private.expose('public.course_by_slug(text)', '{anon, authenticated, service_role}', 'standard');
select private.expose('public.search_creators(text)', '{anon, authenticated, service_role}', 'standard');
select private.expose(
    'public.search_courses(text, public.course_level, text, text, uuid, bigint, text)',
    '{anon, authenticated, service_role}', 'standard'
);

-- Helpers of policies and triggers, and what the edge and the worker call.
grant execute on function private.my_taught_course_ids() to authenticated, service_role;
grant execute on function private.require_course_owner(uuid) to authenticated;

grant execute on function private.course_by_slug(text) to anon, authenticated, service_role;
grant execute on function private.search_creators(text) to anon, authenticated, service_role;

-- no grant of private.courses_matching and private.words_near: private.search_courses calls them
grant execute on function private.search_courses(
    text, public.course_level, text, text, uuid, bigint, text
) to anon, authenticated, service_role;

-- policies/catalog/storage_objects.sql
-- Pictures of courses are in the folder with the course's id, in a public bucket: these policies decide who lists.
drop policy if exists objects_select_creator_or_moderator on storage.objects;
drop policy if exists objects_insert_creator on storage.objects;
drop policy if exists objects_update_creator on storage.objects;
drop policy if exists objects_delete_creator_or_moderator on storage.objects;
drop policy if exists objects_select_remover_of_thumbnails on storage.objects;
drop policy if exists objects_delete_remover_of_thumbnails on storage.objects;

create policy objects_select_creator_or_moderator on storage.objects for select to authenticated
using (
    bucket_id in ('course-thumbnails')
    and (
        split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
        or (select private.has_role('moderator'))
    )
);

create policy objects_insert_creator on storage.objects for insert to authenticated
with check (
    bucket_id in ('course-thumbnails')
    and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
    and (select private.has_role('teacher'))
);

create policy objects_update_creator on storage.objects for update to authenticated
using (
    bucket_id in ('course-thumbnails')
    and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
    and (select private.has_role('teacher'))
)
with check (
    bucket_id in ('course-thumbnails')
    and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
    and (select private.has_role('teacher'))
);

create policy objects_delete_creator_or_moderator on storage.objects for delete to authenticated
using (
    bucket_id in ('course-thumbnails')
    and (
        (
            split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
            and (select private.has_role('teacher'))
        )
        or (select private.has_role('moderator'))
    )
);

-- The worker removes what no row names any more. Storage removes what its caller reads and may delete.
create policy objects_select_remover_of_thumbnails on storage.objects for select to file_remover
using (
    bucket_id in ('course-thumbnails')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);

create policy objects_delete_remover_of_thumbnails on storage.objects for delete to file_remover
using (
    bucket_id in ('course-thumbnails')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);

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
-- no insert, update or delete: the functions that decide write it

-- policies/learning/certificate_reissues.sql
select private.close_table('public.certificate_reissues');

create policy certificate_reissues_select_party on public.certificate_reissues for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.certificate_reissues to authenticated, service_role;
-- no insert, update or delete: the functions that request and decide write it

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

-- policies/learning/course_invitations.sql
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

-- policies/learning/course_reviews.sql
select private.close_table('public.course_reviews');

create policy course_reviews_select_anon on public.course_reviews for select to anon
using (is_public and is_listed);

create policy course_reviews_select_authenticated on public.course_reviews for select to authenticated
using (
    (is_public and is_listed)
    or student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.course_reviews to anon, authenticated, service_role;
-- no insert, update or delete: functions write it

-- policies/learning/course_students.sql
select private.close_table('public.course_students');

grant select on public.course_students to authenticated, service_role;
-- no policy: the view runs as its caller, under those of the tables it shows

-- policies/learning/courses.sql
select private.close_table('public.courses');

create policy courses_select_anon on public.courses for select to anon
using (status = 'published');

create policy courses_select_authenticated on public.courses for select to authenticated
using (
    status = 'published'
    or (creator_id = (select auth.uid()) and status <> 'deleted')
    or id = any((select private.my_enrolled_course_ids())::uuid[])
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
-- creator_id is the caller by default; thumbnail_path begins with the id, which the database gives; functions and
-- triggers write the other columns
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

-- enrolment_id is updatable because an upsert sets it; the database sets course_id, student_id, flagged_at and
-- flagged_by
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
    or (creator_id = (select auth.uid()) and (select private.is_teacher()))
    or student_teacher_id = any((select private.my_student_teacher_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.enrolments to authenticated, service_role;
-- no insert, update or delete: functions write it

-- policies/learning/functions.sql
-- The API of learning: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.apply_as_student_teacher(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.decide_student_teacher(uuid, boolean, text)', '{authenticated}', 'standard');
select private.expose('private.revoke_student_teacher(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.withdraw_as_student_teacher(uuid)', '{authenticated}', 'standard');
select private.expose('private.enrol(uuid)', '{authenticated}', 'standard');
select private.expose('private.leave_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.record_progress(uuid, integer, boolean)', '{authenticated}', 'generous');
select private.expose('private.intro_courses_taken()', '{authenticated}', 'standard');
select private.expose('private.course_access(uuid)', '{authenticated}', 'standard');
select private.expose('private.assign_student_teacher(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.choose_student_teacher(uuid)', '{authenticated}', 'standard');
select private.expose('private.student_teacher_dashboard()', '{authenticated}', 'standard');
select private.expose(
    'private.save_quiz_question(uuid, public.question_kind, text, jsonb, jsonb, smallint, text, uuid)',
    '{authenticated}', 'standard'
);
select private.expose('private.save_quiz_questions(uuid, jsonb)', '{authenticated}', 'standard');
select private.expose('private.reorder_quiz_questions(uuid, uuid[])', '{authenticated}', 'standard');
select private.expose('private.quiz_answer_keys(uuid)', '{authenticated}', 'standard');
select private.expose('private.start_quiz(uuid)', '{authenticated}', 'standard');
select private.expose('private.attempt_questions(uuid)', '{authenticated}', 'standard');
select private.expose('private.save_answers(uuid, jsonb)', '{authenticated}', 'generous');
select private.expose('private.regrade_question(uuid, uuid, text, boolean)', '{authenticated}', 'standard');
select private.expose('private.verify_certificate(text)', '{anon, authenticated, service_role}', 'standard');
select private.expose('private.recommend_certificate(uuid, text)', '{authenticated}', 'standard');
select private.expose(
    'private.issue_recommended_certificate(uuid, text)',
    '{authenticated}', 'standard', 'issue_certificate'
);
select private.expose('private.reject_certificate(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.award_certificate(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.revoke_certificate(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.reinstate_certificate(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.request_certificate_reissue(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.decide_certificate_reissue(uuid, boolean, text)', '{authenticated}', 'standard');
select private.expose('private.attempt_feedback(uuid)', '{authenticated}', 'standard');
select private.expose('private.send_enrolment_mail(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.enrol_student_manually(uuid, uuid, timestamptz)', '{authenticated}', 'strict');
select private.expose('private.enrol_list(uuid, text[], timestamptz)', '{authenticated}', 'strict');
select private.expose('private.accept_course_invitation(uuid)', '{authenticated}', 'standard');
select private.expose('private.update_enrolment(uuid, timestamptz)', '{authenticated}', 'strict');
select private.expose('private.lift_enrolment_bar(uuid)', '{authenticated}', 'strict');
select private.expose('private.cancel_enrolment(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.force_complete_enrolment(uuid)', '{authenticated}', 'strict');
select private.expose('private.delete_enrolment(uuid)', '{authenticated}', 'strict');
select private.expose(
    'private.export_enrolments(text,uuid,public.enrolment_status,boolean,timestamptz,timestamptz,public.access_state)',
    '{authenticated}', 'strict'
);
select private.expose('public.search_certificates(text)', '{authenticated}', 'standard');
select private.expose('public.submit_quiz(uuid, jsonb, uuid)', '{authenticated}', 'standard');
select private.expose('public.resume_point(uuid)', '{authenticated}', 'standard');
select private.expose('public.search_students(text)', '{authenticated}', 'standard');
select private.expose('public.creator_dashboard()', '{authenticated}', 'standard');
select private.expose('public.export_students(uuid, public.enrolment_status)', '{authenticated}', 'standard');
select private.expose('private.review_course(uuid, smallint, text)', '{authenticated}', 'standard');
select private.expose('private.reply_to_review(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.hide_review(uuid, text)', '{authenticated}', 'strict');

-- Helpers of policies and triggers, and what the edge and the worker call.
grant execute on function private.find_certificates(text) to authenticated;

-- no grant of private.enrol_student: its callers decide who may enrol

grant execute on function private.find_students(text) to authenticated;
-- creator_dashboard runs as its caller
grant execute on function private.dashboard_parts(text) to authenticated;
-- export_students runs as its caller, and so do the functions that make its file
grant execute on function private.student_csv_line(public.course_students) to authenticated;
grant execute on function private.student_csv_file(text, text[], text) to authenticated;

grant execute on function private.my_course_ids() to authenticated, service_role;
grant execute on function private.my_enrolled_course_ids() to authenticated, service_role;

grant execute on function private.my_invitation_names() to authenticated, service_role;

grant execute on function private.my_sealed_quiz_ids() to authenticated, service_role;

grant execute on function private.grade_quiz(uuid, jsonb, uuid) to authenticated;

grant execute on function private.regrade_next_attempt(uuid) to worker;

grant execute on function private.my_student_teacher_ids() to authenticated, service_role;
grant execute on function private.my_assigned_enrolment_ids() to authenticated, service_role;
grant execute on function private.my_chosen_student_teacher_ids() to authenticated, service_role;

-- policies/learning/lesson_contents.sql
select private.close_table('public.lesson_contents');

create policy lesson_contents_select_anon on public.lesson_contents for select to anon
using (exists (select from public.lessons as l where l.id = lesson_contents.lesson_id and l.is_intro));

create policy lesson_contents_select_authenticated on public.lesson_contents for select to authenticated
using (
    (
        course_id = any((select private.my_course_ids())::uuid[])
        -- Checked for each lesson that is read, which are few: all locks of a student in fifty courses are a thousand.
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
-- lesson_id is updatable because an upsert sets it; the database sets course_id
grant insert (lesson_id, body), update (lesson_id, body), delete on public.lesson_contents to authenticated;
grant select, insert, update, delete on public.lesson_contents to service_role;

-- policies/learning/lesson_gates.sql
select private.close_table('public.lesson_gates');

create policy lesson_gates_select_anon on public.lesson_gates for select to anon
using (exists (select from public.courses as c where c.id = lesson_gates.course_id));

-- Less than the course itself, of which students read the row after it has closed to them.
create policy lesson_gates_select_authenticated on public.lesson_gates for select to authenticated
using (
    exists (
        select from public.courses as c
        where
            c.id = lesson_gates.course_id
            and (
                c.status = 'published'
                or c.creator_id = (select auth.uid())
                or c.id = any((select private.my_course_ids())::uuid[])
                or (select private.has_role('moderator'))
            )
    )
);

create policy lesson_gates_insert_creator on public.lesson_gates for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_gates_update_creator on public.lesson_gates for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lesson_gates_delete_creator on public.lesson_gates for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lesson_gates to anon, authenticated;
-- lesson_id is updatable because an upsert sets it; the database sets course_id
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

-- policies/learning/lessons.sql
select private.close_table('public.lessons');

create policy lessons_select_anon on public.lessons for select to anon
using (exists (select from public.courses as c where c.id = lessons.course_id));

-- Less than the course itself, of which students read the row after it has closed to them.
create policy lessons_select_authenticated on public.lessons for select to authenticated
using (
    exists (
        select from public.courses as c
        where
            c.id = lessons.course_id
            and (
                c.status = 'published'
                or c.creator_id = (select auth.uid())
                or c.id = any((select private.my_course_ids())::uuid[])
                or (select private.has_role('moderator'))
            )
    )
);

create policy lessons_insert_creator on public.lessons for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lessons_update_creator on public.lessons for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy lessons_delete_creator on public.lessons for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lessons to anon, authenticated;
-- the database sets course_id and position
grant
insert (module_id, title, summary, duration_seconds, is_intro),
update (module_id, title, summary, duration_seconds, is_intro),
delete
on public.lessons to authenticated;
grant select, insert, update, delete on public.lessons to service_role;

-- policies/learning/module_progress.sql
select private.close_table('public.module_progress');

grant select on public.module_progress to authenticated, service_role;
-- no policy: the view runs as its caller, under those of the tables it shows

-- policies/learning/modules.sql
select private.close_table('public.modules');

create policy modules_select_anon on public.modules for select to anon
using (exists (select from public.courses as c where c.id = modules.course_id));

-- Less than the course itself, of which students read the row after it has closed to them.
create policy modules_select_authenticated on public.modules for select to authenticated
using (
    exists (
        select from public.courses as c
        where
            c.id = modules.course_id
            and (
                c.status = 'published'
                or c.creator_id = (select auth.uid())
                or c.id = any((select private.my_course_ids())::uuid[])
                or (select private.has_role('moderator'))
            )
    )
);

create policy modules_insert_creator on public.modules for insert to authenticated
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy modules_update_creator on public.modules for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

create policy modules_delete_creator on public.modules for delete to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.modules to anon, authenticated;
-- the database sets position; a module stays in its course
grant insert (course_id, title, description), update (title, description), delete on public.modules to authenticated;
grant select, insert, update, delete on public.modules to service_role;

-- policies/learning/open_enrolments.sql
select private.close_table('private.open_enrolments');

-- no grant: definer functions read the view

-- policies/learning/pending_approvals.sql
select private.close_table('public.pending_approvals');

grant select on public.pending_approvals to authenticated, service_role;
-- no policy: the view runs as its caller, under those of the tables it shows

-- policies/learning/quiz_answer_keys.sql
select private.close_table('private.quiz_answer_keys');

create policy quiz_answer_keys_all_nobody on private.quiz_answer_keys for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: save_quiz_question writes it, grading and the function quiz_answer_keys read it

-- policies/learning/quiz_attempt_records.sql
select private.close_table('private.quiz_attempt_records');

create policy quiz_attempt_records_all_nobody on private.quiz_attempt_records
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: grading writes it, attempt_questions and attempt_feedback read it

-- policies/learning/quiz_attempt_regrades.sql
select private.close_table('public.quiz_attempt_regrades');

create policy quiz_attempt_regrades_select_party on public.quiz_attempt_regrades for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.quiz_attempt_regrades to authenticated, service_role;
-- no insert, update or delete: the worker writes it

-- policies/learning/quiz_attempts.sql
select private.close_table('public.quiz_attempts');

create policy quiz_attempts_select_party on public.quiz_attempts for select to authenticated
using (
    student_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.quiz_attempts to authenticated, service_role;
-- no insert, update or delete: start_quiz and submit_quiz write it

-- policies/learning/quiz_question_versions.sql
select private.close_table('private.quiz_question_versions');

create policy quiz_question_versions_all_nobody on private.quiz_question_versions
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: attempts and regrades keep versions, grading and attempt_feedback read them

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

-- policies/learning/quiz_regrades.sql
select private.close_table('public.quiz_regrades');

create policy quiz_regrades_select_creator on public.quiz_regrades for select to authenticated
using (
    course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.quiz_regrades to authenticated, service_role;
-- not for students: the reason may say which answer is right, to those who have attempts left
-- no insert, update or delete: regrade_question and the worker write it

-- policies/learning/quizzes.sql
select private.close_table('public.quizzes');

create policy quizzes_select_anon on public.quizzes for select to anon
using (exists (select from public.courses as c where c.id = quizzes.course_id));

-- Less than the course itself, of which students read the row after it has closed to them.
create policy quizzes_select_authenticated on public.quizzes for select to authenticated
using (
    exists (
        select from public.courses as c
        where
            c.id = quizzes.course_id
            and (
                c.status = 'published'
                or c.creator_id = (select auth.uid())
                or c.id = any((select private.my_course_ids())::uuid[])
                or (select private.has_role('moderator'))
            )
    )
);

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

-- policies/learning/student_teacher_decisions.sql
select private.close_table('public.student_teacher_decisions');

create policy student_teacher_decisions_select_party on public.student_teacher_decisions for select to authenticated
using (
    user_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.student_teacher_decisions to authenticated, service_role;
-- no insert, update or delete: the functions that decide write it

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
-- no insert or delete: apply_as_student_teacher writes it, and decisions stay on record
grant update (is_available, max_students) on public.student_teachers to authenticated;

-- policies/live/commitments.sql
select private.close_table('private.commitments');

create policy commitments_all_nobody on private.commitments for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: the functions that schedule and cancel sessions write it

-- policies/live/functions.sql
-- The API of live: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.set_schedule_hours(jsonb, jsonb, uuid)', '{authenticated}', 'standard');
select private.expose('private.set_default_schedule(uuid)', '{authenticated}', 'standard');
select private.expose(
    'private.available_slots(uuid, timestamptz, timestamptz, integer, text, uuid)',
    '{authenticated}', 'standard'
);
select private.expose('private.host_busy_times(uuid, timestamptz, timestamptz)', '{authenticated}', 'standard');
select private.expose(
    'private.schedule_session(uuid, timestamptz, integer, text, text)',
    '{authenticated}', 'standard'
);
select private.expose('private.cancel_session(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.complete_session(uuid, boolean)', '{authenticated}', 'standard');
select private.expose('private.give_session_feedback(uuid, smallint, text)', '{authenticated}', 'standard');
select private.expose(
    'private.session_stats(uuid, uuid, timestamptz, timestamptz)',
    '{authenticated}', 'standard'
);

-- Seats, group sessions and seminars
select private.expose('private.cancel_place(uuid)', '{authenticated}', 'standard');
select private.expose('private.remove_attendee(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.record_attendance(uuid, boolean)', '{authenticated}', 'standard');
select private.expose('private.queue_position(uuid)', '{authenticated}', 'standard');
select private.expose(
    'private.add_group_session_slot(uuid, timestamptz, integer, text, integer, timestamptz)',
    '{authenticated}', 'standard'
);
select private.expose(
    'private.update_group_session_slot(uuid, timestamptz, int, text, int, boolean, timestamptz, int, int)',
    '{authenticated}', 'standard'
);
select private.expose('private.cancel_group_session_slot(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.delete_group_session(uuid)', '{authenticated}', 'standard');
select private.expose('private.book_slot(uuid)', '{authenticated}', 'standard');
select private.expose('private.grant_slot_place(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.group_session_details(uuid)', '{anon,authenticated}', 'standard');
select private.expose('private.publish_seminar(uuid)', '{authenticated}', 'standard');
select private.expose('private.cancel_seminar(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.register_for_seminar(uuid)', '{authenticated}', 'standard');
select private.expose('private.unregister_from_seminar(uuid)', '{authenticated}', 'standard');
select private.expose('private.grant_seminar_place(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.remove_seminar_attendee(uuid, uuid, text)', '{authenticated}', 'standard');
select private.expose('private.invite_seminar_host(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.answer_seminar_host_invitation(uuid, boolean)', '{authenticated}', 'standard');
select private.expose('private.remove_seminar_host(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.start_seminar_session(uuid)', '{authenticated}', 'standard');
select private.expose('private.end_seminar_session(uuid)', '{authenticated}', 'standard');
select private.expose('private.seminar_details(uuid)', '{anon,authenticated}', 'standard');
select private.expose('private.join_room(uuid, uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.reserve_recording(uuid)', '{authenticated}', 'standard');

-- What policies call
grant execute on function
private.is_host(),
private.my_schedule_ids(),
private.my_pool_ids(),
private.my_hosted_pool_ids(),
private.my_room_ids(),
private.my_hosted_room_ids(),
private.my_session_room_ids(),
private.my_group_session_ids(),
private.my_hosted_seminar_ids(),
private.visible_seminar_ids()
to authenticated;
select private.expose(
    'private.request_intro_session(uuid, timestamptz, uuid, text, text)',
    '{authenticated}', 'standard'
);
select private.expose(
    'private.book_session(uuid, timestamptz, integer, text, text, uuid)',
    '{authenticated}', 'standard'
);
select private.expose('private.accept_session(uuid)', '{authenticated}', 'standard');
select private.expose('private.decline_session(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.reschedule_session(uuid, timestamptz)', '{authenticated}', 'standard');
select private.expose('private.session_cancellation_terms(uuid)', '{authenticated}', 'standard');
select private.expose('private.report_host_missed(uuid)', '{authenticated}', 'standard');
select private.expose('private.credit_session(uuid, text)', '{authenticated}', 'strict');
grant execute on function private.my_session_ids() to authenticated, service_role;

-- policies/live/group_session_slots.sql
select private.close_table('public.group_session_slots');

create policy group_session_slots_select_anon on public.group_session_slots for select to anon
using (is_public);

create policy group_session_slots_select_authenticated on public.group_session_slots for select to authenticated
using (
    is_public
    or host_id = (select auth.uid())
    or pool_id = any((select private.my_pool_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.group_session_slots to anon, authenticated, service_role;
-- no insert, update or delete: functions write it, with the commitment and the seats

-- policies/live/group_sessions.sql
select private.close_table('public.group_sessions');

create policy group_sessions_select_anon on public.group_sessions for select to anon
using (is_listed);

create policy group_sessions_select_authenticated on public.group_sessions for select to authenticated
using (
    is_listed
    or host_id = (select auth.uid())
    or id = any((select private.my_group_session_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy group_sessions_insert_teacher on public.group_sessions for insert to authenticated
with check (
    host_id = (select auth.uid())
    and (select private.has_role('teacher'))
    and (course_id is null or course_id = any((select private.my_taught_course_ids())::uuid[]))
);

create policy group_sessions_update_host on public.group_sessions for update to authenticated
using (host_id = (select auth.uid()) and (select private.has_role('teacher')))
with check (
    host_id = (select auth.uid())
    and (select private.has_role('teacher'))
    and (course_id is null or course_id = any((select private.my_taught_course_ids())::uuid[]))
);

grant
select,
insert (course_id, title, description, visibility, access, duration_minutes, capacity, has_waiting_list),
update (course_id, title, description, visibility, access, duration_minutes, capacity, has_waiting_list)
on public.group_sessions to authenticated;
grant select on public.group_sessions to anon, service_role;
-- no delete: delete_group_session cancels its slots

-- policies/live/places.sql
select private.close_table('public.places');

create policy places_select_party on public.places for select to authenticated
using (
    user_id = (select auth.uid())
    or host_id = (select auth.uid())
    or pool_id = any((select private.my_hosted_pool_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.places to authenticated, service_role;
-- no insert, update or delete: functions take places and give them back

-- policies/live/pool_subjects.sql
select private.close_table('private.pool_subjects');

-- no grant to anybody: functions read it

-- policies/live/recordings.sql
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

-- policies/live/room_attendances.sql
select private.close_table('public.room_attendances');

create policy room_attendances_select_party on public.room_attendances for select to authenticated
using (
    user_id = (select auth.uid())
    or room_id = any((select private.my_hosted_room_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.room_attendances to authenticated, service_role;
-- no insert, update or delete: attendance is derived, not claimed

-- policies/live/rooms.sql
select private.close_table('public.rooms');

create policy rooms_select_party on public.rooms for select to authenticated
using (
    id = any((select private.my_room_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.rooms to authenticated, service_role;
-- no insert, update or delete: join_room makes rooms, and they end with their session

-- policies/live/schedule_exceptions.sql
select private.close_table('public.schedule_exceptions');

create policy schedule_exceptions_select_host on public.schedule_exceptions for select to authenticated
using (schedule_id = any((select private.my_schedule_ids())::uuid[]) or (select private.has_role('moderator')));

grant select on public.schedule_exceptions to authenticated, service_role;
-- no insert, update or delete: set_schedule_hours writes it

-- policies/live/schedule_rules.sql
select private.close_table('public.schedule_rules');

create policy schedule_rules_select_host on public.schedule_rules for select to authenticated
using (schedule_id = any((select private.my_schedule_ids())::uuid[]) or (select private.has_role('moderator')));

grant select on public.schedule_rules to authenticated, service_role;
-- no insert, update or delete: set_schedule_hours writes it

-- policies/live/schedules.sql
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

-- policies/live/seat_pools.sql
select private.close_table('public.seat_pools');

create policy seat_pools_select_anon on public.seat_pools for select to anon
using (is_public);

create policy seat_pools_select_authenticated on public.seat_pools for select to authenticated
using (
    is_public
    or host_id = (select auth.uid())
    or id = any((select private.my_pool_ids())::uuid[])
    or id = any((select private.my_hosted_pool_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.seat_pools to anon, authenticated, service_role;
-- no insert, update or delete: functions write it, from the seminar or the slot

-- policies/live/seminar_hosts.sql
select private.close_table('public.seminar_hosts');

create policy seminar_hosts_select_authenticated on public.seminar_hosts for select to authenticated
using (
    user_id = (select auth.uid())
    or seminar_id = any((select private.visible_seminar_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.seminar_hosts to authenticated, service_role;
-- no insert, update or delete: functions invite, accept and leave

-- policies/live/seminar_sessions.sql
select private.close_table('public.seminar_sessions');

create policy seminar_sessions_select_party on public.seminar_sessions for select to authenticated
using (
    host_id = (select auth.uid())
    or seminar_id = any((select private.visible_seminar_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.seminar_sessions to authenticated, service_role;
-- no insert, update or delete: functions start and end them

-- policies/live/seminars.sql
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

-- policies/live/session_credits.sql
select private.close_table('public.session_credits');

create policy session_credits_select_party on public.session_credits for select to authenticated
using (
    student_id = (select auth.uid())
    or host_id = (select auth.uid())
    or (select private.has_role('moderator'))
);

grant select on public.session_credits to authenticated, service_role;
-- no insert, update or delete: credit_session writes it

-- policies/live/session_feedback.sql
select private.close_table('public.session_feedback');

create policy session_feedback_select_party on public.session_feedback for select to authenticated
using (
    author_id = (select auth.uid())
    or subject_id = (select auth.uid())
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.session_feedback to authenticated, service_role;
-- no insert, update or delete: give_session_feedback writes it

-- policies/live/session_reschedules.sql
select private.close_table('public.session_reschedules');

create policy session_reschedules_select_party on public.session_reschedules for select to authenticated
using (
    session_id = any((select private.my_session_ids())::uuid[])
    or (select private.has_role('moderator'))
);

grant select on public.session_reschedules to authenticated, service_role;
-- no insert, update or delete: reschedule_session writes it

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

-- policies/media/functions.sql
-- The API of media: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.reserve_media(text, text, bigint, public.media_purpose)', '{authenticated}', 'standard');
select private.expose('private.delete_media(uuid)', '{authenticated}', 'standard');
select private.expose('private.reserve_lesson_media(uuid, text, text, bigint)', '{authenticated}', 'standard');
select private.expose('private.add_lesson_media(uuid, uuid, text, boolean)', '{authenticated}', 'standard');
select private.expose('private.delete_lesson_media(uuid)', '{authenticated}', 'standard');
select private.expose('private.reorder_lesson_media(uuid, uuid[])', '{authenticated}', 'standard');
select private.expose('private.add_media_captions(uuid, uuid, text, text)', '{authenticated}', 'standard');
select private.expose('private.profile_media_sources()', '{authenticated}', 'standard');

-- Helpers of policies, and what the edge calls.
grant execute on function private.my_media_upload_paths() to authenticated, service_role;
grant execute on function private.begin_media_check(uuid, uuid) to edge;
grant execute on function private.finish_media_check(uuid, uuid, text, jsonb, text) to edge;
grant execute on function private.make_media_link(uuid, uuid, text, bytea, text, integer) to edge;
grant execute on function private.open_media_link(bytea) to edge;
grant execute on function private.find_public_media(text, text) to edge;

-- policies/media/lesson_media.sql
select private.close_table('public.lesson_media');

-- lessons hides those of courses that the caller may not read
create policy lesson_media_select_anon on public.lesson_media for select to anon
using (exists (
    select from public.lessons as l where l.id = lesson_media.lesson_id and (l.is_intro or lesson_media.is_preview)
));

create policy lesson_media_select_authenticated on public.lesson_media for select to authenticated
using (
    (
        course_id = any((select private.my_course_ids())::uuid[])
        and not exists (select from public.lesson_locks as k where k.lesson_id = lesson_media.lesson_id)
    )
    or course_id = any((select private.my_taught_course_ids())::uuid[])
    or (select private.has_role('moderator'))
    or exists (
        select from public.lessons as l where l.id = lesson_media.lesson_id and (l.is_intro or lesson_media.is_preview)
    )
);

create policy lesson_media_update_creator on public.lesson_media for update to authenticated
using (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
with check (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')));

grant select on public.lesson_media to anon, authenticated, service_role;
grant update (title, is_preview) on public.lesson_media to authenticated;
-- no insert or delete: functions keep the positions

-- policies/media/media_captions.sql
select private.close_table('public.media_captions');

-- lesson_media hides what the caller may not play
create policy media_captions_select_anon on public.media_captions for select to anon
using (exists (select from public.lesson_media as m where m.id = media_captions.lesson_media_id));

create policy media_captions_select_authenticated on public.media_captions for select to authenticated
using (exists (select from public.lesson_media as m where m.id = media_captions.lesson_media_id));

create policy media_captions_delete_creator on public.media_captions for delete to authenticated
using (
    exists (
        select from public.lesson_media as m
        where
            m.id = media_captions.lesson_media_id
            and m.course_id = any((select private.my_taught_course_ids())::uuid[])
    )
    and (select private.has_role('teacher'))
);

grant select on public.media_captions to anon, authenticated, service_role;
grant delete on public.media_captions to authenticated;
-- no insert or update: add_media_captions replaces captions

-- policies/media/media_checks.sql
select private.close_table('private.media_checks');

create policy media_checks_all_nobody on private.media_checks for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions use it

-- policies/media/media_links.sql
select private.close_table('private.media_links');

create policy media_links_all_nobody on private.media_links for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions use it

-- policies/media/media_objects.sql
select private.close_table('public.media_objects');

create policy media_objects_select_anon on public.media_objects for select to anon
using (
    status = 'ready'
    and (
        purpose in ('sample', 'public')
        or exists (select from public.lesson_media as m where m.media_id = media_objects.id)
        or exists (select from public.media_captions as c where c.media_id = media_objects.id)
        or exists (select from public.profile_media as p where p.media_id = media_objects.id)
    )
);

create policy media_objects_select_authenticated on public.media_objects for select to authenticated
using (
    owner_id = (select auth.uid())
    or (select private.has_role('moderator'))
    or (
        status = 'ready'
        and (
            purpose in ('sample', 'public')
            or exists (select from public.lesson_media as m where m.media_id = media_objects.id)
            or exists (select from public.media_captions as c where c.media_id = media_objects.id)
            or exists (select from public.profile_media as p where p.media_id = media_objects.id)
        )
    )
);

grant select on public.media_objects to anon, authenticated, service_role;
-- no insert, update or delete: functions reserve, check and delete files

-- policies/media/media_types.sql
select private.close_table('private.media_types');

create policy media_types_all_nobody on private.media_types for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions use it

-- policies/media/profile_media.sql
select private.close_table('public.profile_media');

-- profiles hides those that are not public
create policy profile_media_select_anon on public.profile_media for select to anon
using (is_published and exists (select from public.profiles as p where p.id = profile_media.profile_id));

create policy profile_media_select_authenticated on public.profile_media for select to authenticated
using (
    profile_id = (select auth.uid())
    or (select private.has_role('moderator'))
    or (is_published and exists (select from public.profiles as p where p.id = profile_media.profile_id))
);

create policy profile_media_insert_teacher on public.profile_media for insert to authenticated
with check (profile_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy profile_media_update_teacher on public.profile_media for update to authenticated
using (profile_id = (select auth.uid()) and (select private.has_role('teacher')))
with check (profile_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy profile_media_delete_owner_or_moderator on public.profile_media for delete to authenticated
using (
    (profile_id = (select auth.uid()) and (select private.is_active()))
    or (select private.has_role('moderator'))
);

grant select on public.profile_media to anon, authenticated, service_role;
grant insert (media_id, title, description, is_published, position),
update (title, description, is_published, position),
delete
on public.profile_media to authenticated;

-- policies/media/storage_objects.sql
-- Files are in the folder with their owner's id, in a private bucket. Each is written once, to the path of a row of
-- media_objects that waits for it, and read by who reads that row.
drop policy if exists objects_select_media_anon on storage.objects;
drop policy if exists objects_select_media on storage.objects;
drop policy if exists objects_insert_media on storage.objects;
drop policy if exists objects_select_remover_of_media on storage.objects;
drop policy if exists objects_delete_remover_of_media on storage.objects;

create policy objects_select_media_anon on storage.objects for select to anon
using (
    bucket_id in ('media')
    and exists (
        select from public.media_objects as m
        where m.path = objects.name and m.status = 'ready'
    )
);

create policy objects_select_media on storage.objects for select to authenticated
using (
    bucket_id in ('media')
    and (
        starts_with(name, (select auth.uid())::text || '/')
        or exists (
            select from public.media_objects as m
            where m.path = objects.name and m.status = 'ready'
        )
    )
);

create policy objects_insert_media on storage.objects for insert to authenticated
with check (bucket_id in ('media') and name = any((select private.my_media_upload_paths())::text[]));

-- no update: a file that was checked must stay what it is. No delete: delete_media has the worker remove it.

create policy objects_select_remover_of_media on storage.objects for select to file_remover
using (
    bucket_id in ('media')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);

create policy objects_delete_remover_of_media on storage.objects for delete to file_remover
using (
    bucket_id in ('media')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);

-- policies/commerce/account_statement.sql
select private.close_table('public.account_statement');

grant select on public.account_statement to authenticated, service_role;

-- policies/commerce/balance_transactions.sql
select private.close_table('private.balance_transactions');

create policy balance_transactions_all_nobody on private.balance_transactions
for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it

-- policies/commerce/balances.sql
select private.close_table('public.balances');

grant select on public.balances to authenticated, service_role;

-- policies/commerce/billing_events.sql
select private.close_table('public.billing_events');

grant select on public.billing_events to authenticated, service_role;

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
-- the discount cannot change, and the database counts the uses
grant
insert (
    seller_id, code, percent_off, amount_off, currency, duration, duration_months, offer_id, maximum_uses,
    maximum_uses_per_buyer, starts_at, ends_at, is_active
),
update (maximum_uses, maximum_uses_per_buyer, starts_at, ends_at, is_active)
on public.coupons to authenticated;
grant select on public.coupons to service_role;
-- no delete: orders refer to it

-- policies/commerce/currencies.sql
select private.close_table('private.currencies');

create policy currencies_all_nobody on private.currencies for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it

-- policies/commerce/current_entitlements.sql
select private.close_table('private.current_entitlements');

-- no grant to anybody: functions read it

-- policies/commerce/disputes.sql
select private.close_table('public.disputes');

create policy disputes_select_admin on public.disputes for select to authenticated
using ((select private.has_role('admin')));

grant select on public.disputes to authenticated, service_role;
-- no insert, update or delete: record_dispute_result writes it

-- policies/commerce/entitlements.sql
select private.close_table('public.entitlements');

create policy entitlements_select_party on public.entitlements for select to authenticated
using (user_id = (select auth.uid()) or seller_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.entitlements to authenticated, service_role;
-- no insert, update or delete: sync_entitlements writes it

-- policies/commerce/fulfilments.sql
select private.close_table('public.fulfilments');

create policy fulfilments_select_party on public.fulfilments for select to authenticated
using (seller_id = (select auth.uid()) or buyer_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.fulfilments to authenticated, service_role;
-- no insert, update or delete: fulfil_work and deliver_order write it

-- policies/commerce/functions.sql
-- The API of commerce: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.publish_product(uuid)', '{authenticated}', 'standard');
select private.expose('private.archive_product(uuid)', '{authenticated}', 'standard');
select private.expose('private.retire_product_file(uuid)', '{authenticated}', 'standard');
select private.expose('private.replace_product_file(uuid, text, bigint, text)', '{authenticated}', 'standard');
select private.expose('private.publish_offer(uuid)', '{authenticated}', 'standard');
select private.expose('private.archive_offer(uuid)', '{authenticated}', 'standard');
select private.expose(
    'private.place_order(uuid, uuid, integer, bigint, text, uuid, jsonb)',
    '{authenticated}', 'strict'
);
select private.expose('private.cancel_order(uuid)', '{authenticated}', 'standard');
select private.expose('private.refund_order(uuid, bigint, text)', '{authenticated}', 'strict');
select private.expose('private.mark_order_paid(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.deliver_order(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.order_files(uuid, public.file_type)', '{authenticated}', 'standard');
select private.expose('private.verify_licence(text)', '{anon, authenticated}', 'standard');
select private.expose('private.order_document(uuid)', '{authenticated}', 'standard');
select private.expose('private.sync_offer(uuid)', '{authenticated}', 'strict');
select private.expose('private.bind_course_price(uuid, text, text)', '{authenticated}', 'strict');
select private.expose('private.request_payout(text, bigint)', '{authenticated}', 'strict');
select private.expose('private.approve_payouts(uuid[])', '{authenticated}', 'strict');
select private.expose('private.process_payouts(uuid[])', '{authenticated}', 'strict');
select private.expose('private.cancel_payout(uuid)', '{authenticated}', 'strict');

-- Helpers of policies and views.
grant execute on function private.my_product_ids() to authenticated;
grant execute on function private.my_bought_file_ids() to authenticated;
grant execute on function private.my_bought_paths() to authenticated;
grant execute on function private.reconciliation() to authenticated;

-- The edge: checkout, onboarding and the browser's return.
grant execute on function private.checkout_payload(uuid) to edge;
grant execute on function private.bind_stripe_object(text, text, uuid) to edge;
grant execute on function private.bind_session(text, uuid, text) to edge;
grant execute on function private.stripe_id_of(text, uuid) to edge;
grant execute on function private.stripe_observed_at(text) to edge;
grant execute on function private.stripe_attempt(text, text) to edge;
grant execute on function private.renew_stripe_attempt(text, text, integer) to edge;
grant execute on function private.drop_stripe_id(text, text) to edge;
grant execute on function private.payout_account_payload(uuid) to edge;
grant execute on function private.bind_payout_account(uuid, text) to edge;
grant execute on function private.apply_stripe_object(jsonb, timestamptz) to edge;
grant execute on function private.require_resumable(uuid, uuid) to edge;
grant execute on function private.require_price_binder(uuid) to edge;
grant execute on function private.record_stripe_price(jsonb) to edge;

-- The worker: requests to Stripe.
grant execute on function private.stripe_observed_at(text) to worker;
grant execute on function private.offer_payload(uuid) to worker;
grant execute on function private.refund_payload(uuid) to worker;
grant execute on function private.payout_payload(uuid) to worker;
grant execute on function private.renewal_payload(uuid) to worker;
grant execute on function private.record_refund_result(uuid, public.refund_status) to worker;
grant execute on function private.try_fulfilment(uuid) to worker;
grant execute on function private.record_payout_result(uuid, text, text, text) to worker;
grant execute on function private.record_stripe_transfer(uuid, jsonb) to worker;
grant execute on function private.record_stripe_balance(jsonb) to worker;
grant execute on function private.stripe_attempt(text, text) to worker;
grant execute on function private.renew_stripe_attempt(text, text, integer) to worker;
grant execute on function private.drop_stripe_id(text, text) to worker;
grant execute on function private.bind_stripe_object(text, text, uuid) to worker;
grant execute on function private.apply_stripe_object(jsonb, timestamptz) to worker;
grant execute on function private.upsert_balance_transactions(jsonb) to worker;
grant execute on function private.newest_balance_transaction() to worker;

-- policies/commerce/ledger_accounts.sql
select private.close_table('public.ledger_accounts');

create policy ledger_accounts_select_owner_or_admin on public.ledger_accounts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.ledger_accounts to authenticated, service_role;
-- no insert, update or delete: post_journal writes it

-- policies/commerce/ledger_entries.sql
select private.close_table('public.ledger_entries');

create policy ledger_entries_select_owner_or_admin on public.ledger_entries for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.ledger_entries to authenticated, service_role;
-- no insert, update or delete: post_journal writes it

-- policies/commerce/ledger_journals.sql
select private.close_table('public.ledger_journals');

create policy ledger_journals_select_admin on public.ledger_journals for select to authenticated
using ((select private.has_role('admin')));

grant select on public.ledger_journals to authenticated, service_role;
-- no insert, update or delete: post_journal writes it

-- policies/commerce/licence_terms.sql
select private.close_table('public.licence_terms');

create policy licence_terms_select_all on public.licence_terms for select to anon, authenticated
using (exists (select from public.offers as o where o.id = licence_terms.offer_id));

create policy licence_terms_insert_seller on public.licence_terms for insert to authenticated
with check (seller_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy licence_terms_update_seller_or_admin on public.licence_terms for update to authenticated
using (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher'))) or (select private.has_role('admin'))
)
with check (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher'))) or (select private.has_role('admin'))
);

grant select on public.licence_terms to anon, authenticated;
-- the tier stays: the offer of a beat for each tier is another one
grant
insert (
    offer_id, tier, file_types, maximum_copies, maximum_streams, maximum_videos, maximum_performances,
    is_credit_required, term_years
),
update (
    file_types, maximum_copies, maximum_streams, maximum_videos, maximum_performances, is_credit_required, term_years
)
on public.licence_terms to authenticated;
grant select on public.licence_terms to service_role;
-- no delete: terms go with their offer, and an offer on sale keeps them

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

-- policies/commerce/offer_kinds.sql
select private.close_table('public.offer_kinds');

create policy offer_kinds_select_all on public.offer_kinds for select to anon, authenticated using (true);

grant select on public.offer_kinds to anon, authenticated, service_role;
-- no insert, update or delete: a kind comes with the code that fulfils it, in a migration

-- policies/commerce/offer_problems.sql
select private.close_table('public.offer_problems');

grant select on public.offer_problems to authenticated, service_role;
-- no policy: the view runs as its caller, under those of the tables it shows

-- policies/commerce/offers.sql
select private.close_table('public.offers');

create policy offers_select_anon on public.offers for select to anon
using (status = 'active');

create policy offers_select_authenticated on public.offers for select to authenticated
using (status = 'active' or seller_id = (select auth.uid()) or (select private.has_role('admin')));

-- nobody inserts the offer of a course: the course makes it, and course_id is not granted
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
-- kind, seller and product cannot change; publish_offer and archive_offer write the status
grant
insert (
    seller_id, kind, title, description, price_amount, price_currency, maximum_amount, maximum_quantity,
    billing_interval, trial_days, credits, duration_minutes, product_id
),
update (
    title, description, price_amount, price_currency, maximum_amount, maximum_quantity, trial_days, credits,
    duration_minutes
),
delete
on public.offers to authenticated;
grant select on public.offers to service_role;

-- policies/commerce/order_courses.sql
select private.close_table('public.order_courses');

create policy order_courses_select_party on public.order_courses for select to authenticated
using (exists (select from public.orders as o where o.id = order_courses.order_id));

grant select on public.order_courses to authenticated, service_role;
-- no insert, update or delete: the database writes it with the order

-- policies/commerce/order_terms.sql
select private.close_table('public.order_terms');

create policy order_terms_select_party on public.order_terms for select to authenticated
using (exists (select from public.orders as o where o.id = order_terms.order_id));

grant select on public.order_terms to authenticated, service_role;
-- no insert, update or delete: the database writes it with the order

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
-- no insert, update or delete: place_order, cancel_order, mark_order_paid and reports of the payment provider write it

-- policies/commerce/payment_exceptions.sql
select private.close_table('public.payment_exceptions');

create policy payment_exceptions_select_admin on public.payment_exceptions for select to authenticated
using ((select private.has_role('admin')));

grant select on public.payment_exceptions to authenticated, service_role;
-- no insert, update or delete: report_payment_exception and resolve_payment_exception write it

-- policies/commerce/payment_providers.sql
select private.close_table('private.payment_providers');

create policy payment_providers_all_nobody on private.payment_providers for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions read it, and migrations add rows

-- policies/commerce/payment_splits.sql
select private.close_table('public.payment_splits');

create policy payment_splits_select_owner_or_admin on public.payment_splits for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payment_splits to authenticated, service_role;
-- no insert, update or delete: receive_payment and reverse_splits write it

-- policies/commerce/payments.sql
select private.close_table('private.payments');

create policy payments_all_nobody on private.payments for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it

-- policies/commerce/payout_accounts.sql
select private.close_table('public.payout_accounts');

create policy payout_accounts_select_owner_or_admin on public.payout_accounts for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payout_accounts to authenticated, service_role;
-- no insert, update or delete: bind_payout_account and apply_account write it

-- policies/commerce/payout_items.sql
select private.close_table('public.payout_items');

create policy payout_items_select_owner_or_admin on public.payout_items for select to authenticated
using (user_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.payout_items to authenticated, service_role;
-- no insert, update or delete: a trigger of payouts writes it

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
-- kind and creator cannot change; publish_product and archive_product write the status, the database is_sold
grant
insert (creator_id, kind, title, description, bpm, musical_key),
update (title, description, bpm, musical_key),
delete
on public.products to authenticated;
grant select on public.products to service_role;

-- policies/commerce/provider_attempts.sql
select private.close_table('private.provider_attempts');

create policy provider_attempts_all_nobody on private.provider_attempts for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it

-- policies/commerce/provider_balances.sql
select private.close_table('private.provider_balances');

create policy provider_balances_all_nobody on private.provider_balances for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it

-- policies/commerce/provider_references.sql
select private.close_table('private.provider_references');

create policy provider_references_all_nobody on private.provider_references for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it

-- policies/commerce/reconciliation.sql
select private.close_table('public.reconciliation');

grant select on public.reconciliation to authenticated;

-- policies/commerce/refunds.sql
select private.close_table('public.refunds');

create policy refunds_select_buyer_or_admin on public.refunds for select to authenticated
using (buyer_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.refunds to authenticated, service_role;
-- no insert, update or delete: refund_order and record_refund_result write it

-- policies/commerce/storage_objects.sql
-- Files of products are in the folder with the product's id, in a private bucket. Buyers read the files of their
-- orders.
drop policy if exists objects_select_seller_or_buyer on storage.objects;
drop policy if exists objects_insert_seller on storage.objects;
drop policy if exists objects_update_seller on storage.objects;
drop policy if exists objects_delete_seller on storage.objects;

create policy objects_select_seller_or_buyer on storage.objects for select to authenticated
using (
    bucket_id in ('products')
    and (
        split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        or name = any((select private.my_bought_paths())::text[])
    )
);

create policy objects_insert_seller on storage.objects for insert to authenticated
with check (
    bucket_id in ('products')
    and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
    and (select private.has_role('teacher'))
);

create policy objects_update_seller on storage.objects for update to authenticated
using (
    bucket_id in ('products')
    and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
    and (select private.has_role('teacher'))
)
with check (
    bucket_id in ('products')
    and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
    and (select private.has_role('teacher'))
);

create policy objects_delete_seller on storage.objects for delete to authenticated
using (
    bucket_id in ('products')
    and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
    and (select private.has_role('teacher'))
);

-- policies/commerce/stripe_prices.sql
select private.close_table('private.stripe_prices');

create policy stripe_prices_all_nobody on private.stripe_prices for all to anon, authenticated, service_role
using (false);

-- no grant to anybody: functions write and read it

-- policies/commerce/subscriptions.sql
select private.close_table('public.subscriptions');

create policy subscriptions_select_party on public.subscriptions for select to authenticated
using (user_id = (select auth.uid()) or seller_id = (select auth.uid()) or (select private.has_role('admin')));

grant select on public.subscriptions to authenticated, service_role;
-- no insert, update or delete: apply_subscription writes it
