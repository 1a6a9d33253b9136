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
