-- Live: how places are taken, held while somebody pays, given back, and moved up to from the waiting list.

insert into private.mail_templates (template, topic)
values
('place_confirmed', 'learning'),
('place_waiting', 'learning'),
('place_moved_up', 'learning'),
('place_cancelled', 'learning'),
('place_time_changed', 'learning');

create view private.pool_subjects with (security_invoker = true) as
select
    s.pool_id,
    'seminar' as kind,
    s.id as subject_id,
    s.title,
    s.course_id,
    s.access,
    s.time_zone
from public.seminars as s
union all
select
    l.pool_id,
    'slot' as kind,
    l.id as subject_id,
    g.title,
    g.course_id,
    g.access,
    l.time_zone
from public.group_session_slots as l
inner join public.group_sessions as g on l.group_session_id = g.id;
comment on view private.pool_subjects is 'What the seats of each pool are for: a seminar or a slot of a group session.';

create function private.is_course_open_to(p_course_id uuid, p_user_id uuid) returns boolean
language plpgsql
stable
security definer -- reads enrolments of others
set search_path = ''
as $$
begin
    return exists (
        select from public.courses as c
        where c.id = p_course_id and c.status not in ('suspended', 'deleted') and c.creator_id = p_user_id
    ) or exists (
        select from private.open_enrolments as e
        join public.courses as c on c.id = e.course_id
        where e.course_id = p_course_id and e.student_id = p_user_id and c.status <> 'suspended'
    );
end
$$;
comment on function private.is_course_open_to(uuid, uuid) is
'Whether a course is open to a user, as its creator or by an enrolment.';

create function private.has_place_access(p_pool_id uuid, p_user_id uuid) returns boolean
language plpgsql
stable
security definer -- reads enrolments of others, and what later domains say
set search_path = ''
as $$
declare
    v_subject private.pool_subjects;
    v_function name;
    v_has_access boolean;
begin
    select s.* into v_subject from private.pool_subjects as s where s.pool_id = p_pool_id;
    case v_subject.access
        when 'free' then
            return true;
        when 'course' then
            return private.is_course_open_to(v_subject.course_id, p_user_id);
        when 'paid' then
            for v_function in
                select f.name from private.registered_functions(v_subject.kind || '_access') as f (name)
            loop
                execute format('select private.%I($1, $2)', v_function)
                into v_has_access using p_user_id, v_subject.subject_id;
                if v_has_access then
                    return true;
                end if;
            end loop;
            return false;
        else
            return false;
    end case;
end
$$;
comment on function private.has_place_access(uuid, uuid) is
'Whether a user may take a seat of a pool, by the access of its seminar or group session. Where it is paid, asks
private.seminar_access__<what>(user_id uuid, seminar_id uuid) or private.slot_access__<what>(user_id uuid, slot_id uuid)
of every domain, which return whether the user has paid.';

create function private.require_place_access(p_pool_id uuid, p_user_id uuid) returns void
language plpgsql
security definer -- locks an enrolment, which only functions may write
set search_path = ''
as $$
declare
    v_subject private.pool_subjects;
begin
    select s.* into v_subject from private.pool_subjects as s where s.pool_id = p_pool_id;
    if v_subject.access = 'course' then
        -- Waits for a transaction that ends the enrolment, which gives the place back.
        perform from public.enrolments as e
        where e.course_id = v_subject.course_id and e.student_id = p_user_id for share;
    end if;
    if not private.has_place_access(p_pool_id, p_user_id) then
        if v_subject.access = 'paid' then
            perform private.refuse('payment_required');
        end if;
        perform private.refuse('not_enrolled');
    end if;
end
$$;
comment on function private.require_place_access(uuid, uuid) is
'Requires that a user may take a seat of a pool, and keeps the enrolment that says so. Raises payment_required (402),
not_enrolled (403).';

