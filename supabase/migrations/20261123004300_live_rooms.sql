-- Live: rooms. A session, a slot of a group session and a live session of a seminar each have one, in which people
-- meet. SQL decides who may enter, when and with which role. Recordings keep what was said.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'room_not_found', 404,
    'There is no such session, or you may not enter its room.',
    'Read sessions, group_session_slots or seminar_sessions again.',
    null
),
(
    'room_not_open', 409,
    'The room is not open.',
    'Enter it from 15 minutes before the beginning until the end.',
    null
),
(
    'room_subject_invalid', 422,
    'A room belongs to exactly one session.',
    'Send one of session_id, slot_id and seminar_session_id.',
    null
);

create type public.room_status as enum ('open', 'ended');
comment on type public.room_status is 'open: people may enter. ended: it is over.';

create type public.room_role as enum ('host', 'speaker', 'attendee');
comment on type public.room_role is
'host: speaks, and removes and mutes others. speaker: speaks and shows. attendee: listens and watches.';

create type public.recording_status as enum ('reserved', 'recording', 'processing', 'ready', 'failed', 'discarded');
comment on type public.recording_status is
'reserved: planned. recording: in progress. processing: the file is being written. ready: it can be watched. failed:
there is no file. discarded: the host deleted it.';

create table public.rooms (
    id uuid not null default gen_random_uuid() constraint rooms_pkey primary key,
    session_id uuid constraint rooms_session_id_key unique
    constraint rooms_session_id_fkey references public.sessions (id) on delete restrict,
    slot_id uuid constraint rooms_slot_id_key unique
    constraint rooms_slot_id_fkey references public.group_session_slots (id) on delete restrict,
    seminar_session_id uuid constraint rooms_seminar_session_id_key unique
    constraint rooms_seminar_session_id_fkey references public.seminar_sessions (id) on delete restrict,
    host_id uuid not null constraint rooms_host_id_fkey references public.profiles (id) on delete restrict,
    status public.room_status not null default 'open',
    ended_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint rooms_subject_check check (num_nonnulls(session_id, slot_id, seminar_session_id) = 1),
    constraint rooms_ended_at_check check ((status = 'ended') = (ended_at is not null))
);
comment on table public.rooms is
'Rooms, made when the first person enters. People who may enter and moderators read them; functions write them.';
comment on column public.rooms.session_id is 'The session with one student that takes place in it, or null.';
comment on column public.rooms.slot_id is 'The slot of a group session that takes place in it, or null.';
comment on column public.rooms.seminar_session_id is 'The live session of a seminar that takes place in it, or null.';
comment on column public.rooms.host_id is 'The host of the session.';
comment on column public.rooms.ended_at is 'When it ended; null while it is open.';
alter table public.rooms enable row level security;
revoke all on public.rooms from anon, authenticated, service_role;
create index rooms_host_id_idx on public.rooms (host_id, created_at desc);
comment on index public.rooms_host_id_idx is
'The rooms of a host: host_id=eq.&order=created_at.desc, the foreign key, and the policies';
create index rooms_open_idx on public.rooms (created_at) where status = 'open';
comment on index public.rooms_open_idx is 'lapse__rooms: where status = open';
create trigger _200_set_updated_at before update on public.rooms
for each row execute function private.tg__set_updated_at();

