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
