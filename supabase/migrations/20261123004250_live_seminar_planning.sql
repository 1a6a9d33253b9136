-- Live: seminars are planned, published, changed, attended, run and cancelled.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'seminar_host_not_found', 404,
    'There is no such co-host of the seminar.',
    'Read seminar_hosts again.',
    null
);
insert into private.mail_templates (template, topic) values ('seminar_host_invited', 'learning');

create function private.require_own_seminar(p_seminar_id uuid) returns public.seminars
language plpgsql
security definer -- locks a row for functions
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_seminar public.seminars;
begin
    select s.* into v_seminar from public.seminars as s
    where s.id = p_seminar_id
        and (
            (s.host_id = v_caller and (select private.has_role('teacher')))
            or (select private.has_role('admin'))
        )
    for no key update;
    if not found then
        perform private.refuse('seminar_not_found');
    end if;
    return v_seminar;
end
$$;
comment on function private.require_own_seminar(uuid) is
'Locks a seminar of the caller, or any for an admin, until the transaction ends. Raises seminar_not_found (404).';

create function private.commit_seminar_hosts(p_seminar public.seminars) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_host public.seminar_hosts;
begin
    for v_host in
        select h.* from public.seminar_hosts as h
        where h.seminar_id = p_seminar.id
        order by h.user_id for no key update
    loop
        if v_host.commitment_id is not null then
            update private.commitments as c set is_live = false where c.id = v_host.commitment_id;
        end if;
        if v_host.commitment_id is not null or v_host.status = 'accepted' then
            update public.seminar_hosts as h
            set
                commitment_id = case
                    when v_host.status = 'accepted' and p_seminar.status in ('published', 'live')
                        then private.commit_host(v_host.user_id, p_seminar.starts_at, p_seminar.ends_at)
                end
            where h.id = v_host.id;
        end if;
    end loop;
end
$$;
comment on function private.commit_seminar_hosts(public.seminars) is
'Keeps the planned time of all hosts of a locked seminar while it is published or live, and else frees it. Raises
host_busy (409).';

create function private.publish_seminar(p_seminar_id uuid) returns public.seminars
language plpgsql
security definer -- clients may not write the status
set search_path = ''
as $$
declare
    v_seminar public.seminars := private.require_own_seminar(p_seminar_id);
begin
    if v_seminar.status = 'published' then
        return v_seminar;
    elsif v_seminar.status = 'draft' and (v_seminar.starts_at is null or v_seminar.starts_at <= now()) then
        perform private.refuse('seminar_time_required');
    end if;
    update public.seminars as s set status = 'published', published_at = now()
    where s.id = v_seminar.id
    returning s.* into v_seminar;
    update public.seat_pools as p set is_open = true, is_public = true where p.id = v_seminar.pool_id;
    perform private.commit_seminar_hosts(v_seminar);
    return v_seminar;
end
$$;
comment on function private.publish_seminar(uuid) is
'Publishes a draft, which commits the planned time of its hosts and opens the registration, and returns it. A published
one stays as it is. For its host and admins. Raises seminar_not_found (404), host_busy or illegal_transition (409),
seminar_time_required (422).';

create function private.tg_seminars__follow() returns trigger
language plpgsql
security definer -- clients may not write pools and commitments
set search_path = ''
as $$
begin
    perform private.lock_pool(new.pool_id);
    update public.seat_pools as p
    set
        capacity = new.capacity, has_waiting_list = new.has_waiting_list, closes_at = new.closes_at,
        starts_at = new.starts_at, ends_at = new.ends_at
    where p.id = new.pool_id;
    if new.status <> 'draft' and (new.starts_at, new.ends_at) is distinct from (old.starts_at, old.ends_at) then
        perform private.commit_seminar_hosts(new);
        perform private.mail_time_change(new.pool_id, new.ics_sequence);
    end if;
    perform private.move_places_up(new.pool_id);
    return null;
end
$$;
comment on function private.tg_seminars__follow() is
'After a host changed the plan of a seminar: its seats follow, and people move up. Another time commits the hosts anew
and mails everybody with a place. Raises capacity_below_taken or host_busy (409).';
create trigger _300_follow
after update of capacity, has_waiting_list, closes_at, starts_at, duration_minutes on public.seminars
for each row when (
    (new.capacity, new.has_waiting_list, new.closes_at, new.starts_at, new.ends_at)
    is distinct from (old.capacity, old.has_waiting_list, old.closes_at, old.starts_at, old.ends_at)
)
execute function private.tg_seminars__follow();

