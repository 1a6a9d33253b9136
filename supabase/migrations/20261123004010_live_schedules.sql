-- Live: schedules. A schedule says when its host can be booked, and on what conditions.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'hours_invalid', 422,
    'The hours of a schedule are lists of at most 100 objects, and those of one day do not overlap.',
    'Send rules as [{"weekday": 1, "start_time": "09:00", "end_time": "17:00"}], Monday is 1, a day ends at 24:00; '
    || 'and exceptions as [{"on_date": "2030-05-01", "start_time": "10:00", "end_time": "12:00"}], without times for a '
    || 'day off.',
    null
),
(
    'schedule_not_found', 404,
    'There is no such schedule, or its host cannot be booked now.',
    'Read your schedules again, or choose another host.',
    null
);

create table public.schedules (
    id uuid not null default gen_random_uuid() constraint schedules_pkey primary key,
    host_id uuid not null default auth.uid()
    constraint schedules_host_id_fkey references public.profiles (id) on delete cascade,
    name text not null constraint schedules_name_check check (private.is_name(name, 80)),
    time_zone text not null,
    is_default boolean not null default false,
    slot_minutes integer[] not null default '{60}',
    step_minutes integer not null default 30
    constraint schedules_step_minutes_check check (step_minutes between 5 and 480),
    buffer_before_minutes integer not null default 0
    constraint schedules_buffer_before_minutes_check check (buffer_before_minutes between 0 and 240),
    buffer_after_minutes integer not null default 0
    constraint schedules_buffer_after_minutes_check check (buffer_after_minutes between 0 and 240),
    minimum_notice_minutes integer not null default 120
    constraint schedules_minimum_notice_minutes_check check (minimum_notice_minutes between 0 and 43200),
    horizon_days integer not null default 60
    constraint schedules_horizon_days_check check (horizon_days between 1 and 365),
    maximum_per_day integer constraint schedules_maximum_per_day_check check (maximum_per_day between 1 and 100),
    maximum_per_week integer constraint schedules_maximum_per_week_check check (maximum_per_week between 1 and 500),
    requires_acceptance boolean not null default false,
    cancellation_notice_hours integer not null default 24
    constraint schedules_cancellation_notice_hours_check check (cancellation_notice_hours between 0 and 720),
    late_cancellation_percent integer not null default 0
    constraint schedules_late_cancellation_percent_check check (late_cancellation_percent between 0 and 100),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint schedules_slot_minutes_check check (
        cardinality(slot_minutes) between 1 and 10 and array_ndims(slot_minutes) = 1
        and array_position(slot_minutes, null) is null and 10 <= all(slot_minutes) and 480 >= all(slot_minutes)
    )
);
comment on table public.schedules is
'When a host can be booked, and on what conditions. Hosts, who are teachers and approved student-teachers, read and
write their own, moderators read all; everybody who is signed in asks available_slots. set_schedule_hours writes the
hours.';
comment on column public.schedules.time_zone is
'The IANA time zone of the hours, and of the days and weeks of the limits.';
comment on column public.schedules.is_default is
'The schedule by which the host is booked where none is named: the first, until set_default_schedule names another.';
comment on column public.schedules.slot_minutes is
'The lengths in which the host can be booked, 10 to 480 minutes; the first is the usual one.';
comment on column public.schedules.step_minutes is
'The distance between the beginnings of slots, from the beginning of each span of hours on.';
comment on column public.schedules.buffer_before_minutes is 'Minutes that stay free before a slot.';
comment on column public.schedules.buffer_after_minutes is 'Minutes that stay free after a slot.';
comment on column public.schedules.minimum_notice_minutes is 'How many minutes ahead a slot is still offered.';
comment on column public.schedules.horizon_days is 'How many days ahead slots are offered.';
comment on column public.schedules.maximum_per_day is
'So many commitments of the host in a day end the offers of that day; null for no limit.';
comment on column public.schedules.maximum_per_week is
'So many commitments of the host in a week from Monday end the offers of that week; null for no limit.';
comment on column public.schedules.requires_acceptance is
'Whether the host accepts each booking; the time is kept until they answer or it begins.';
comment on column public.schedules.cancellation_notice_hours is
'How many hours before it begins a student can cancel at no cost. A booking keeps it as it was.';
comment on column public.schedules.late_cancellation_percent is
'The share of the price that a student loses who cancels later. A booking keeps it as it was.';
comment on constraint schedules_cancellation_notice_hours_check on public.schedules is 'The notice is 0 to 720 hours.';
comment on constraint schedules_late_cancellation_percent_check on public.schedules is 'A share is 0 to 100 percent.';
comment on constraint schedules_host_id_fkey on public.schedules is 'The host of a schedule has a profile.';
comment on constraint schedules_name_check on public.schedules is
'A name is one line of 1 to 80 characters, of which some are visible.';
comment on constraint schedules_slot_minutes_check on public.schedules is
'A schedule has 1 to 10 lengths of slots, of 10 to 480 minutes.';
comment on constraint schedules_step_minutes_check on public.schedules is 'A step has 5 to 480 minutes.';
comment on constraint schedules_buffer_before_minutes_check on public.schedules is 'A buffer has 0 to 240 minutes.';
comment on constraint schedules_buffer_after_minutes_check on public.schedules is 'A buffer has 0 to 240 minutes.';
comment on constraint schedules_minimum_notice_minutes_check on public.schedules is
'The notice has at most 43,200 minutes, which are 30 days.';
comment on constraint schedules_horizon_days_check on public.schedules is 'The horizon is 1 to 365 days ahead.';
comment on constraint schedules_maximum_per_day_check on public.schedules is 'A limit a day is 1 to 100.';
comment on constraint schedules_maximum_per_week_check on public.schedules is 'A limit a week is 1 to 500.';
alter table public.schedules enable row level security;
revoke all on public.schedules from anon, authenticated, service_role;
create index schedules_host_id_idx on public.schedules (host_id, created_at);
comment on index public.schedules_host_id_idx is
'The schedules of a host: host_id=eq.&order=created_at, the policies, and the foreign key';
create unique index schedules_default_key on public.schedules (host_id) where is_default;
comment on index public.schedules_default_key is 'A host has one default schedule';
create trigger _100_check_time_zone before insert or update of time_zone on public.schedules
for each row execute function private.tg__check_time_zone();
create trigger _200_set_updated_at before update on public.schedules
for each row execute function private.tg__set_updated_at();

