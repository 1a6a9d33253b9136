-- Live: group sessions. A teacher offers them; each slot of one has a time, which commits the teacher, and seats.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'group_session_not_found', 404,
    'There is no such group session, or it is not yours, or not offered.',
    'Read group_sessions again.',
    null
),
(
    'slot_not_found', 404,
    'There is no such slot, or it is not yours, or not offered.',
    'Read group_session_slots again.',
    null
);

create type public.group_session_visibility as enum ('draft', 'public', 'unlisted');
comment on type public.group_session_visibility is
'draft: only its host reads it. public: everybody finds it. unlisted: everybody who has its id reads it by
group_session_details, and no list shows it.';

create type public.group_session_status as enum ('offered', 'deleted');
comment on type public.group_session_status is
'offered: as its visibility says. deleted: gone, except for its host and the people who had a place.';

create type public.slot_status as enum ('scheduled', 'completed', 'cancelled');
comment on type public.slot_status is
'scheduled: it will take place, or takes place. completed: it is over. cancelled: it will not take place.';

create table public.group_sessions (
    id uuid not null default gen_random_uuid() constraint group_sessions_pkey primary key,
    host_id uuid not null default auth.uid()
    constraint group_sessions_host_id_fkey references public.profiles (id) on delete restrict,
    course_id uuid constraint group_sessions_course_id_fkey references public.courses (id) on delete restrict,
    title text not null constraint group_sessions_title_check check (private.is_name(title, 160)),
    description text constraint group_sessions_description_check check (char_length(description) <= 20000),
    visibility public.group_session_visibility not null default 'draft',
    access public.place_access not null default 'free',
    status public.group_session_status not null default 'offered',
    duration_minutes integer not null default 60
    constraint group_sessions_duration_check check (duration_minutes between 10 and 480),
    capacity integer not null default 10
    constraint group_sessions_capacity_check check (capacity between 1 and 5000),
    has_waiting_list boolean not null default true,
    is_listed boolean not null
    generated always as (visibility = 'public' and status = 'offered') stored,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint group_sessions_id_host_id_key unique (id, host_id),
    constraint group_sessions_access_check check (access <> 'course' or course_id is not null)
);
comment on table public.group_sessions is
'Sessions that a teacher offers to several people at once. Everybody reads public ones; teachers write their own.
delete_group_session deletes one.';
comment on column public.group_sessions.course_id is 'The course of the host that it belongs to, or null.';
comment on column public.group_sessions.description is 'What it is about, in Markdown.';
comment on column public.group_sessions.visibility is 'Who finds it.';
comment on column public.group_sessions.access is 'Who may take a seat.';
comment on column public.group_sessions.duration_minutes is 'How long a new slot lasts, 10 to 480 minutes.';
comment on column public.group_sessions.capacity is 'How many seats a new slot has.';
comment on column public.group_sessions.has_waiting_list is 'Whether a new slot has a waiting list.';
comment on column public.group_sessions.is_listed is 'Whether everybody finds it: it is public and not deleted.';
comment on constraint group_sessions_title_check on public.group_sessions is
'The title of a group session is one line of 1 to 160 characters, of which some are visible.';
comment on constraint group_sessions_description_check on public.group_sessions is
'The description of a group session has at most 20,000 characters.';
comment on constraint group_sessions_duration_check on public.group_sessions is
'A group session lasts 10 to 480 minutes.';
comment on constraint group_sessions_capacity_check on public.group_sessions is
'A group session has 1 to 5,000 seats.';
comment on constraint group_sessions_course_id_fkey on public.group_sessions is
'There is no such course, or it has group sessions and cannot be deleted.';
comment on constraint group_sessions_access_check on public.group_sessions is
'Access by a course needs the course.';
alter table public.group_sessions enable row level security;
revoke all on public.group_sessions from anon, authenticated, service_role;
create index group_sessions_host_id_idx on public.group_sessions (host_id, created_at desc);
comment on index public.group_sessions_host_id_idx is
'The group sessions of a host: host_id=eq.&order=created_at.desc, and the policies';
create index group_sessions_course_id_idx on public.group_sessions (course_id);
comment on index public.group_sessions_course_id_idx is 'The group sessions of a course, and the foreign key';
create index group_sessions_is_listed_idx on public.group_sessions (is_listed, created_at desc);
comment on index public.group_sessions_is_listed_idx is 'The public list: is_listed=is.true&order=created_at.desc';
create trigger _200_set_updated_at before update on public.group_sessions
for each row execute function private.tg__set_updated_at();

