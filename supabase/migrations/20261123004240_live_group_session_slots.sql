-- Live: the slots of group sessions: planned, changed and cancelled by the host, booked by members.

create function private.commit_host(p_host_id uuid, p_starts_at timestamptz, p_ends_at timestamptz) returns uuid
language plpgsql
set search_path = ''
as $$
declare
    v_commitment_id uuid;
begin
    insert into private.commitments (host_id, busy) values (p_host_id, tstzrange(p_starts_at, p_ends_at))
    returning id into v_commitment_id;
    return v_commitment_id;
exception when exclusion_violation then
    perform private.refuse('host_busy');
end
$$;
comment on function private.commit_host(uuid, timestamptz, timestamptz) is
'Keeps the time of a host for a slot or a seminar; returns the commitment. Raises host_busy (409).';

create function private.require_session_time(p_starts_at timestamptz, p_minutes integer) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_starts_at is null or p_starts_at not between now() and now() + interval '1 year'
        or p_minutes is null or p_minutes not between 10 and 480 then
        perform private.refuse('session_time_invalid');
    end if;
end
$$;
comment on function private.require_session_time(timestamptz, integer) is
'Requires a time within a year and 10 to 480 minutes. Raises session_time_invalid (422).';

create function private.require_own_group_session(p_group_session_id uuid) returns public.group_sessions
language plpgsql
security definer -- locks a row for functions
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_session public.group_sessions;
begin
    select s.* into v_session from public.group_sessions as s
    where s.id = p_group_session_id and s.status = 'offered'
        and (
            (s.host_id = v_caller and (select private.has_role('teacher')))
            or (select private.has_role('admin'))
        )
    for no key update;
    if not found then
        perform private.refuse('group_session_not_found');
    end if;
    return v_session;
end
$$;
comment on function private.require_own_group_session(uuid) is
'Locks a group session of the caller, or any for an admin, until the transaction ends. Raises group_session_not_found
(404).';

create function private.add_group_session_slot(
    p_group_session_id uuid, p_starts_at timestamptz, p_duration_minutes integer default null,
    p_time_zone text default null, p_capacity integer default null, p_closes_at timestamptz default null
)
returns public.group_session_slots
language plpgsql
security definer -- clients may not write slots, pools and commitments
set search_path = ''
as $$
declare
    v_session public.group_sessions := private.require_own_group_session(p_group_session_id);
    v_minutes integer := coalesce(p_duration_minutes, v_session.duration_minutes);
    v_ends_at timestamptz;
    v_pool_id uuid;
    v_slot public.group_session_slots;
begin
    perform private.require_session_time(p_starts_at, v_minutes);
    v_ends_at := p_starts_at + make_interval(mins => v_minutes);
    insert into public.seat_pools (
        host_id, capacity, has_waiting_list, is_open, is_public, starts_at, ends_at, closes_at
    )
    values (
        v_session.host_id, coalesce(p_capacity, v_session.capacity), v_session.has_waiting_list,
        v_session.visibility <> 'draft', v_session.visibility = 'public', p_starts_at, v_ends_at, p_closes_at
    )
    returning id into v_pool_id;
    insert into public.group_session_slots (
        group_session_id, host_id, pool_id, commitment_id, starts_at, ends_at, time_zone, is_public
    )
    values (
        v_session.id, v_session.host_id, v_pool_id, private.commit_host(v_session.host_id, p_starts_at, v_ends_at),
        p_starts_at, v_ends_at,
        coalesce(
            p_time_zone, (select s.time_zone from public.user_settings as s where s.user_id = v_session.host_id)
        ),
        v_session.visibility = 'public'
    )
    returning * into v_slot;
    return v_slot;
end
$$;
comment on function private.add_group_session_slot(uuid, timestamptz, integer, text, integer, timestamptz) is
'Adds a slot to a group session, which commits the time of its host, and returns it. starts_at: within a year;
duration_minutes and capacity: by default those of the group session; time_zone: by default that of the host. For its
host and admins. Raises group_session_not_found (404), host_busy (409), session_time_invalid or time_zone_invalid
(422).';

create function private.require_own_slot(p_slot_id uuid) returns public.group_session_slots
language plpgsql
security definer -- locks rows for functions
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_slot public.group_session_slots;
begin
    -- The group session first, as its own functions lock it before its slots.
    perform from public.group_sessions as g
    where g.id = (select s.group_session_id from public.group_session_slots as s where s.id = p_slot_id)
    for share;
    select s.* into v_slot from public.group_session_slots as s
    where s.id = p_slot_id
        and (
            (s.host_id = v_caller and (select private.has_role('teacher')))
            or (select private.has_role('admin'))
        )
    for no key update;
    if not found then
        perform private.refuse('slot_not_found');
    end if;
    return v_slot;