create table public.schedule_rules (
    schedule_id uuid not null
    constraint schedule_rules_schedule_id_fkey references public.schedules (id) on delete cascade,
    weekday smallint not null constraint schedule_rules_weekday_check check (weekday between 1 and 7),
    start_time time not null,
    end_time time not null,
    constraint schedule_rules_pkey primary key (schedule_id, weekday, start_time),
    constraint schedule_rules_end_time_check check (end_time > start_time),
    constraint schedule_rules_overlap_excl exclude using gist (
        schedule_id with =, weekday with =,
        numrange(extract(epoch from start_time), extract(epoch from end_time)) with &&
    )
);
comment on table public.schedule_rules is
'The weekly hours of schedules. Who reads the schedule reads them; set_schedule_hours writes them.';
comment on column public.schedule_rules.weekday is 'From Monday, 1, to Sunday, 7.';
comment on column public.schedule_rules.start_time is 'The local time at which the hours begin.';
comment on column public.schedule_rules.end_time is 'The local time at which they end; 24:00 is the end of the day.';
alter table public.schedule_rules enable row level security;
revoke all on public.schedule_rules from anon, authenticated, service_role;

create table public.schedule_exceptions (
    id uuid not null default gen_random_uuid() constraint schedule_exceptions_pkey primary key,
    schedule_id uuid not null
    constraint schedule_exceptions_schedule_id_fkey references public.schedules (id) on delete cascade,
    on_date date not null,
    start_time time,
    end_time time,
    constraint schedule_exceptions_end_time_check check (
        (start_time is null) = (end_time is null) and (start_time is null or end_time > start_time)
    ),
    constraint schedule_exceptions_overlap_excl exclude using gist (
        schedule_id with =, on_date with =,
        numrange(coalesce(extract(epoch from start_time), 0), coalesce(extract(epoch from end_time), 86400)) with &&
    )
);
comment on table public.schedule_exceptions is
'The hours of single days, which replace the weekly ones; a row without times is a day off. Who reads the schedule reads
them; set_schedule_hours writes them.';
comment on column public.schedule_exceptions.on_date is 'The local date.';
comment on column public.schedule_exceptions.start_time is
'The local time at which the hours begin; null for a day off.';
comment on column public.schedule_exceptions.end_time is
'The local time at which they end, up to 24:00; null for a day off.';
alter table public.schedule_exceptions enable row level security;
revoke all on public.schedule_exceptions from anon, authenticated, service_role;
create index schedule_exceptions_schedule_id_idx on public.schedule_exceptions (schedule_id, on_date);
comment on index public.schedule_exceptions_schedule_id_idx is
'The exceptions of a schedule: schedule_id=eq.&order=on_date, open_spans, and the foreign key';