create table public.room_attendances (
    id uuid not null default gen_random_uuid() constraint room_attendances_pkey primary key,
    room_id uuid not null constraint room_attendances_room_id_fkey references public.rooms (id) on delete cascade,
    user_id uuid not null constraint room_attendances_user_id_fkey references public.profiles (id) on delete restrict,
    role public.room_role not null,
    joined_at timestamptz not null,
    left_at timestamptz,
    created_at timestamptz not null default now(),
    constraint room_attendances_time_check check (left_at >= joined_at)
);
comment on table public.room_attendances is
'Who was in a room, and when: a row from each entry to the exit. Their person, the host and moderators read them.';
comment on column public.room_attendances.role is 'The role with which they entered.';
comment on column public.room_attendances.joined_at is 'When they entered.';
comment on column public.room_attendances.left_at is 'When they left; null while they are in the room.';
alter table public.room_attendances enable row level security;
revoke all on public.room_attendances from anon, authenticated, service_role;
create index room_attendances_room_id_idx on public.room_attendances (room_id, joined_at);
comment on index public.room_attendances_room_id_idx is
'The attendances of a room: room_id=eq.&order=joined_at, the foreign key, and the policies';
create index room_attendances_user_id_idx on public.room_attendances (user_id, joined_at desc);
comment on index public.room_attendances_user_id_idx is
'The attendances of a person: user_id=eq.&order=joined_at.desc, the foreign key, and the policies';

create table public.recordings (
    id uuid not null default gen_random_uuid() constraint recordings_pkey primary key,
    room_id uuid not null constraint recordings_room_id_fkey references public.rooms (id) on delete restrict,
    host_id uuid not null constraint recordings_host_id_fkey references public.profiles (id) on delete restrict,
    status public.recording_status not null default 'reserved',
    is_published boolean not null default false,
    path text constraint recordings_path_key unique
    constraint recordings_path_check check (char_length(path) <= 500),
    duration_seconds integer constraint recordings_duration_seconds_check check (duration_seconds >= 0),
    size_bytes bigint constraint recordings_size_bytes_check check (size_bytes >= 0),
    started_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint recordings_ready_check check (status <> 'ready' or path is not null),
    constraint recordings_time_check check (ended_at >= started_at)
);
comment on table public.recordings is
'Recordings of rooms. The host, both people of a session, the creator of its course and moderators read them, and people
with a seat those that the host published. reserve_recording makes one.';
comment on column public.recordings.host_id is 'The host of the room.';
comment on column public.recordings.is_published is 'Whether people with a seat may watch it.';
comment on column public.recordings.path is 'The file in the bucket recordings, or null.';
comment on column public.recordings.duration_seconds is 'How long it is; null while there is no file.';
comment on column public.recordings.size_bytes is 'How large the file is; null while there is none.';
comment on column public.recordings.started_at is 'When recording began, or null.';
comment on column public.recordings.ended_at is 'When recording ended, or null.';
alter table public.recordings enable row level security;
revoke all on public.recordings from anon, authenticated, service_role;
create index recordings_room_id_idx on public.recordings (room_id, created_at desc);
comment on index public.recordings_room_id_idx is 'The recordings of a room, and the foreign key';
create unique index recordings_reserved_key on public.recordings (room_id) where status = 'reserved';
comment on index public.recordings_reserved_key is 'A room has one reserved recording at a time.';
create index recordings_host_id_idx on public.recordings (host_id, created_at desc);
comment on index public.recordings_host_id_idx is
'The recordings of a host: host_id=eq.&order=created_at.desc, the foreign key, and the policies';
create trigger _200_set_updated_at before update on public.recordings
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('rooms', 'open', 'ended'),
('recordings', 'reserved', 'recording'),
('recordings', 'reserved', 'failed'),
('recordings', 'reserved', 'discarded'),
('recordings', 'recording', 'processing'),
('recordings', 'recording', 'ready'),
('recordings', 'recording', 'failed'),
('recordings', 'processing', 'ready'),
('recordings', 'processing', 'failed'),
('recordings', 'ready', 'discarded'),
('recordings', 'failed', 'discarded');
create trigger _100_check_transition before update of status on public.rooms
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _100_check_transition before update of status on public.recordings
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.my_room_ids() returns uuid[]
language plpgsql
stable
security definer -- policies call it
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
begin
    return array(
        select r.id from public.rooms as r where r.host_id = v_caller
        union
        select r.id from public.rooms as r join public.sessions as s on s.id = r.session_id
        where s.student_id = v_caller
        union
        select r.id from public.places as p
        join public.group_session_slots as l on l.pool_id = p.pool_id
        join public.rooms as r on r.slot_id = l.id
        where p.user_id = v_caller and p.status in ('confirmed', 'attended', 'missed')
            and (p.is_granted or private.has_place_access(p.pool_id, v_caller))
        union
        select r.id from public.places as p
        join public.seminars as m on m.pool_id = p.pool_id
        join public.seminar_sessions as s on s.seminar_id = m.id
        join public.rooms as r on r.seminar_session_id = s.id
        where p.user_id = v_caller and p.status in ('confirmed', 'attended', 'missed')
            and (p.is_granted or private.has_place_access(p.pool_id, v_caller))
        union
        select r.id from public.seminar_hosts as h
        join public.seminar_sessions as s on s.seminar_id = h.seminar_id
        join public.rooms as r on r.seminar_session_id = s.id
        where h.user_id = v_caller and h.status = 'accepted'
    );