create function private.mail_place(
    p_place public.places, p_template text, p_details jsonb default '{}', p_occasion text default ''
)
returns void
language sql
security definer -- must read names and time zones that the caller may not read
set search_path = ''
as $$
    select private.enqueue_mail(
        p_place.user_id,
        p_template,
        jsonb_build_object(
            'title', s.title,
            'host_name', h.display_name,
            'local_time', to_char(p.starts_at at time zone u.time_zone, 'FMDD Mon YYYY, HH24:MI'),
            'time_zone', u.time_zone
        ) || p_details,
        concat_ws(':', p_template, p_place.id, nullif(p_occasion, ''))
    )
    from private.pool_subjects as s
    join public.seat_pools as p on p.id = s.pool_id
    join public.profiles as h on h.id = p.host_id
    join public.user_settings as u on u.user_id = p_place.user_id
    where s.pool_id = p_place.pool_id
$$;
comment on function private.mail_place(public.places, text, jsonb, text) is
'Mails the person of a place, with the time in their time zone and further details, once for each template and
occasion.';

create function private.lock_pool(p_pool_id uuid) returns public.seat_pools
language sql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
    select p.* from public.seat_pools as p where p.id = p_pool_id for no key update
$$;
comment on function private.lock_pool(uuid) is 'Locks a pool and so its places until the transaction ends.';

create function private.lock_place_of(p_pool_id uuid, p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('place:' || p_pool_id || p_user_id, 0))
$$;
comment on function private.lock_place_of(uuid, uuid) is
'Lets one transaction at a time give a user a place in a pool. Taken before the lock of the pool.';

create function private.move_places_up(p_pool_id uuid) returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_pool public.seat_pools := private.lock_pool(p_pool_id);
    v_place public.places;
    v_moved integer := 0;
begin
    if not v_pool.is_open or v_pool.ends_at <= now() or v_pool.waiting = 0 then
        return 0;
    end if;
    while v_pool.taken + v_moved < v_pool.capacity loop
        update public.places as p set status = 'confirmed'
        where p.id = (
            select w.id from public.places as w
            where w.pool_id = p_pool_id and w.status = 'waiting'
                and private.is_account_active(w.user_id)
                and private.has_place_access(p_pool_id, w.user_id)
            order by w.queued_at, w.id
            limit 1
        )
        returning p.* into v_place;
        exit when not found;
        v_moved := v_moved + 1;
        perform private.mail_place(v_place, 'place_moved_up');
    end loop;
    return v_moved;
end
$$;
comment on function private.move_places_up(uuid) is
'Gives the free seats of an open pool to those who wait, the first first, and mails them. People who are suspended or
without access keep waiting. Returns how many moved up.';

create function private.take_free_seat(p_pool public.seat_pools, p_user_id uuid) returns public.places
language plpgsql
set search_path = ''
as $$
declare
    v_place public.places;
begin
    v_place.id := gen_random_uuid();
    v_place.pool_id := p_pool.id;
    v_place.user_id := p_user_id;
    perform private.mail_place(v_place, 'place_confirmed');
    -- Counting the place locks the pool, which others want: everything else is done before.
    insert into public.places (id, pool_id, user_id, host_id, status)
    values (v_place.id, p_pool.id, p_user_id, p_pool.host_id, 'confirmed')
    returning * into v_place;
    if not exists (
        select from public.seat_pools as p
        where p.id = p_pool.id and p.is_open
            and (p.ends_at is null or p.ends_at > now()) and (p.closes_at is null or p.closes_at > now())
    ) then
        perform private.refuse('registration_closed');
    end if;
    return v_place;
exception when check_violation then
    -- The last seat was taken meanwhile.
    return null;
end
$$;
comment on function private.take_free_seat(public.seat_pools, uuid) is
'Takes a seat of a pool that had a free one, mails its person, and returns the place; null where the last one was taken
meanwhile. Raises registration_closed (409).';

create function private.take_place(
    p_pool_id uuid, p_user_id uuid, p_held_until timestamptz default null, p_is_granted boolean default false
)
returns public.places
language plpgsql
set search_path = ''
as $$
declare
    v_pool public.seat_pools;
    v_place public.places;