create function private.tg_seminars__check_plan() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if old.status <> 'draft' then
        if new.starts_at is null then
            perform private.refuse('seminar_time_required');
        elsif old.status = 'live' or new.starts_at not between now() and now() + interval '1 year' then
            perform private.refuse('session_time_invalid');
        end if;
        new.ics_sequence := old.ics_sequence + 1;
    end if;
    return new;
end
$$;
comment on function private.tg_seminars__check_plan() is
'Before the time of a seminar is changed: a published one is moved to a time within a year, a live one is not moved.
Raises seminar_time_required or session_time_invalid (422).';
create trigger _120_check_plan before update of starts_at, duration_minutes on public.seminars
for each row when ((new.starts_at, new.duration_minutes) is distinct from (old.starts_at, old.duration_minutes))
execute function private.tg_seminars__check_plan();

create function private.end_seminar(
    p_seminar_id uuid, p_status public.seminar_status, p_reason text default null
)
returns public.seminars
language plpgsql
set search_path = ''
as $$
declare
    v_seminar public.seminars;
begin
    update public.seminars as s
    set status = p_status, cancellation_reason = left(p_reason, 500)
    where s.id = p_seminar_id
    returning s.* into v_seminar;
    if p_status = 'cancelled' then
        update private.commitments as c set is_live = false
        where c.id in (select h.commitment_id from public.seminar_hosts as h where h.seminar_id = p_seminar_id);
        perform private.close_pool(v_seminar.pool_id, 'cancelled', jsonb_build_object('reason', p_reason));
        update public.seat_pools as p set is_public = false where p.id = v_seminar.pool_id;
    else
        update public.seminar_sessions as s set status = 'ended', ended_at = now()
        where s.seminar_id = p_seminar_id and s.status = 'live';
        perform private.close_pool(v_seminar.pool_id, 'expired');
    end if;
    return v_seminar;
end
$$;
comment on function private.end_seminar(uuid, public.seminar_status, text) is
'Cancels a locked seminar with its places and frees the time of its hosts, or ends it with its live session. Raises
illegal_transition (409).';

create function private.cancel_seminar(p_seminar_id uuid, p_reason text default null) returns public.seminars
language plpgsql
security definer -- clients may not write the status
set search_path = ''
as $$
declare
    v_seminar public.seminars := private.require_own_seminar(p_seminar_id);
begin
    if v_seminar.status = 'cancelled' then
        return v_seminar;
    end if;
    return private.end_seminar(v_seminar.id, 'cancelled', p_reason);
end
$$;
comment on function private.cancel_seminar(uuid, text) is
'Cancels a draft or published seminar, mails everybody with a place, and returns it; what they paid is due back. A
cancelled one stays as it is. For its host and admins. Raises seminar_not_found (404), illegal_transition (409: it is
live or over).';

create function private.register_for_seminar(p_seminar_id uuid) returns public.places
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_caller uuid := private.require_confirmed_address();
    v_seminar public.seminars;
begin
    perform from public.accounts as a where a.user_id = v_caller for share;
    select s.* into v_seminar from public.seminars as s where s.id = p_seminar_id and s.status <> 'draft';
    if not found then
        perform private.refuse('seminar_not_found');
    elsif v_seminar.status not in ('published', 'live') then
        perform private.refuse('seminar_not_open');
    elsif private.hosts_pool(v_seminar.pool_id, v_caller) then
        perform private.refuse('host_cannot_attend');
    elsif not exists (
        select from public.places as p
        where p.pool_id = v_seminar.pool_id and p.user_id = v_caller and p.status not in ('cancelled', 'expired')
    ) then
        perform private.require_place_access(v_seminar.pool_id, v_caller);
    end if;
    return private.take_place(v_seminar.pool_id, v_caller);
