-- Catalog: how many intro courses a person may take.

insert into private.app_config (key, value, description)
values ('intro_course_limit', '5', 'How many intro courses a person may take.');

create function private.intro_course_limit() returns integer
language plpgsql
stable
security definer -- clients may not read settings; this one is no secret
set search_path = ''
as $$
begin
    return private.setting('intro_course_limit')::integer;
end
$$;
comment on function private.intro_course_limit() is
'How many intro courses (courses.is_intro) each person may take; course_access shows how many the caller has taken. For
everybody. Raises setting_missing (500).';