begin
    -- A ban or a deletion of the person comes before or after, and never between.
    perform from public.accounts as a where a.user_id = p_user_id for share;
    if not private.is_account_active(p_user_id) then
        if p_is_granted then
            perform private.refuse('user_not_found');
        end if;
        perform private.refuse('account_inactive');
    end if;
    perform private.lock_place_of(p_pool_id, p_user_id);
    select p.* into v_pool from public.seat_pools as p where p.id = p_pool_id;
    if v_pool.is_open and p_user_id <> v_pool.host_id and not exists (
        select from public.places as p
        where p.pool_id = p_pool_id and p.user_id = p_user_id
            and (p.status not in ('cancelled', 'expired') or p.is_removed)
    ) then
        if v_pool.taken < v_pool.capacity and p_held_until is null and not p_is_granted then
            v_place := private.take_free_seat(v_pool, p_user_id);
            if v_place.id is not null then
                return v_place;
            end if;
        elsif v_pool.taken >= v_pool.capacity
            and (p_is_granted or p_held_until is not null or not v_pool.has_waiting_list) then
            -- Who finds no seat does not queue for the lock.
            perform private.refuse('seats_taken');
        end if;
    end if;
    v_pool := private.lock_pool(p_pool_id);
    select p.* into v_place from public.places as p
    where p.pool_id = p_pool_id and p.user_id = p_user_id and p.status not in ('cancelled', 'expired');
    if v_place.status = 'held' and p_held_until is not null then
        update public.places as p set held_until = greatest(p.held_until, p_held_until)
        where p.id = v_place.id returning p.* into v_place;
        return v_place;
    elsif v_place.status in ('confirmed', 'attended', 'missed') and p_held_until is not null then
        perform private.refuse('already_registered');
    elsif v_place.status in ('held', 'confirmed', 'attended', 'missed')
        or (v_place.status = 'waiting' and p_held_until is null and not p_is_granted) then
        return v_place;
    elsif p_user_id = v_pool.host_id then
        perform private.refuse('host_cannot_attend');
    elsif not v_pool.is_open or v_pool.ends_at <= now() or (v_pool.closes_at <= now() and not p_is_granted) then
        perform private.refuse('registration_closed');
    elsif not p_is_granted and exists (
        select from public.places as p where p.pool_id = p_pool_id and p.user_id = p_user_id and p.is_removed
    ) then
        perform private.refuse('removed_by_host');
    elsif v_pool.taken < v_pool.capacity and v_place.id is not null then
        update public.places as p
        set
            status = case when p_held_until is null then 'confirmed' else 'held' end::public.place_status,
            held_until = p_held_until, is_granted = p_is_granted
        where p.id = v_place.id returning p.* into v_place;
    elsif v_pool.taken < v_pool.capacity then
        insert into public.places (pool_id, user_id, host_id, status, held_until, is_granted)
        values (
            p_pool_id, p_user_id, v_pool.host_id,
            case when p_held_until is null then 'confirmed' else 'held' end::public.place_status,
            p_held_until, p_is_granted
        )
        returning * into v_place;
    elsif v_pool.has_waiting_list and p_held_until is null and not p_is_granted then
        insert into public.places (pool_id, user_id, host_id, status)
        values (p_pool_id, p_user_id, v_pool.host_id, 'waiting')
        returning * into v_place;
    else
        perform private.refuse('seats_taken');
    end if;
    if p_is_granted then
        -- What the host took away before, they gave back.
        update public.places as p set is_removed = false
        where p.pool_id = p_pool_id and p.user_id = p_user_id and p.is_removed;
    end if;
    if v_place.status <> 'held' then
        perform private.mail_place(
            v_place, case v_place.status when 'waiting' then 'place_waiting' else 'place_confirmed' end
        );
    end if;
    return v_place;
end
$$;
comment on function private.take_place(uuid, uuid, timestamptz, boolean) is
'Takes a seat of an open pool for a user whose access the caller has checked, or a turn in its waiting list, and mails
them. With held_until the seat is held, without a mail; a held or granted place never waits. A user who has a place
keeps it, and a held one is held longer. Raises account_inactive or removed_by_host (403), user_not_found (404),
already_registered, host_cannot_attend, registration_closed or seats_taken (409).';

