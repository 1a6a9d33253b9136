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
