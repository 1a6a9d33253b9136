-- Foundation: time zones by their IANA names.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'time_zone_invalid', 422,
    'There is no such time zone.',
    'Use an IANA name, such as Europe/Lisbon, or UTC.',
    null
);

create function private.tg__check_time_zone() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    -- AT TIME ZONE also accepts abbreviations and POSIX rules, which have no daylight saving time or a made-up one.
    if not exists (
        select from pg_catalog.pg_timezone_names as z
        where z.name = new.time_zone and (z.name like '%/%' or z.name = 'UTC') and z.name !~ '^(posix|right)/'
    ) then
        perform private.refuse('time_zone_invalid');
    end if;
    return new;
end
$$;
comment on function private.tg__check_time_zone() is
'Before insert or update of time_zone: it must be UTC or an IANA name such as Europe/Lisbon. Raises PT422
time_zone_invalid.';