create function private.report_money_due(p_place public.places, p_fraction numeric) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_function name;
begin
    for v_function in select f.name from private.registered_functions('place_money_due') as f (name) loop
        execute format('select private.%I($1, $2)', v_function) using p_place, p_fraction;
    end loop;
end
$$;
comment on function private.report_money_due(public.places, numeric) is
'Calls private.place_money_due__<what>(place public.places, fraction numeric) of every domain: this share of what was
paid for a confirmed place is due back, 0 to 1. The pool is locked; the function locks no order, and defers a job where
it must.';

create function private.end_place(
    p_place_id uuid, p_status public.place_status, p_fraction numeric, p_is_removed boolean default false,
    p_mail_details jsonb default null
)
returns public.places
language plpgsql
set search_path = ''
as $$
declare
    v_before public.places;
    v_place public.places;
begin
    select p.* into v_before from public.places as p where p.id = p_place_id for no key update;
    update public.places as p
    set status = p_status, held_until = null, is_removed = p_is_removed, ended_at = now()
    where p.id = p_place_id
    returning p.* into v_place;
    if v_before.status = 'confirmed' then
        perform private.report_money_due(v_place, p_fraction);
    end if;
    if p_mail_details is not null then
        perform private.mail_place(v_place, 'place_cancelled', p_mail_details);
    end if;
    return v_place;
end
$$;
comment on function private.end_place(uuid, public.place_status, numeric, boolean, jsonb) is
'Cancels or expires a place of a locked pool, reports what of its price is due back, and with mail_details mails its
person. Raises illegal_transition (409).';

create function private.give_place_back(
    p_place_id uuid, p_fraction numeric default null, p_is_removed boolean default false,
    p_mail_details jsonb default null
)
returns public.places
language plpgsql
set search_path = ''
as $$
declare
    v_pool public.seat_pools;
    v_place public.places;
begin
    v_pool := private.lock_pool((select p.pool_id from public.places as p where p.id = p_place_id));
    select p.* into v_place from public.places as p where p.id = p_place_id;
    if v_place.status in ('cancelled', 'expired') then
        return v_place;
    end if;
    v_place := private.end_place(
        p_place_id, 'cancelled',
        coalesce(
            p_fraction,
            case
                when v_pool.starts_at is null
                    or now() <= v_pool.starts_at - make_interval(hours => v_pool.cancellation_notice_hours) then 1
                else v_pool.late_refund_percent / 100.0
            end
        ),
        p_is_removed, p_mail_details
    );
    perform private.move_places_up(v_pool.id);
    return v_place;
end
$$;
comment on function private.give_place_back(uuid, numeric, boolean, jsonb) is
'Cancels a place and moves the first who waits up. fraction: which share of its price is due back, by default what the
pool says for this moment. One that has ended stays as it is. Raises illegal_transition (409).';

create function private.close_pool(p_pool_id uuid, p_status public.place_status, p_mail_details jsonb default null)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_place_id uuid;
begin
    perform private.lock_pool(p_pool_id);
    update public.seat_pools as p set is_open = false where p.id = p_pool_id;
    for v_place_id in
        select p.id from public.places as p
        where p.pool_id = p_pool_id
            and (p.status in ('held', 'waiting') or (p.status = 'confirmed' and p_status = 'cancelled'))
        order by p.id
    loop
        perform private.end_place(v_place_id, p_status, 1, false, p_mail_details);
    end loop;
end
$$;
comment on function private.close_pool(uuid, public.place_status, jsonb) is
'Closes a pool. With cancelled, cancels all its places, reports that their whole price is due back, and mails their
people. With expired, ends the holds and the waiting list, and leaves the seats.';

create function private.hold_place(p_pool_id uuid, p_user_id uuid, p_held_until timestamptz) returns public.places
language plpgsql
security definer -- for functions of other domains, which may not write places
set search_path = ''
as $$
begin
    return private.take_place(p_pool_id, p_user_id, coalesce(p_held_until, now()));
end
$$;
comment on function private.hold_place(uuid, uuid, timestamptz) is
'Holds a seat of a pool for a user who pays for it, until this instant, and returns the place. Holding again holds it
longer. Raises what take_place raises.';

