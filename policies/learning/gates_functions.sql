grant execute on function private.my_locked_lesson_ids() to authenticated, service_role;
