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