create function private.confirm_held_place(p_place_id uuid) returns public.places
language plpgsql
security definer -- for functions of other domains, which may not write places
set search_path = ''
as $$
declare
    v_pool public.seat_pools;
    v_place public.places;
begin
    select p.* into v_place from public.places as p where p.id = p_place_id;
    perform private.lock_place_of(v_place.pool_id, v_place.user_id);
    v_pool := private.lock_pool(v_place.pool_id);
    select p.* into v_place from public.places as p where p.id = p_place_id;
    if v_place.status = 'held' then
        update public.places as p set status = 'confirmed', held_until = null
        where p.id = p_place_id returning p.* into v_place;
        perform private.mail_place(v_place, 'place_confirmed');
    elsif v_place.status = 'expired' and v_pool.is_open and v_pool.taken < v_pool.capacity
        and (v_pool.ends_at is null or v_pool.ends_at > now())
        and private.is_account_active(v_place.user_id)
        and not exists (
            select from public.places as p
            where p.pool_id = v_pool.id and p.user_id = v_place.user_id and p.status not in ('cancelled', 'expired')
        ) then
        -- Paid too late, and a seat is free.
        insert into public.places (pool_id, user_id, host_id, status)
        values (v_pool.id, v_place.user_id, v_pool.host_id, 'confirmed')
        returning * into v_place;
        perform private.mail_place(v_place, 'place_confirmed');
    end if;
    return v_place;
end
$$;
comment on function private.confirm_held_place(uuid) is
'Confirms a held place that was paid for, mails its person, and returns it. Where the hold has expired and a seat is
still free, returns a new confirmed place. Otherwise the place returned is not confirmed, and the money is due back. May
run again.';

create function private.release_held_place(p_place_id uuid) returns public.places
language plpgsql
security definer -- for functions of other domains, which may not write places
set search_path = ''
as $$
declare
    v_pool public.seat_pools;
    v_place public.places;
begin
    v_pool := private.lock_pool((select p.pool_id from public.places as p where p.id = p_place_id));
    select p.* into v_place from public.places as p where p.id = p_place_id;
    if v_place.status = 'held' then
        v_place := private.end_place(p_place_id, 'expired', 0);
        perform private.move_places_up(v_pool.id);
    end if;
    return v_place;
end
$$;
comment on function private.release_held_place(uuid) is
'Ends the hold of a place that nobody pays for, and moves the first who waits up. Any other place stays as it is.';

create function private.lapse__held_places() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_pool_id uuid;
    v_place_id uuid;
    v_count bigint := 0;
begin
    select p.pool_id into v_pool_id from public.places as p
    where p.status = 'held' and p.held_until <= now()
    order by p.held_until limit 1;
    if not found then
        return 0;
    end if;
    perform private.lock_pool(v_pool_id);
    for v_place_id in
        select p.id from public.places as p
        where p.pool_id = v_pool_id and p.status = 'held' and p.held_until <= now()
        order by p.id
    loop
        perform private.end_place(v_place_id, 'expired', 0);
        v_count := v_count + 1;
    end loop;
    perform private.move_places_up(v_pool_id);
    return v_count;
end
$$;
comment on function private.lapse__held_places() is
'Ends the holds of one pool whose time is up, and moves people up. Returns the number.';

create function private.tg_seat_pools__keep_seats() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.capacity < new.taken then
        perform private.refuse('capacity_below_taken');
    end if;
    return new;
end
$$;
comment on function private.tg_seat_pools__keep_seats() is
'Before the capacity is changed. Raises capacity_below_taken (409).';
create trigger _110_keep_seats before update of capacity on public.seat_pools
for each row when (old.capacity is distinct from new.capacity) execute function private.tg_seat_pools__keep_seats();

create function private.hosts_pool(p_pool_id uuid, p_user_id uuid) returns boolean
language plpgsql
stable
security definer -- reads hosts for functions that refuse what is not theirs
set search_path = ''
as $$
begin
    return exists (select from public.seat_pools as p where p.id = p_pool_id and p.host_id = p_user_id)
        or exists (
            select from public.seminar_hosts as h
            join public.seminars as s on s.id = h.seminar_id
            where s.pool_id = p_pool_id and h.user_id = p_user_id and h.status = 'accepted'
        );
