-- Live: the free slots of hosts, computed from their schedules and commitments.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'slot_minutes_invalid', 422,
    'The host cannot be booked for this length.',
    'Send one of the lengths of the schedule.',
    'The lengths are: %s.'
),
(
    'slot_range_invalid', 422,
    'Free slots are computed for up to 62 days, from one instant to a later one.',
    'Send from and to as instants, such as 2030-05-01T00:00:00Z, at most 62 days apart.',
    null
),
(
    'slot_unavailable', 409,
    'The host does not offer this time, or no longer.',
    'Read available_slots again.',
    null
);

create function private.require_time_zone(p_time_zone text) returns text
language plpgsql
stable
set search_path = ''
as $$
begin
    -- AT TIME ZONE also accepts abbreviations and POSIX rules. pg_timezone_names would read every zone.
    if p_time_zone = 'UTC'
        or (p_time_zone ~ '^[A-Za-z_]+(/[A-Za-z0-9_+-]+)+$' and p_time_zone !~ '^(posix|right)/')
    then
        perform now() at time zone p_time_zone;
        return p_time_zone;
    end if;
    perform private.refuse('time_zone_invalid');
exception when invalid_parameter_value then
    perform private.refuse('time_zone_invalid');
end
$$;
comment on function private.require_time_zone(text) is
'Returns the name of a time zone: UTC or an IANA name. Raises time_zone_invalid (422).';

create function private.open_spans(p_schedule public.schedules, p_from date, p_to date) returns setof tstzrange
language sql
stable
rows 100
set search_path = ''
as $$
    with days as (
        select
            d.day,
            d.day::timestamp at time zone p_schedule.time_zone as begins,
            (d.day + 1)::timestamp at time zone p_schedule.time_zone as ends
        from (select p_from + i as day from generate_series(0, p_to - p_from) as i) as d
    ),
    hours as (
        select d.*, r.start_time, r.end_time
        from days as d
        join public.schedule_rules as r
            on r.schedule_id = p_schedule.id and r.weekday = extract(isodow from d.day)
        where not exists (
            select from public.schedule_exceptions as e where e.schedule_id = p_schedule.id and e.on_date = d.day
        )
        union all
        select d.*, e.start_time, e.end_time
        from days as d
        join public.schedule_exceptions as e
            on e.schedule_id = p_schedule.id and e.on_date = d.day and e.start_time is not null
    ),
    shifts as (
        select
            h.*,
            -- Whether the clocks change on that day.
            (h.begins - interval '3 hours') at time zone p_schedule.time_zone
            - (h.begins - interval '3 hours') at time zone 'UTC'
            <> (h.ends + interval '3 hours') at time zone p_schedule.time_zone
            - (h.ends + interval '3 hours') at time zone 'UTC' as is_shifted
        from hours as h
    )
    select tstzrange(
        (s.day + s.start_time) at time zone p_schedule.time_zone, (s.day + s.end_time) at time zone p_schedule.time_zone
    )
    from shifts as s
    where not s.is_shifted
    union all
    -- Minute by minute: a span may have a gap, or come twice.
    select unnest(range_agg(tstzrange(m.minute, m.minute + interval '1 minute')))
    from shifts as s
    cross join lateral generate_series(
        s.begins - interval '3 hours', s.ends + interval '3 hours', interval '1 minute'
    ) as m (minute)
    where s.is_shifted
        and m.minute at time zone p_schedule.time_zone >= s.day + s.start_time
        and m.minute at time zone p_schedule.time_zone < s.day + s.end_time
    group by s.day, s.start_time
$$;
comment on function private.open_spans(public.schedules, date, date) is
'The spans of the hours of a schedule on these local days, as instants: those at which a clock there shows a time of the
hours. Where the clocks change, a span is shorter or longer, or two.';

create function private.busy_spans(p_host_id uuid, p_from timestamptz, p_to timestamptz) returns setof tstzrange
language sql
stable
rows 100
set search_path = ''
as $$
    select c.busy from private.commitments as c
    where c.host_id = p_host_id and c.is_live and c.busy && tstzrange(p_from, p_to)
$$;
comment on function private.busy_spans(uuid, timestamptz, timestamptz) is
'The live commitments of a host that touch this time.';