create function private.can_host(p_user_id uuid) returns boolean
language plpgsql
stable
security definer -- reads the status and the roles of others
set search_path = ''
as $$
begin
    return private.can_teach(p_user_id) or (
        private.is_account_active(p_user_id) and exists (
            select from public.student_teachers as t where t.user_id = p_user_id and t.status = 'approved'
        )
    );
end
$$;
comment on function private.can_host(uuid) is
'Whether a user can be booked: a teacher or an approved student-teacher with an active account.';

create function private.is_host() returns boolean
language plpgsql -- keeps its plan for the session; policies call it
stable
security definer -- reads roles
set search_path = ''
as $$
begin
    return private.can_host((select auth.uid()));
end
$$;
comment on function private.is_host() is 'Whether the caller can be booked: what can_host says of them.';

create function private.my_schedule_ids() returns uuid[]
language plpgsql
stable
security definer -- policies of the hours call it
set search_path = ''
as $$
begin
    return array(select s.id from public.schedules as s where s.host_id = (select auth.uid()));
end
$$;
comment on function private.my_schedule_ids() is
'The schedules of the caller. Policies call it as any((select private.my_schedule_ids())::uuid[]).';

create function private.tg_schedules__make_default() returns trigger
language plpgsql
security definer -- clients may not write is_default
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        -- One after another: two at once would both be the first.
        perform pg_catalog.pg_advisory_xact_lock(
            pg_catalog.hashtextextended('schedules.default:' || new.host_id::text, 0)
        );
        new.is_default := not exists (
            select from public.schedules as s where s.host_id = new.host_id and s.is_default
        );
        return new;
    end if;
    update public.schedules as s set is_default = true
    where s.id = (
        select n.id from public.schedules as n where n.host_id = old.host_id order by n.created_at, n.id limit 1
    );
    return null;
end
$$;
comment on function private.tg_schedules__make_default() is
'Before insert: the first schedule of a host is the default. After the default is deleted: the oldest one left is.';
create trigger _110_make_default before insert on public.schedules
for each row execute function private.tg_schedules__make_default();
create trigger _310_make_default after delete on public.schedules
for each row when (old.is_default) execute function private.tg_schedules__make_default();

create function private.require_own_schedule(p_schedule_id uuid) returns public.schedules
language plpgsql
security definer -- locks a row of which clients may not write all columns
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_schedule public.schedules;
begin
    select s.* into v_schedule from public.schedules as s
    where s.host_id = v_caller and (s.id = p_schedule_id or (p_schedule_id is null and s.is_default))
        and (select private.is_host())
    for no key update;
    if not found then
        perform private.refuse('schedule_not_found');
    end if;
    return v_schedule;
end
$$;
comment on function private.require_own_schedule(uuid) is
'Locks a schedule of the caller, by default the default one, and returns it. Raises schedule_not_found (404).';

create function private.set_default_schedule(p_schedule_id uuid) returns public.schedules
language plpgsql
security definer -- clients may not write is_default
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_schedule public.schedules;
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('schedules.default:' || v_caller::text, 0));
    v_schedule := private.require_own_schedule(p_schedule_id);
    update public.schedules as s set is_default = false
    where s.host_id = v_caller and s.is_default and s.id <> v_schedule.id;
    update public.schedules as s set is_default = true where s.id = v_schedule.id
    returning s.* into v_schedule;
    return v_schedule;
end
$$;
comment on function private.set_default_schedule(uuid) is
'Makes a schedule of the caller the default one, and returns it. For its host. Raises schedule_not_found (404).';