end
$$;
comment on function private.require_own_slot(uuid) is
'Locks a slot of the caller, or any for an admin, until the transaction ends. Raises slot_not_found (404).';

create function private.mail_time_change(p_pool_id uuid, p_sequence integer) returns void
language sql
set search_path = ''
as $$
    select private.mail_place(p, 'place_time_changed', '{}', p_sequence::text)
    from public.places as p
    where p.pool_id = p_pool_id and p.status in ('confirmed', 'waiting')
$$;
comment on function private.mail_time_change(uuid, integer) is
'Mails those with a place that the time has changed.';

create function private.update_group_session_slot(
    p_slot_id uuid, p_starts_at timestamptz default null, p_duration_minutes integer default null,
    p_time_zone text default null, p_capacity integer default null, p_has_waiting_list boolean default null,
    p_closes_at timestamptz default null, p_cancellation_notice_hours integer default null,
    p_late_refund_percent integer default null
)
returns public.group_session_slots
language plpgsql
security definer -- clients may not write slots, pools and commitments
set search_path = ''
as $$
declare
    v_slot public.group_session_slots := private.require_own_slot(p_slot_id);
    v_starts_at timestamptz := coalesce(p_starts_at, v_slot.starts_at);
    v_ends_at timestamptz;
    v_commitment_id uuid := v_slot.commitment_id;
    v_is_moved boolean := false;
begin
    if v_slot.status <> 'scheduled' then
        perform private.refuse('registration_closed');
    end if;
    v_ends_at := v_starts_at
        + coalesce(make_interval(mins => p_duration_minutes), v_slot.ends_at - v_slot.starts_at);
    perform private.lock_pool(v_slot.pool_id);
    if (v_starts_at, v_ends_at) is distinct from (v_slot.starts_at, v_slot.ends_at) then
        perform private.require_session_time(
            v_starts_at, (extract(epoch from v_ends_at - v_starts_at) / 60)::integer
        );
        update private.commitments as c set is_live = false where c.id = v_commitment_id;
        v_commitment_id := private.commit_host(v_slot.host_id, v_starts_at, v_ends_at);
        v_is_moved := true;
    end if;
    update public.seat_pools as p
    set
        starts_at = v_starts_at,
        ends_at = v_ends_at,
        capacity = coalesce(p_capacity, p.capacity),
        has_waiting_list = coalesce(p_has_waiting_list, p.has_waiting_list),
        closes_at = coalesce(p_closes_at, p.closes_at),
        cancellation_notice_hours = coalesce(p_cancellation_notice_hours, p.cancellation_notice_hours),
        late_refund_percent = coalesce(p_late_refund_percent, p.late_refund_percent)
    where p.id = v_slot.pool_id;
    update public.group_session_slots as s
    set
        starts_at = v_starts_at,
        ends_at = v_ends_at,
        time_zone = coalesce(p_time_zone, s.time_zone),
        commitment_id = v_commitment_id,
        ics_sequence = s.ics_sequence + v_is_moved::integer
    where s.id = v_slot.id
    returning s.* into v_slot;
    perform private.move_places_up(v_slot.pool_id);
    if v_is_moved then
        perform private.mail_time_change(v_slot.pool_id, v_slot.ics_sequence);
    end if;
    return v_slot;
end
$$;
comment on function private.update_group_session_slot(
    uuid, timestamptz, integer, text, integer, boolean, timestamptz, integer, integer
) is
'Changes a scheduled slot, and returns it; what is left out stays. Another time commits the host anew and mails
everybody with a place; more seats move people up. For its host and admins. Raises slot_not_found (404),
capacity_below_taken, host_busy or registration_closed (409: it is over), session_time_invalid or time_zone_invalid
(422).';

create function private.end_slot(p_slot_id uuid, p_status public.slot_status, p_reason text default null)
returns public.group_session_slots
language plpgsql
set search_path = ''
as $$
declare
    v_slot public.group_session_slots;
begin
    update public.group_session_slots as s
    set status = p_status, cancellation_reason = left(p_reason, 500)
    where s.id = p_slot_id
    returning s.* into v_slot;
    if p_status = 'cancelled' then
        perform private.close_pool(v_slot.pool_id, 'cancelled', jsonb_build_object('reason', p_reason));
        update private.commitments as c set is_live = false where c.id = v_slot.commitment_id;
    else
        perform private.close_pool(v_slot.pool_id, 'expired');
    end if;
    return v_slot;