create function private.free_slots(
    p_schedule public.schedules, p_from timestamptz, p_to timestamptz, p_minutes integer
)
returns setof tstzrange
language plpgsql
stable
security definer -- reads commitments
rows 500
set search_path = ''
as $$
declare
    v_length interval := make_interval(mins => p_minutes);
    v_first timestamptz := greatest(p_from, now() + make_interval(mins => p_schedule.minimum_notice_minutes));
    v_end timestamptz := least(p_to, now() + make_interval(days => p_schedule.horizon_days));
    v_spans tstzrange[];
    v_open tstzmultirange;
    v_busy tstzmultirange;
    v_full_days date[] := '{}';
    v_full_weeks date[] := '{}';
begin
    if v_first >= v_end then
        return;
    end if;
    v_spans := array(
        select o.span
        from private.open_spans(
            p_schedule,
            (v_first at time zone p_schedule.time_zone)::date - 1, (v_end at time zone p_schedule.time_zone)::date + 1
        ) as o (span)
    );
    select range_agg(t.span) into v_open from unnest(v_spans) as t (span);
    select coalesce(range_agg(b.busy), '{}') into v_busy
    from private.busy_spans(p_schedule.host_id, v_first - interval '1 day', v_end + interval '1 day') as b (busy);
    if p_schedule.maximum_per_day is not null or p_schedule.maximum_per_week is not null then
        select
            coalesce(array_agg(t.day) filter (where t.a_day >= p_schedule.maximum_per_day), '{}'),
            coalesce(array_agg(t.week) filter (where t.a_week >= p_schedule.maximum_per_week), '{}')
        into v_full_days, v_full_weeks
        from (
            select
                d.day,
                date_trunc('week', d.day::timestamp)::date as week,
                count(*) as a_day,
                sum(count(*)) over (partition by date_trunc('week', d.day::timestamp)) as a_week
            from (
                select (lower(b.busy) at time zone p_schedule.time_zone)::date as day
                from private.busy_spans(
                    p_schedule.host_id, v_first - interval '8 days', v_end + interval '8 days'
                ) as b (busy)
            ) as d
            group by d.day
        ) as t;
    end if;
    return query
    select distinct tstzrange(t.starts_at, t.starts_at + v_length) as slot
    from unnest(v_spans) as o (span)
    cross join lateral generate_series(
        lower(o.span), upper(o.span) - interval '1 minute', make_interval(mins => p_schedule.step_minutes)
    ) as t (starts_at)
    where t.starts_at >= v_first and t.starts_at < v_end
        and tstzrange(t.starts_at, t.starts_at + v_length) <@ v_open
        and not v_busy && tstzrange(
            t.starts_at - make_interval(mins => p_schedule.buffer_before_minutes),
            t.starts_at + v_length + make_interval(mins => p_schedule.buffer_after_minutes)
        )
        and (t.starts_at at time zone p_schedule.time_zone)::date <> all(v_full_days)
        and date_trunc('week', t.starts_at at time zone p_schedule.time_zone)::date <> all(v_full_weeks)
    order by slot;
end
$$;
comment on function private.free_slots(public.schedules, timestamptz, timestamptz, integer) is
'The free slots of this length of a schedule that begin in this time, in order. A slot lies in the hours, which may
continue in the next span, begins a number of steps after the beginning of a span, and keeps the buffers, the notice,
the horizon and the limits. Commitments of the host count for the day on which they begin to take time.';

create function private.bookable_schedule(p_host_id uuid, p_schedule_id uuid, p_minutes integer)
returns public.schedules
language plpgsql
stable
security definer -- reads schedules and the status of others
set search_path = ''
as $$
declare
    v_schedule public.schedules;
begin
    select s.* into v_schedule from public.schedules as s
    where s.host_id = p_host_id and (s.id = p_schedule_id or (p_schedule_id is null and s.is_default))
        and private.can_host(p_host_id);
    if not found then
        perform private.refuse('schedule_not_found');
    elsif p_minutes is not null and p_minutes <> all(v_schedule.slot_minutes) then
        perform private.refuse('slot_minutes_invalid', array_to_string(v_schedule.slot_minutes, ', '));
    end if;
    return v_schedule;
end
$$;
comment on function private.bookable_schedule(uuid, uuid, integer) is
'The schedule of a host who can be booked now, by default the default one, after a check of the length. Raises
schedule_not_found (404), slot_minutes_invalid (422).';

create function private.require_range(p_from timestamptz, p_to timestamptz) returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
    if p_from is null or p_to is null or not isfinite(p_from) or not isfinite(p_to) or p_to <= p_from
        or p_to - p_from > interval '62 days'
    then
        perform private.refuse('slot_range_invalid');
    end if;