end
$$;
comment on function private.my_room_ids() is
'The rooms that the caller hosts, or in which they are the student or have a seat with access. Policies call it as
any((select private.my_room_ids())::uuid[]).';

create function private.my_hosted_room_ids() returns uuid[]
language plpgsql
stable
security definer -- policies call it
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
begin
    return array(
        select r.id from public.rooms as r where r.host_id = v_caller
        union
        select r.id from public.seminar_hosts as h
        join public.seminar_sessions as s on s.seminar_id = h.seminar_id
        join public.rooms as r on r.seminar_session_id = s.id
        where h.user_id = v_caller and h.status = 'accepted'
    );
end
$$;
comment on function private.my_hosted_room_ids() is
'The rooms that the caller hosts or co-hosts. Policies call it as any((select private.my_hosted_room_ids())::uuid[]).';

create function private.my_session_room_ids() returns uuid[]
language plpgsql
stable
security definer -- policies call it
set search_path = ''
as $$
begin
    return array(
        select r.id from public.sessions as s join public.rooms as r on r.session_id = s.id
        where s.student_id = (select auth.uid()) or s.course_id = any(private.my_taught_course_ids())
    );
end
$$;
comment on function private.my_session_room_ids() is
'The rooms of sessions in which the caller is the student, or whose course they teach. Policies call it as any((select
private.my_session_room_ids())::uuid[]).';

create function private.room_role(
    p_user_id uuid, p_session_id uuid, p_slot_id uuid, p_seminar_session_id uuid,
    out host_id uuid, out role public.room_role, out is_open boolean
)
language sql
stable
security definer -- reads sessions and places of others
set search_path = ''
as $$
    select s.host_id,
        case p_user_id
            when s.host_id then 'host'::public.room_role
            when s.student_id then 'speaker'::public.room_role
        end,
        s.status = 'scheduled' and now() >= s.starts_at - interval '15 minutes' and now() < s.ends_at
    from public.sessions as s where s.id = p_session_id
    union all
    select l.host_id,
        case
            when l.host_id = p_user_id then 'host'::public.room_role
            when exists (
                select from public.places as p
                where p.pool_id = l.pool_id and p.user_id = p_user_id
                    and p.status in ('confirmed', 'attended', 'missed')
                    and (p.is_granted or private.has_place_access(p.pool_id, p_user_id))
            ) then 'speaker'::public.room_role
        end,
        l.status = 'scheduled' and now() >= l.starts_at - interval '15 minutes' and now() < l.ends_at
    from public.group_session_slots as l where l.id = p_slot_id
    union all
    select s.host_id,
        case
            when private.hosts_seminar(p_user_id, s.seminar_id) then 'host'::public.room_role
            when private.can_attend_seminar(p_user_id, s.seminar_id) then 'attendee'::public.room_role
        end,
        s.status = 'live'
    from public.seminar_sessions as s where s.id = p_seminar_session_id