end
$$;
comment on function private.end_slot(uuid, public.slot_status, text) is
'Cancels a slot with its places and frees the time of the host, or completes it. Raises illegal_transition (409).';

create function private.cancel_group_session_slot(p_slot_id uuid, p_reason text default null)
returns public.group_session_slots
language plpgsql
security definer -- clients may not write slots
set search_path = ''
as $$
declare
    v_slot public.group_session_slots := private.require_own_slot(p_slot_id);
begin
    if v_slot.status = 'cancelled' then
        return v_slot;
    end if;
    return private.end_slot(v_slot.id, 'cancelled', p_reason);
end
$$;
comment on function private.cancel_group_session_slot(uuid, text) is
'Cancels a slot, mails everybody with a place, and returns it; what they paid is due back. A cancelled one stays as it
is. For its host and admins. Raises slot_not_found (404), illegal_transition (409: it is over).';

create function private.delete_group_session(p_group_session_id uuid) returns void
language plpgsql
security definer -- clients may not delete group sessions
set search_path = ''
as $$
declare
    v_session public.group_sessions := private.require_own_group_session(p_group_session_id);
begin
    perform private.end_slot(s.id, 'cancelled')
    from (
        select l.id from public.group_session_slots as l
        where l.group_session_id = v_session.id and l.status = 'scheduled' and l.ends_at > now()
        order by l.id for no key update
    ) as s;
    update public.group_sessions as s set status = 'deleted', visibility = 'draft' where s.id = v_session.id;
end
$$;
comment on function private.delete_group_session(uuid) is
'Deletes a group session: cancels its slots ahead, mails everybody with a place, and what they paid is due back. People
who had a place keep reading it. For its host and admins. Raises group_session_not_found (404).';

create function private.tg_group_sessions__show() returns trigger
language plpgsql
security definer -- clients may not write slots and pools
set search_path = ''
as $$
begin
    update public.group_session_slots as s set is_public = new.visibility = 'public'
    where s.group_session_id = new.id;
    perform private.lock_pool(p.pool_id)
    from (
        select s.pool_id from public.group_session_slots as s
        where s.group_session_id = new.id
        order by s.pool_id
    ) as p;
    update public.seat_pools as p
    set is_public = new.visibility = 'public', is_open = new.visibility <> 'draft' and s.status = 'scheduled'
    from public.group_session_slots as s
    where s.group_session_id = new.id and p.id = s.pool_id;
    return null;
end
$$;
comment on function private.tg_group_sessions__show() is
'After the visibility of a group session changed: its slots and their seats follow. People keep their places.';
create trigger _300_show after update of visibility on public.group_sessions
for each row when (old.visibility <> new.visibility) execute function private.tg_group_sessions__show();

create function private.slot_for_booking(p_slot_id uuid) returns public.group_session_slots
language plpgsql
stable
security definer -- reads slots that no list shows
set search_path = ''
as $$
declare
    v_slot public.group_session_slots;
begin
    select s.* into v_slot from public.group_session_slots as s
    join public.group_sessions as g on g.id = s.group_session_id
    where s.id = p_slot_id and g.status = 'offered' and g.visibility <> 'draft';
    if not found then
        perform private.refuse('slot_not_found');
    end if;
    return v_slot;
end
$$;
comment on function private.slot_for_booking(uuid) is 'A slot that is offered. Raises slot_not_found (404).';

create function private.book_slot(p_slot_id uuid) returns public.places
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_caller uuid := private.require_confirmed_address();
    v_slot public.group_session_slots := private.slot_for_booking(p_slot_id);
begin
    perform from public.accounts as a where a.user_id = v_caller for share;
    if v_slot.host_id = v_caller then
        perform private.refuse('host_cannot_attend');
    elsif not exists (
        select from public.places as p
        where p.pool_id = v_slot.pool_id and p.user_id = v_caller and p.status not in ('cancelled', 'expired')
    ) then
        perform private.require_place_access(v_slot.pool_id, v_caller);
    end if;
    return private.take_place(v_slot.pool_id, v_caller);
end
$$;
comment on function private.book_slot(uuid) is
'Takes a seat of a slot for the caller, or a turn in its waiting list, mails them, and returns the place; a place they
have stays. For members with a confirmed address. Raises payment_required (402), email_not_confirmed, not_enrolled or
removed_by_host (403), slot_not_found or user_not_found (404), already_registered, host_cannot_attend,
registration_closed or seats_taken (409).';