end
$$;
comment on function private.require_range(timestamptz, timestamptz) is
'Requires a range of at most 62 days. Raises slot_range_invalid (422).';

create function private.available_slots(
    p_host uuid, p_from timestamptz, p_to timestamptz, p_duration integer default null, p_zone text default null,
    p_schedule uuid default null
)
returns table (starts_at timestamptz, ends_at timestamptz, local_starts_at timestamp, local_ends_at timestamp)
language plpgsql
stable
security definer -- reads schedules and commitments of others
rows 500
set search_path = ''
as $$
declare
    v_caller uuid := private.require_signed_in();
    v_zone text := private.require_time_zone(
        coalesce(p_zone, (select s.time_zone from public.user_settings as s where s.user_id = v_caller), 'UTC')
    );
    v_schedule public.schedules;
begin
    perform private.require_range(p_from, p_to);
    v_schedule := private.bookable_schedule(p_host, p_schedule, p_duration);
    return query
    select
        lower(f.slot), upper(f.slot), lower(f.slot) at time zone v_zone, upper(f.slot) at time zone v_zone
    from private.free_slots(v_schedule, p_from, p_to, coalesce(p_duration, v_schedule.slot_minutes[1])) as f (slot);
end
$$;
comment on function private.available_slots(uuid, timestamptz, timestamptz, integer, text, uuid) is
'The free slots of a host that begin from one instant until another, at most 62 days later, in order: as instants, and
as local times in zone (an IANA name; by default that of the caller). duration: minutes, one of the schedule''s lengths,
by default the first; schedule: by default the default one. For everybody who is signed in. Raises sign_in_required
(401), schedule_not_found (404: also of a host who cannot be booked now), slot_range_invalid, slot_minutes_invalid or
time_zone_invalid (422).';

create function private.host_busy_times(p_host uuid, p_from timestamptz, p_to timestamptz)
returns table (starts_at timestamptz, ends_at timestamptz)
language plpgsql
stable
security definer -- reads commitments
rows 100
set search_path = ''
as $$
begin
    perform private.require_signed_in();
    perform private.require_range(p_from, p_to);
    if not private.can_host(p_host) then
        perform private.refuse('schedule_not_found');
    end if;
    return query
    select lower(t.span), upper(t.span)
    from unnest((
        select range_agg(b.busy) * tstzmultirange(tstzrange(p_from, p_to))
        from private.busy_spans(p_host, p_from, p_to) as b (busy)
    )) as t (span);
end
$$;
comment on function private.host_busy_times(uuid, timestamptz, timestamptz) is
'When a host is busy from one instant until another, at most 62 days later, in order, but neither why nor for which
person; times that touch are one. For everybody who is signed in. Raises sign_in_required (401), schedule_not_found
(404: the host cannot be booked now), slot_range_invalid (422).';

create function private.require_bookable(
    p_host_id uuid, p_schedule_id uuid, p_starts_at timestamptz, p_minutes integer
)
returns public.schedules
language plpgsql
security definer -- reads schedules and commitments of others
set search_path = ''
as $$
declare
    v_schedule public.schedules := private.bookable_schedule(p_host_id, p_schedule_id, p_minutes);
begin
    if v_schedule.maximum_per_day is not null or v_schedule.maximum_per_week is not null then
        -- One booking after another: two at once would both be below the limit.
        perform pg_catalog.pg_advisory_xact_lock(
            pg_catalog.hashtextextended('schedules.limits:' || p_host_id::text, 0)
        );
    end if;
    if p_starts_at is null or not isfinite(p_starts_at) or not exists (
        select from private.free_slots(
            v_schedule, p_starts_at, p_starts_at + interval '1 minute',
            coalesce(p_minutes, v_schedule.slot_minutes[1])
        ) as f (slot)
        where lower(f.slot) = p_starts_at
    ) then
        perform private.refuse('slot_unavailable');
    end if;
    return v_schedule;
end
$$;
comment on function private.require_bookable(uuid, uuid, timestamptz, integer) is
'Requires that a host offers a slot of this length at this instant, and returns the schedule. Where it has limits, keeps
other bookings of the host waiting until the transaction ends; what keeps times apart is the constraint of commitments. Raises schedule_not_found (404), slot_unavailable (409), slot_minutes_invalid (422).';