end
$$;
comment on function private.register_for_seminar(uuid) is
'Takes a seat of a seminar for the caller, or a turn in its waiting list, mails them, and returns the place; a place
they have stays. For members with a confirmed address. Raises payment_required (402), email_not_confirmed, not_enrolled
or removed_by_host (403), seminar_not_found or user_not_found (404), already_registered, host_cannot_attend,
registration_closed, seats_taken or seminar_not_open (409).';

create function private.unregister_from_seminar(p_seminar_id uuid) returns public.places
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_place_id uuid;
begin
    select p.id into v_place_id from public.places as p
    join public.seminars as s on s.pool_id = p.pool_id
    where s.id = p_seminar_id and p.user_id = v_caller and p.status not in ('cancelled', 'expired');
    if not found then
        perform private.refuse('place_not_found');
    end if;
    return private.give_place_back(v_place_id);
end
$$;
comment on function private.unregister_from_seminar(uuid) is
'Gives the caller''s seat or turn in the waiting list of a seminar back, and returns the place. The first who waits
moves up. Raises place_not_found (404), illegal_transition (409: it is over).';

create function private.grant_seminar_place(p_seminar_id uuid, p_user_id uuid) returns public.places
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_seminar public.seminars;
begin
    -- The account of the person comes first, as for everybody who takes a place.
    perform from public.accounts as a where a.user_id = p_user_id for share;
    v_seminar := private.require_own_seminar(p_seminar_id);
    if v_seminar.status not in ('published', 'live') then
        perform private.refuse('seminar_not_open');
    elsif private.hosts_pool(v_seminar.pool_id, p_user_id) then
        perform private.refuse('host_cannot_attend');
    end if;
    return private.take_place(v_seminar.pool_id, p_user_id, null, true);
end
$$;
comment on function private.grant_seminar_place(uuid, uuid) is
'Gives a seat of a seminar to a member, whatever its access and after registration closed, mails them, and returns the
place. For its host and admins. Raises removed_by_host (403), seminar_not_found or user_not_found (404),
already_registered, host_cannot_attend, registration_closed (it is over), seats_taken or seminar_not_open (409).';

create function private.remove_seminar_attendee(p_seminar_id uuid, p_user_id uuid, p_reason text default null)
returns public.places
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_seminar public.seminars := private.require_own_seminar(p_seminar_id);
    v_place_id uuid;
begin
    select p.id into v_place_id from public.places as p
    where p.pool_id = v_seminar.pool_id and p.user_id = p_user_id and p.status not in ('cancelled', 'expired');
    if not found then
        perform private.refuse('place_not_found');
    end if;
    return private.remove_attendee(v_place_id, p_reason);
end
$$;
comment on function private.remove_seminar_attendee(uuid, uuid, text) is
'remove_attendee for the place of this person in a seminar. For its host and admins. Raises seminar_not_found or
place_not_found (404), illegal_transition (409: it is over).';

create function private.can_attend_seminar(p_user_id uuid, p_seminar_id uuid) returns boolean
language plpgsql
stable
security definer -- asked for others
set search_path = ''
as $$
begin
    return private.is_account_active(p_user_id) and exists (
        select from public.seminars as s
        join public.places as p on p.pool_id = s.pool_id
        where s.id = p_seminar_id and p.user_id = p_user_id and p.status in ('confirmed', 'attended', 'missed')
            and (p.is_granted or private.has_place_access(s.pool_id, p_user_id))
    );
end
$$;
comment on function private.can_attend_seminar(uuid, uuid) is
'Whether a user has a seat of a seminar and their access still holds, with an active account. Entering a room and
recordings ask it; hosts are found by hosts_seminar.';

create function private.hosts_seminar(p_user_id uuid, p_seminar_id uuid) returns boolean
language plpgsql
stable
security definer -- asked for others
set search_path = ''
as $$
begin
    return private.is_account_active(p_user_id) and exists (
        select from public.seminar_hosts as h
        where h.seminar_id = p_seminar_id and h.user_id = p_user_id and h.status = 'accepted'
    );
end
$$;
comment on function private.hosts_seminar(uuid, uuid) is
'Whether a user is the host or a co-host of a seminar, with an active account.';

create function private.invite_seminar_host(p_seminar_id uuid, p_user_id uuid) returns public.seminar_hosts
language plpgsql
security definer -- clients may not write hosts
set search_path = ''
as $$
declare
    v_seminar public.seminars := private.require_own_seminar(p_seminar_id);
    v_host public.seminar_hosts;