create function private.grant_slot_place(p_slot_id uuid, p_user_id uuid) returns public.places
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_pool_id uuid;
begin
    -- The account of the person comes first, as for everybody who takes a place.
    perform from public.accounts as a where a.user_id = p_user_id for share;
    v_pool_id := (private.require_own_slot(p_slot_id)).pool_id;
    return private.take_place(v_pool_id, p_user_id, null, true);
end
$$;
comment on function private.grant_slot_place(uuid, uuid) is
'Gives a seat of a slot to a member, whatever its access and after registration closed, mails them, and returns the
place. For its host and admins. Raises removed_by_host (403), slot_not_found or user_not_found (404),
already_registered, host_cannot_attend, registration_closed (it is over) or seats_taken (409).';

create function private.group_session_details(p_group_session_id uuid) returns jsonb
language plpgsql
stable
security definer -- shows unlisted sessions, which no list shows
set search_path = ''
as $$
declare
    v_session public.group_sessions;
    v_is_host boolean;
begin
    select s.* into v_session from public.group_sessions as s where s.id = p_group_session_id;
    v_is_host := coalesce(v_session.host_id = (select auth.uid()), false) or private.has_role('moderator');
    if v_session.id is null or not (
        (v_session.status = 'offered' and v_session.visibility <> 'draft')
        or v_is_host
        or v_session.id = any(private.my_group_session_ids())
    ) then
        perform private.refuse('group_session_not_found');
    end if;
    return to_jsonb(v_session) || jsonb_build_object(
        'host', (
            select jsonb_build_object('id', h.id, 'display_name', h.display_name, 'handle', h.handle)
            from public.profiles as h where h.id = v_session.host_id
        ),
        'slots', (
            select coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'id', l.id, 'pool_id', l.pool_id, 'starts_at', l.starts_at, 'ends_at', l.ends_at,
                        'time_zone', l.time_zone, 'status', l.status, 'cancellation_reason', l.cancellation_reason,
                        'capacity', p.capacity, 'taken', p.taken, 'seats_left', p.capacity - p.taken,
                        'waiting', p.waiting, 'has_waiting_list', p.has_waiting_list, 'is_open', p.is_open,
                        'closes_at', p.closes_at,
                        'my_place', (
                            select jsonb_build_object('id', m.id, 'status', m.status, 'held_until', m.held_until)
                            from public.places as m
                            where m.pool_id = p.id and m.user_id = (select auth.uid())
                                and m.status not in ('cancelled', 'expired')
                        ),
                        'attendees', case when v_is_host then private.pool_attendees(p.id, true) end
                    )
                    order by l.starts_at, l.id
                ),
                '[]'
            )
            from (
                select s.* from public.group_session_slots as s
                where s.group_session_id = v_session.id
                    and (
                        v_is_host or (s.status = 'scheduled' and s.ends_at > now())
                        or s.pool_id = any(private.my_pool_ids())
                    )
                order by s.starts_at desc, s.id
                limit 100
            ) as l
            join public.seat_pools as p on p.id = l.pool_id
        )
    );
end
$$;
comment on function private.group_session_details(uuid) is
'One group session with its host and its slots, at most the last 100: times, seats, waiting list, the caller''s place;
for its host and moderators also past slots and the attendees with their names. For everybody, also of unlisted ones.
Raises group_session_not_found (404).';

create function private.pool_attendees(p_pool_id uuid, p_is_host boolean) returns jsonb
language sql
stable
set search_path = ''
as $$
    select coalesce(
        jsonb_agg(
            case
                when p_is_host then jsonb_build_object(
                    'place_id', p.id, 'user_id', p.user_id, 'name', n.display_name, 'status', p.status,
                    'is_granted', p.is_granted, 'created_at', p.created_at
                )
                else jsonb_build_object('user_id', p.user_id, 'name', n.display_name)
            end
            order by p.queued_at, p.id
        ),
        '[]'
    )
    from public.places as p
    join public.profiles as n on n.id = p.user_id
    where p.pool_id = p_pool_id
        and case
            when p_is_host then p.status not in ('cancelled', 'expired')
            else p.status in ('confirmed', 'attended') and n.is_public
        end
$$;
comment on function private.pool_attendees(uuid, boolean) is
'The people with a place: for hosts all with their names, for others those with a seat and a public profile.';

create function private.lapse__group_session_slots() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_slot_id uuid;
begin
    select s.id into v_slot_id from public.group_session_slots as s
    where s.status = 'scheduled' and s.ends_at <= now()
    order by s.ends_at limit 1
    for no key update skip locked;
    if not found then
        return 0;
    end if;
    perform private.end_slot(v_slot_id, 'completed');
    return 1;
end
$$;
comment on function private.lapse__group_session_slots() is
'Completes one slot that is over, and ends its waiting list. Returns the number.';
