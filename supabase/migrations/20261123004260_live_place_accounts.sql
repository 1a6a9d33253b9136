-- Live: what becomes of seats where an account, a role, an enrolment or a course ends; dashboards.

create function private.stop_hosting(p_host_id uuid, p_reason text) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid;
    v_slot_ids uuid[];
    v_seminar_ids uuid[];
begin
    perform from public.group_sessions as g where g.host_id = p_host_id order by g.id for no key update;
    v_seminar_ids := array(
        select s.id from public.seminars as s
        where s.status in ('published', 'live') and s.id in (
                select h.seminar_id from public.seminar_hosts as h where h.user_id = p_host_id
            )
        order by s.id for no key update
    );
    v_slot_ids := array(
        select s.id from public.group_session_slots as s
        where s.host_id = p_host_id and s.status = 'scheduled' and s.ends_at > now()
        order by s.id for no key update
    );
    perform from public.seat_pools as p
    where p.id in (
            select s.pool_id from public.group_session_slots as s where s.id = any(v_slot_ids)
            union all
            select s.pool_id from public.seminars as s where s.id = any(v_seminar_ids) and s.host_id = p_host_id
            union all
            select l.pool_id from public.places as l
            where l.user_id = p_host_id and l.status in ('held', 'waiting', 'confirmed')
        )
    order by p.id for no key update;
    foreach v_id in array v_slot_ids loop
        perform private.end_slot(v_id, 'cancelled', p_reason);
    end loop;
    for v_id in
        select s.id from public.seminars as s
        where s.id = any(v_seminar_ids) and s.host_id = p_host_id
        order by s.id
    loop
        if (select s.status from public.seminars as s where s.id = v_id) = 'live' then
            perform private.end_seminar(v_id, 'ended');
        else
            perform private.end_seminar(v_id, 'cancelled', p_reason);
        end if;
    end loop;
end
$$;
comment on function private.stop_hosting(uuid, text) is
'Cancels the slots and the published seminars ahead of a host, ends a live one, and locks everything that the end of
their account changes, in one order.';

create function private.account_stopped__420_places(p_user_id uuid, p_status public.account_status) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid;
begin
    if p_status = 'suspended' then
        return;
    end if;
    perform private.stop_hosting(p_user_id, null);
    for v_id in
        select h.id from public.seminar_hosts as h
        join public.seminars as s on s.id = h.seminar_id
        where h.user_id = p_user_id and not h.is_owner and h.status in ('invited', 'accepted')
            and s.status in ('draft', 'published', 'live')
        order by h.seminar_id
    loop
        perform private.leave_seminar(v_id, 'left');
    end loop;
    for v_id in
        select p.id from public.places as p
        join public.seat_pools as o on o.id = p.pool_id
        where p.user_id = p_user_id and p.status in ('held', 'waiting', 'confirmed')
            and (o.ends_at is null or o.ends_at > now())
        order by p.pool_id
    loop
        perform private.give_place_back(v_id);
    end loop;
end
$$;
comment on function private.account_stopped__420_places(uuid, public.account_status) is
'Of a user who is banned or deleted: cancels what they host, leaves the seminars that they co-host, and gives their
places back, so that others move up. A suspended user keeps all.';

create function private.role_lost__420_hosting(p_user_id uuid, p_role public.app_role) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_role = 'teacher' then
        perform private.stop_hosting(p_user_id, null);
    end if;
end
$$;
comment on function private.role_lost__420_hosting(uuid, public.app_role) is
'Cancels the slots and seminars ahead of a former teacher.';

create function private.tg_enrolments__give_places_back() returns trigger
language plpgsql
security definer -- clients may not write places
set search_path = ''
as $$
declare
    v_place_id uuid;
begin
    for v_place_id in
        select p.id from public.places as p
        join private.pool_subjects as s on s.pool_id = p.pool_id
        join public.seat_pools as o on o.id = p.pool_id
        where p.user_id = new.student_id and p.status in ('held', 'waiting', 'confirmed') and not p.is_granted
            and s.access = 'course' and s.course_id = new.course_id
            and (o.ends_at is null or o.ends_at > now())
        order by p.pool_id
    loop
        perform private.give_place_back(v_place_id, null, false, '{"reason": null}');
    end loop;
    return null;
end
$$;
comment on function private.tg_enrolments__give_places_back() is
'After an enrolment was cancelled or its access ended: gives the places that it opened back, and mails the student.';
create trigger _420_give_places_back after update of status, access_until, access on public.enrolments
for each row when (new.access <> 'open' and old.access = 'open')
execute function private.tg_enrolments__give_places_back();

create function private.tg_courses__detach_hosting() returns trigger
language plpgsql
security definer -- clients may not write the seminars of others
set search_path = ''
as $$
declare
    v_id uuid;
begin
    -- What is for the students of the course ends with the host's right to it; what is free or paid stays.
    perform from public.group_sessions as g where g.course_id = new.id order by g.id for no key update;
    for v_id in
        select s.id from public.seminars as s
        where s.course_id = new.id and s.host_id = old.creator_id and s.access = 'course' and s.status = 'published'
        order by s.id for no key update
    loop
        perform private.end_seminar(v_id, 'cancelled');
    end loop;
    for v_id in
        select l.id from public.group_session_slots as l
        join public.group_sessions as g on g.id = l.group_session_id
        where g.course_id = new.id and g.host_id = old.creator_id and g.access = 'course'
            and l.status = 'scheduled' and l.ends_at > now()
        order by l.id
    loop
        perform private.end_slot(v_id, 'cancelled');
    end loop;
    return null;
end
$$;
comment on function private.tg_courses__detach_hosting() is
'After a course was transferred: cancels the slots and published seminars for its students that its former creator
hosts.';
create trigger _420_detach_hosting after update of creator_id on public.courses
for each row when (old.creator_id <> new.creator_id) execute function private.tg_courses__detach_hosting();

create function private.dashboard__420_next_seats(p_user_id uuid, p_role text) returns jsonb
language sql
stable
set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(n) order by n.starts_at, n.pool_id), '[]')
    from (
        select
            s.kind,
            s.subject_id,
            p.id as pool_id,
            s.title,
            s.course_id,
            p.starts_at,
            p.ends_at,
            p.capacity,
            p.taken,
            p.waiting
        from public.seat_pools as p
        join private.pool_subjects as s on s.pool_id = p.id
        where p_role = 'creator' and p.host_id = p_user_id and p.is_open and p.ends_at > now()
        order by p.starts_at, p.id
        limit 10
    ) as n
$$;
comment on function private.dashboard__420_next_seats(uuid, text) is
'The next 10 slots of group sessions and seminars that a creator hosts, with their seats.';