create table public.group_session_slots (
    id uuid not null default gen_random_uuid() constraint group_session_slots_pkey primary key,
    group_session_id uuid not null,
    host_id uuid not null,
    pool_id uuid not null constraint group_session_slots_pool_id_key unique
    constraint group_session_slots_pool_id_fkey references public.seat_pools (id) on delete restrict,
    commitment_id uuid not null constraint group_session_slots_commitment_id_key unique
    constraint group_session_slots_commitment_id_fkey references private.commitments (id) on delete restrict,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    time_zone text not null,
    status public.slot_status not null default 'scheduled',
    is_public boolean not null default false,
    ics_sequence integer not null default 0
    constraint group_session_slots_sequence_check check (ics_sequence >= 0),
    cancellation_reason text
    constraint group_session_slots_reason_check check (char_length(cancellation_reason) <= 500),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint group_session_slots_group_session_id_fkey foreign key (group_session_id, host_id)
    references public.group_sessions (id, host_id) on delete restrict,
    constraint group_session_slots_duration_check
    check (ends_at - starts_at between interval '10 minutes' and interval '8 hours'),
    constraint group_session_slots_reason_only_cancelled_check
    check (status = 'cancelled' or cancellation_reason is null)
);
comment on table public.group_session_slots is
'The times at which a group session takes place. Who reads the group session reads its slots. add_group_session_slot,
update_group_session_slot and cancel_group_session_slot write them.';
comment on column public.group_session_slots.host_id is 'The host of the group session.';
comment on column public.group_session_slots.pool_id is 'Its seats.';
comment on column public.group_session_slots.commitment_id is 'The commitment that keeps the time of the host.';
comment on column public.group_session_slots.starts_at is 'When it begins.';
comment on column public.group_session_slots.ends_at is 'When it ends, 10 minutes to 8 hours after starts_at.';
comment on column public.group_session_slots.time_zone is 'The IANA time zone in which the host chose the time.';
comment on column public.group_session_slots.is_public is 'Whether its group session is public.';
comment on column public.group_session_slots.ics_sequence is
'How often its time was changed: the SEQUENCE of its calendar event.';
comment on column public.group_session_slots.cancellation_reason is 'Why it was cancelled, in the words of the host.';
alter table public.group_session_slots enable row level security;
revoke all on public.group_session_slots from anon, authenticated, service_role;
create index group_session_slots_group_session_id_host_id_idx
on public.group_session_slots (group_session_id, host_id);
comment on index public.group_session_slots_group_session_id_host_id_idx is 'The foreign key, and embeds';
create index group_session_slots_host_id_idx on public.group_session_slots (host_id, starts_at desc);
comment on index public.group_session_slots_host_id_idx is
'The slots of a host: host_id=eq.&order=starts_at.desc, and the policies';
create index group_session_slots_public_idx on public.group_session_slots (starts_at)
where is_public and status = 'scheduled';
comment on index public.group_session_slots_public_idx is
'What can be booked next: status=eq.scheduled&is_public=is.true&starts_at=gte.&order=starts_at';
create index group_session_slots_ends_at_idx on public.group_session_slots (ends_at) where status = 'scheduled';
comment on index public.group_session_slots_ends_at_idx is 'lapse__group_session_slots: where ends_at <= now()';
create trigger _100_check_time_zone before insert or update of time_zone on public.group_session_slots
for each row execute function private.tg__check_time_zone();
create trigger _200_set_updated_at before update on public.group_session_slots
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('group_sessions', 'offered', 'deleted'),
('group_session_slots', 'scheduled', 'completed'),
('group_session_slots', 'scheduled', 'cancelled');
create trigger _100_check_transition before update of status on public.group_sessions
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _100_check_transition before update of status on public.group_session_slots
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.my_group_session_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of group_sessions calls it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(distinct s.group_session_id), '{}') from public.group_session_slots as s
        where s.pool_id = any(private.my_pool_ids())
    );
end
$$;
comment on function private.my_group_session_ids() is
'The group sessions in which the caller has or had a place. Policies call it as any((select
private.my_group_session_ids())::uuid[]).';
