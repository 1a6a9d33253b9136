-- Catalog: how many free tasters a person may take.

insert into private.app_config (key, value, description)
values ('free_course_limit', '5', 'How many intro courses a person may take without paying for anything.');

create function private.free_course_limit() returns integer
language plpgsql
stable
security definer -- settings are closed to clients; this one is no secret
set search_path = ''
as $$
begin
    return private.setting('free_course_limit')::integer;
end
$$;
comment on function private.free_course_limit() is
'How many intro courses a person may take. Raises PT500 setting_missing.';

create function public.free_course_limit() returns integer
language sql
stable
set search_path = ''
as $$
    select private.free_course_limit()
$$;
comment on function public.free_course_limit() is
'How many intro courses (courses.is_intro) each person may take; course_access says how many the caller has taken. For
everybody. Raises setting_missing (500).';