create function private.are_hours(p_hours jsonb, p_day text, p_day_pattern text, p_may_be_off boolean)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_time constant text := '^(([01]\d|2[0-3]):[0-5]\d|24:00)(:00)?$';
begin
    return jsonb_typeof(p_hours) = 'array' and jsonb_array_length(p_hours) <= 100 and coalesce(
        (
            select bool_and(
                jsonb_typeof(t.item) = 'object'
                and coalesce((t.item ->> p_day) ~ p_day_pattern, false)
                and (
                    (p_may_be_off and t.item ->> 'start_time' is null and t.item ->> 'end_time' is null)
                    or coalesce((t.item ->> 'start_time') ~ v_time and (t.item ->> 'end_time') ~ v_time, false)
                )
            )
            from jsonb_array_elements(p_hours) as t (item)
        ),
        true
    );
end
$$;
comment on function private.are_hours(jsonb, text, text, boolean) is
'Whether this is a list of at most 100 spans of hours, each an object with a day, start_time and end_time (HH:MM), or,
where that is allowed, without times.';

create function private.schedule_hours(p_schedule_id uuid) returns jsonb
language sql
stable
set search_path = ''
as $$
    select to_jsonb(s) || jsonb_build_object(
        'rules', (
            select coalesce(jsonb_agg(to_jsonb(r) - 'schedule_id' order by r.weekday, r.start_time), '[]')
            from public.schedule_rules as r where r.schedule_id = s.id
        ),
        'exceptions', (
            select coalesce(
                jsonb_agg(to_jsonb(e) - 'schedule_id' - 'id' order by e.on_date, e.start_time nulls first), '[]'
            )
            from public.schedule_exceptions as e where e.schedule_id = s.id
        )
    )
    from public.schedules as s
    where s.id = p_schedule_id
$$;
comment on function private.schedule_hours(uuid) is
'A schedule with its rules and exceptions, as set_schedule_hours returns it.';

create function private.set_schedule_hours(
    p_rules jsonb, p_exceptions jsonb default '[]', p_schedule_id uuid default null
)
returns jsonb
language plpgsql
security definer -- clients may not write hours
set search_path = ''
as $$
declare
    v_schedule public.schedules := private.require_own_schedule(p_schedule_id);
begin
    if not coalesce(private.are_hours(p_rules, 'weekday', '^[1-7]$', false), false)
        or not coalesce(private.are_hours(p_exceptions, 'on_date', '^\d{4}-\d\d-\d\d$', true), false)
        or exists (
            select from jsonb_array_elements(p_exceptions) as t (item)
            where not pg_input_is_valid(t.item ->> 'on_date', 'date')
        )
    then
        perform private.refuse('hours_invalid');
    end if;
    delete from public.schedule_rules as r where r.schedule_id = v_schedule.id;
    delete from public.schedule_exceptions as e where e.schedule_id = v_schedule.id;
    begin
        insert into public.schedule_rules (schedule_id, weekday, start_time, end_time)
        select
            v_schedule.id, (t.item ->> 'weekday')::smallint, (t.item ->> 'start_time')::time,
            (t.item ->> 'end_time')::time
        from jsonb_array_elements(p_rules) as t (item);
        insert into public.schedule_exceptions (schedule_id, on_date, start_time, end_time)
        select
            v_schedule.id, (t.item ->> 'on_date')::date, (t.item ->> 'start_time')::time, (t.item ->> 'end_time')::time
        from jsonb_array_elements(p_exceptions) as t (item);
    exception when exclusion_violation or check_violation or unique_violation then
        perform private.refuse('hours_invalid');
    end;
    return private.schedule_hours(v_schedule.id);
end
$$;
comment on function private.set_schedule_hours(jsonb, jsonb, uuid) is
'Replaces all hours of a schedule of the caller, by default the default one, and returns the schedule with rules and
exceptions. rules: [{weekday, start_time, end_time}], weekday from Monday, 1, to Sunday, 7, local times as HH:MM, up to
24:00; exceptions: [{on_date, start_time, end_time}], which replace the rules of that day, without times for a day off.
What is booked stays. For its host. Raises schedule_not_found (404), hours_invalid (422).';