$$;
comment on function private.room_role(uuid, uuid, uuid, uuid) is
'The host of a session, the role of a user in its room, null where they may not enter, and whether it is open now: from
15 minutes before the beginning until the end, and that of a seminar while its session is live.';

create function private.join_room(
    p_session_id uuid default null, p_slot_id uuid default null, p_seminar_session_id uuid default null
)
returns jsonb
language plpgsql
security definer -- clients may not write rooms
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_entry record;
    v_room public.rooms;
begin
    if num_nonnulls(p_session_id, p_slot_id, p_seminar_session_id) <> 1 then
        perform private.refuse('room_subject_invalid');
    end if;
    select r.* into v_entry from private.room_role(v_caller, p_session_id, p_slot_id, p_seminar_session_id) as r;
    if v_entry.role is null then
        perform private.refuse('room_not_found');
    elsif not v_entry.is_open then
        perform private.refuse('room_not_open');
    end if;
    insert into public.rooms (session_id, slot_id, seminar_session_id, host_id)
    values (p_session_id, p_slot_id, p_seminar_session_id, v_entry.host_id)
    on conflict do nothing;
    select r.* into v_room from public.rooms as r
    where r.session_id = p_session_id or r.slot_id = p_slot_id or r.seminar_session_id = p_seminar_session_id;
    if v_room.status <> 'open' then
        perform private.refuse('room_not_open');
    end if;
    return jsonb_build_object('room_id', v_room.id, 'role', v_entry.role);
end
$$;
comment on function private.join_room(uuid, uuid, uuid) is
'Admits the caller to the room of one session, slot or live session of a seminar, which the first entry makes, and
returns room_id and role. For its hosts, its student and people with a seat. Raises room_not_found (404), room_not_open
(409), room_subject_invalid (422).';

create function private.reserve_recording(p_seminar_id uuid) returns public.recordings
language plpgsql
security definer -- clients may not write rooms and recordings
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_session public.seminar_sessions;
    v_room_id uuid;
    v_recording public.recordings;
begin
    if not private.hosts_seminar(v_caller, p_seminar_id) then
        perform private.refuse('seminar_not_found');
    end if;
    select s.* into v_session from public.seminar_sessions as s
    where s.seminar_id = p_seminar_id and s.status = 'live';
    if not found then
        perform private.refuse('seminar_session_not_found');
    end if;
    insert into public.rooms (seminar_session_id, host_id) values (v_session.id, v_session.host_id)
    on conflict do nothing;
    select r.id into v_room_id from public.rooms as r where r.seminar_session_id = v_session.id;
    insert into public.recordings (room_id, host_id) values (v_room_id, v_session.host_id)
    on conflict (room_id) where status = 'reserved' do nothing;
    select r.* into v_recording from public.recordings as r where r.room_id = v_room_id and r.status = 'reserved';
    return v_recording;
end
$$;
comment on function private.reserve_recording(uuid) is
'Reserves a recording of the live session of a seminar and returns it; a reserved one stays as it is. For its hosts.
Raises seminar_not_found or seminar_session_not_found (404: it is not live).';

create function private.lapse__rooms() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_count bigint;
begin
    update public.rooms as u set status = 'ended', ended_at = now()
    where u.id in (
            select r.id from public.rooms as r
            left join public.sessions as s on s.id = r.session_id
            left join public.group_session_slots as l on l.id = r.slot_id
            left join public.seminar_sessions as m on m.id = r.seminar_session_id
            where r.status = 'open' and (
                    coalesce(s.ends_at, l.ends_at) <= now() or s.status <> 'scheduled' or l.status <> 'scheduled'
                    or m.status = 'ended'
                )
            order by r.id limit 100
            for no key update of r skip locked
        );
    get diagnostics v_count = row_count;
    return v_count;
end
$$;
comment on function private.lapse__rooms() is
'Ends up to 100 rooms whose session is over or cancelled, and returns how many.';
