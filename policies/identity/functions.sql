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