end
$$;
comment on function private.hosts_pool(uuid, uuid) is 'Whether a user is the host or a co-host of a pool.';

create function private.cancel_place(p_place_id uuid) returns public.places
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
begin
    if not exists (select from public.places as p where p.id = p_place_id and p.user_id = v_caller) then
        perform private.refuse('place_not_found');
    end if;
    return private.give_place_back(p_place_id);
end
$$;
comment on function private.cancel_place(uuid) is
'Gives a seat or a turn in a waiting list of the caller back, and returns the place. The first who waits moves up. One
that has ended stays as it is. For its person. Raises place_not_found (404), illegal_transition (409: it is over).';

create function private.remove_attendee(p_place_id uuid, p_reason text default null) returns public.places
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
begin
    if not exists (
        select from public.places as p
        where p.id = p_place_id and (private.hosts_pool(p.pool_id, v_caller) or private.has_role('admin'))
    ) then
        perform private.refuse('place_not_found');
    end if;
    return private.give_place_back(p_place_id, 1, true, jsonb_build_object('reason', left(p_reason, 500)));
end
$$;
comment on function private.remove_attendee(uuid, text) is
'Takes a place away from its person, mails them, and returns it. What they paid is due back, and the first who waits
moves up. They cannot take it again, unless the host grants it. For the hosts and admins. Raises place_not_found (404),
illegal_transition (409).';

create function private.record_attendance(p_place_id uuid, p_was_attended boolean default true) returns public.places
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_place public.places;
    v_pool public.seat_pools;
begin
    select p.* into v_place from public.places as p where p.id = p_place_id;
    if v_place.id is null or not private.hosts_pool(v_place.pool_id, v_caller) then
        perform private.refuse('place_not_found');
    end if;
    v_pool := private.lock_pool(v_place.pool_id);
    if v_pool.starts_at is null or v_pool.starts_at > now() then
        perform private.refuse('place_not_over');
    end if;
    update public.places as p
    set status = case when p_was_attended is false then 'missed' else 'attended' end::public.place_status
    where p.id = p_place_id
    returning p.* into v_place;
    return v_place;
end
$$;
comment on function private.record_attendance(uuid, boolean) is
'Records whether the person of a seat came, and returns the place. For the hosts, from the beginning on. Raises
place_not_found (404), place_not_over or illegal_transition (409).';

create function private.queue_rank(p_place public.places) returns integer
language sql
stable
set search_path = ''
as $$
    select count(*) from public.places as p
    where p_place.status = 'waiting' and p.pool_id = p_place.pool_id and p.status = 'waiting'
        and (p.queued_at, p.id) <= (p_place.queued_at, p_place.id)
    having p_place.status = 'waiting'
$$;
comment on function private.queue_rank(public.places) is
'Where a place stands in the waiting list, from 1; null where it does not wait.';

create function private.queue_position(p_place_id uuid) returns integer
language plpgsql
stable
security definer -- counts places of others
set search_path = ''
as $$
declare
    v_place public.places;
begin
    select p.* into v_place from public.places as p
    where p.id = p_place_id
        and (p.user_id = private.require_signed_in() or private.hosts_pool(p.pool_id, (select auth.uid())));
    if not found then
        perform private.refuse('place_not_found');
    end if;
    return private.queue_rank(v_place);
end
$$;
comment on function private.queue_position(uuid) is
'Where a place stands in the waiting list, from 1; null where it does not wait. For its person and the hosts. Raises
sign_in_required (401), place_not_found (404).';

-- In the waiting list nobody overtakes: a reinstated person moves up where a seat is free.
create function private.account_resumed__420_places(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.move_places_up(w.pool_id)
    from (
        select p.pool_id from public.places as p
        where p.user_id = p_user_id and p.status = 'waiting'
        order by p.pool_id
    ) as w;
end
$$;
comment on function private.account_resumed__420_places(uuid) is
'Moves the user up where they waited while a seat became free.';