begin
    if v_seminar.status not in ('draft', 'published') then
        perform private.refuse('seminar_not_open');
    elsif not private.is_account_active(p_user_id) then
        perform private.refuse('user_not_found');
    elsif exists (
        select from public.places as p
        where p.pool_id = v_seminar.pool_id and p.user_id = p_user_id and p.status not in ('cancelled', 'expired')
    ) then
        perform private.refuse('already_registered');
    end if;
    insert into public.seminar_hosts as h (seminar_id, user_id) values (v_seminar.id, p_user_id)
    on conflict (seminar_id, user_id) do update
    set status = case when h.status in ('declined', 'left') then 'invited' else h.status end
    returning h.* into v_host;
    if v_host.status = 'invited' then
        perform private.enqueue_mail(
            p_user_id, 'seminar_host_invited',
            jsonb_build_object('title', v_seminar.title, 'host_name', p.display_name, 'seminar_id', v_seminar.id),
            'seminar_host_invited:' || v_host.id
        )
        from public.profiles as p where p.id = v_seminar.host_id;
    end if;
    return v_host;
end
$$;
comment on function private.invite_seminar_host(uuid, uuid) is
'Invites a member as a co-host of a draft or published seminar, mails them once, and returns the row. For its host and
admins. Raises seminar_not_found or user_not_found (404), already_registered or seminar_not_open (409).';

create function private.answer_seminar_host_invitation(p_seminar_id uuid, p_is_accepted boolean)
returns public.seminar_hosts
language plpgsql
security definer -- clients may not write hosts and commitments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_confirmed_address();
    v_seminar public.seminars;
    v_host public.seminar_hosts;
begin
    perform from public.accounts as a where a.user_id = v_caller for share;
    select s.* into v_seminar from public.seminars as s where s.id = p_seminar_id for no key update;
    select h.* into v_host from public.seminar_hosts as h
    where h.seminar_id = p_seminar_id and h.user_id = v_caller and h.status in ('invited', 'accepted')
        and not h.is_owner
    for no key update;
    if not found then
        perform private.refuse('seminar_host_not_found');
    elsif v_host.status = 'accepted' and p_is_accepted then
        return v_host;
    elsif p_is_accepted and v_seminar.status not in ('draft', 'published') then
        perform private.refuse('seminar_not_open');
    elsif p_is_accepted and exists (
        select from public.places as p
        where p.pool_id = v_seminar.pool_id and p.user_id = v_caller and p.status not in ('cancelled', 'expired')
    ) then
        perform private.refuse('already_registered');
    end if;
    if not p_is_accepted then
        return private.leave_seminar(
            v_host.id, case v_host.status when 'accepted' then 'left' else 'declined' end::public.seminar_host_status
        );
    end if;
    update public.seminar_hosts as h
    set
        status = 'accepted',
        commitment_id = case
            when v_seminar.status = 'published'
                then private.commit_host(v_caller, v_seminar.starts_at, v_seminar.ends_at)
        end
    where h.id = v_host.id
    returning h.* into v_host;
    return v_host;
end
$$;
comment on function private.answer_seminar_host_invitation(uuid, boolean) is
'Accepts an invitation to host a seminar, which commits the planned time of the caller once it is published; or declines
it, or leaves. Returns the row. For members with a confirmed address. Raises email_not_confirmed (403),
seminar_host_not_found (404), already_registered, host_busy, illegal_transition or seminar_not_open (409).';

create function private.leave_seminar(p_host_row_id uuid, p_status public.seminar_host_status)
returns public.seminar_hosts
language plpgsql
set search_path = ''
as $$
declare
    v_host public.seminar_hosts;
begin
    update private.commitments as c set is_live = false
    where c.id = (select h.commitment_id from public.seminar_hosts as h where h.id = p_host_row_id);
    update public.seminar_hosts as h set status = p_status, commitment_id = null
    where h.id = p_host_row_id
    returning h.* into v_host;
    return v_host;
end
$$;
comment on function private.leave_seminar(uuid, public.seminar_host_status) is
'Ends the part of a co-host in a locked seminar, and frees their time. Raises illegal_transition (409).';

create function private.remove_seminar_host(p_seminar_id uuid, p_user_id uuid) returns public.seminar_hosts
language plpgsql
security definer -- clients may not write hosts and commitments
set search_path = ''
as $$
declare
    v_seminar public.seminars := private.require_own_seminar(p_seminar_id);
    v_host_row_id uuid;
begin
    select h.id into v_host_row_id from public.seminar_hosts as h
    where h.seminar_id = v_seminar.id and h.user_id = p_user_id and not h.is_owner
        and h.status in ('invited', 'accepted');
    if not found then
        perform private.refuse('seminar_host_not_found');
    end if;
    return private.leave_seminar(v_host_row_id, 'left');
end
$$;
comment on function private.remove_seminar_host(uuid, uuid) is
'Removes a co-host, frees their time, and returns the row. For the host of the seminar and admins. Raises
seminar_not_found or seminar_host_not_found (404), illegal_transition (409).';

create function private.start_seminar_session(p_seminar_id uuid) returns public.seminar_sessions
language plpgsql
security definer -- clients may not write sessions of seminars
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_seminar public.seminars;
    v_session public.seminar_sessions;
begin
    select s.* into v_seminar from public.seminars as s
    where s.id = p_seminar_id and private.hosts_seminar(v_caller, s.id) for no key update;
    if not found then
        perform private.refuse('seminar_not_found');
    elsif v_seminar.status not in ('published', 'live') then
        perform private.refuse('seminar_not_open');
    elsif exists (
        select from public.seminar_sessions as s where s.seminar_id = v_seminar.id and s.status = 'live'
    ) then
        perform private.refuse('seminar_session_live');
    end if;
    if v_seminar.status = 'published' then
        update public.seminars as s set status = 'live' where s.id = v_seminar.id;
    end if;
    insert into public.seminar_sessions (seminar_id, host_id) values (v_seminar.id, v_caller)
    returning * into v_session;
    return v_session;
end
$$;
comment on function private.start_seminar_session(uuid) is
'Starts a live session of a published or live seminar, which makes the seminar live, and returns it. For its hosts.
Raises seminar_not_found (404), seminar_not_open or seminar_session_live (409).';

create function private.end_seminar_session(p_seminar_session_id uuid) returns public.seminar_sessions
language plpgsql
security definer -- clients may not write sessions of seminars
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_session public.seminar_sessions;
begin
    select s.* into v_session from public.seminar_sessions as s where s.id = p_seminar_session_id;
    if v_session.id is null
        or not (private.hosts_seminar(v_caller, v_session.seminar_id) or private.has_role('admin')) then
        perform private.refuse('seminar_session_not_found');
    end if;
    perform from public.seminars as s where s.id = v_session.seminar_id for no key update;
    update public.seminar_sessions as s set status = 'ended', ended_at = now()
    where s.id = v_session.id and s.status = 'live';
    select s.* into v_session from public.seminar_sessions as s where s.id = p_seminar_session_id;
    if exists (
        select from public.seminars as s where s.id = v_session.seminar_id and s.status = 'live' and s.ends_at <= now()
    ) then
        perform private.end_seminar(v_session.seminar_id, 'ended');
    end if;
    return v_session;
end
$$;
comment on function private.end_seminar_session(uuid) is
'Ends a live session of a seminar, and the seminar where its planned time is over, and returns the session; an ended one
stays as it is. For its hosts and admins. Raises seminar_session_not_found (404).';

create function private.lapse__seminars() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_seminar public.seminars;
begin
    select s.* into v_seminar from public.seminars as s
    where s.status in ('published', 'live')
        and s.ends_at <= now() - interval '15 minutes'
        and (
            s.ends_at <= now() - interval '4 hours'
            or not exists (
                select from public.seminar_sessions as e where e.seminar_id = s.id and e.status = 'live'
            )
        )
    order by s.ends_at limit 1
    for no key update skip locked;
    if not found then
        return 0;
    end if;
    if exists (select from public.seminar_sessions as e where e.seminar_id = v_seminar.id) then
        perform private.end_seminar(v_seminar.id, 'ended');
    else
        -- The host did not come.
        perform private.end_seminar(v_seminar.id, 'cancelled');
    end if;
    return 1;
end
$$;
comment on function private.lapse__seminars() is
'Ends one seminar 15 minutes after its planned time, or 4 hours after it while a session of it is live. One that was
never live is cancelled: what people paid is due back. Returns the number.';

create function private.seminar_parts(p_seminar_id uuid, p_user_id uuid, p_is_host boolean) returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_function name;
    v_part jsonb;
    v_parts jsonb := '{}';
begin
    for v_function in select f.name from private.registered_functions('seminar_details') as f (name) loop
        execute format('select private.%I($1, $2, $3)', v_function)
        into v_part using p_seminar_id, p_user_id, p_is_host;
        v_parts := v_parts
            || jsonb_build_object(regexp_replace(v_function, '^seminar_details__(\d{3}_)?', ''), v_part);
    end loop;
    return v_parts;
end
$$;
comment on function private.seminar_parts(uuid, uuid, boolean) is
'What private.seminar_details__<nnn>_<key>(seminar_id uuid, user_id uuid, is_host boolean) of every domain adds to the
details of a seminar, each under its key. user_id is null for a signed-out caller.';

create function private.seminar_details(p_seminar_id uuid) returns jsonb
language plpgsql
stable
security definer -- shows names by the rules below
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
    v_seminar public.seminars;
    v_place public.places;
    v_is_host boolean;
    v_details jsonb;
begin
    select s.* into v_seminar from public.seminars as s where s.id = p_seminar_id;
    select p.* into v_place from public.places as p
    where p.pool_id = v_seminar.pool_id and p.user_id = v_caller
    order by p.status in ('cancelled', 'expired'), p.created_at desc limit 1;
    v_is_host := private.has_role('moderator') or (
        v_caller is not null and exists (
            select from public.seminar_hosts as h
            where h.seminar_id = p_seminar_id and h.user_id = v_caller and h.status in ('invited', 'accepted')
        )
    );
    if v_seminar.id is null or not (
        v_seminar.status in ('published', 'live', 'ended') or v_is_host or v_place.id is not null
    ) then
        perform private.refuse('seminar_not_found');
    end if;
    select to_jsonb(v_seminar) || jsonb_build_object(
        'taken', p.taken, 'seats_left', p.capacity - p.taken, 'waiting', p.waiting, 'is_open', p.is_open,
        'cancellation_notice_hours', p.cancellation_notice_hours, 'late_refund_percent', p.late_refund_percent,
        'is_host', v_is_host,
        'course', (
            select jsonb_build_object('id', c.id, 'title', c.title, 'slug', c.slug) from public.courses as c
            where c.id = v_seminar.course_id and (c.status = 'published' or v_is_host)
        ),
        'hosts', (
            select jsonb_agg(
                jsonb_build_object(
                    'user_id', h.user_id, 'name', n.display_name, 'is_owner', h.is_owner, 'status', h.status
                )
                order by h.is_owner desc, h.created_at, h.id
            )
            from public.seminar_hosts as h
            join public.profiles as n on n.id = h.user_id
            where h.seminar_id = v_seminar.id and (h.status = 'accepted' or v_is_host)
        ),
        'my_place', case when v_place.id is not null then jsonb_build_object(
            'id', v_place.id, 'status', v_place.status, 'held_until', v_place.held_until,
            'is_granted', v_place.is_granted, 'queue_position', private.queue_rank(v_place)
        ) end,
        'attendees', case
            when v_is_host then private.pool_attendees(p.id, true)
            when v_place.status in ('confirmed', 'attended') then private.pool_attendees(p.id, false)
        end,
        'sessions', case when v_is_host or v_place.status in ('confirmed', 'attended', 'missed') then (
            select coalesce(jsonb_agg(to_jsonb(s) order by s.started_at desc), '[]')
            from public.seminar_sessions as s where s.seminar_id = v_seminar.id
        ) end
    ) into v_details
    from public.seat_pools as p where p.id = v_seminar.pool_id;
    return v_details || private.seminar_parts(v_seminar.id, v_caller, v_is_host);
end
$$;
comment on function private.seminar_details(uuid) is
'One seminar with its course, hosts, seats, the caller''s place and its position in the waiting list. For hosts and
moderators also all attendees with their names and statuses and the sessions; for people with a seat those attendees
whose profile is public, and the sessions. For everybody. Raises seminar_not_found (404).';
