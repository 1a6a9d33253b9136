-- Live: seminars. A host and their co-hosts speak to many people at a planned time.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'seminar_not_found', 404,
    'There is no such seminar, or it is not yours, or not published.',
    'Read seminars again.',
    null
),
(
    'seminar_not_open', 409,
    'The seminar is not published, or it is over.',
    'See its status.',
    null
),
(
    'seminar_session_live', 409,
    'The seminar is live already.',
    'Enter the live session, or end it first.',
    null
),
(
    'seminar_session_not_found', 404,
    'There is no such session of a seminar, or it is not yours.',
    'Read seminar_sessions again.',
    null
),
(
    'seminar_time_required', 422,
    'A seminar is published with a time in the future.',
    'Set starts_at first.',
    null
);

create type public.seminar_status as enum ('draft', 'published', 'live', 'ended', 'cancelled');
comment on type public.seminar_status is
'draft: only its hosts read it. published: everybody finds it and people take places. live: a session of it has begun.
ended: it is over. cancelled: it will not take place.';

create table public.seminars (
    id uuid not null default gen_random_uuid() constraint seminars_pkey primary key,
    host_id uuid not null default auth.uid()
    constraint seminars_host_id_fkey references public.profiles (id) on delete restrict,
    course_id uuid constraint seminars_course_id_fkey references public.courses (id) on delete restrict,
    pool_id uuid not null constraint seminars_pool_id_key unique,
    title text not null constraint seminars_title_check check (private.is_name(title, 160)),
    description text constraint seminars_description_check check (char_length(description) <= 20000),
    access public.place_access not null default 'free',
    status public.seminar_status not null default 'draft',
    starts_at timestamptz,
    duration_minutes integer not null default 60
    constraint seminars_duration_check check (duration_minutes between 10 and 480),
    ends_at timestamptz,
    time_zone text not null default 'UTC',
    capacity integer not null default 100 constraint seminars_capacity_check check (capacity between 1 and 5000),
    has_waiting_list boolean not null default true,
    closes_at timestamptz,
    ics_sequence integer not null default 0 constraint seminars_sequence_check check (ics_sequence >= 0),
    cancellation_reason text constraint seminars_reason_check check (char_length(cancellation_reason) <= 500),
    published_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint seminars_pool_id_fkey foreign key (pool_id, host_id)
    references public.seat_pools (id, host_id) on delete restrict,
    constraint seminars_access_check check (access <> 'course' or course_id is not null),
    constraint seminars_time_check check (starts_at is not null or status in ('draft', 'cancelled')),
    constraint seminars_ends_at_check check ((starts_at is null) = (ends_at is null)),
    constraint seminars_finite_check check (starts_at > '2000-01-01' and starts_at < '2200-01-01'),
    constraint seminars_reason_only_cancelled_check check (status = 'cancelled' or cancellation_reason is null)
);
comment on table public.seminars is
'Seminars. Everybody reads published, live and ended ones; teachers write their own. publish_seminar, cancel_seminar and
the sessions of a seminar change the status.';
comment on column public.seminars.course_id is 'The course of the host that it belongs to, or null.';
comment on column public.seminars.pool_id is 'Its seats; the database makes the pool.';
comment on column public.seminars.description is 'What it is about, in Markdown.';
comment on column public.seminars.access is 'Who may take a seat.';
comment on column public.seminars.starts_at is
'The planned beginning. From publication on it commits the time of the hosts; a change mails everybody with a place.';
comment on column public.seminars.duration_minutes is 'How long it is planned to last, 10 to 480 minutes.';
comment on column public.seminars.published_at is 'When it was published, or null.';
comment on column public.seminars.ends_at is 'The planned end; the database sets it.';
comment on column public.seminars.time_zone is 'The IANA time zone in which the host planned it.';
comment on column public.seminars.capacity is 'How many seats it has; never fewer than are taken.';
comment on column public.seminars.has_waiting_list is 'Whether people can wait when all seats are taken.';
comment on column public.seminars.closes_at is 'When registration closes; null for the end.';
comment on column public.seminars.ics_sequence is
'How often its time was changed: the SEQUENCE of its calendar event.';
comment on column public.seminars.cancellation_reason is 'Why it was cancelled, in the words of the host.';
comment on constraint seminars_title_check on public.seminars is
'The title of a seminar is one line of 1 to 160 characters, of which some are visible.';
comment on constraint seminars_description_check on public.seminars is
'The description of a seminar has at most 20,000 characters.';
comment on constraint seminars_duration_check on public.seminars is 'A seminar lasts 10 to 480 minutes.';
comment on constraint seminars_capacity_check on public.seminars is 'A seminar has 1 to 5,000 seats.';
comment on constraint seminars_finite_check on public.seminars is 'A seminar is planned for a time in this era.';
comment on constraint seminars_ends_at_check on public.seminars is 'The database derives the end from the beginning.';
comment on constraint seminars_course_id_fkey on public.seminars is
'There is no such course, or it has seminars and cannot be deleted.';
comment on constraint seminars_access_check on public.seminars is 'Access by a course needs the course.';
comment on constraint seminars_time_check on public.seminars is 'A published seminar has a time.';
alter table public.seminars enable row level security;
revoke all on public.seminars from anon, authenticated, service_role;
create index seminars_host_id_idx on public.seminars (host_id, created_at desc);
comment on index public.seminars_host_id_idx is
'The seminars of a host: host_id=eq.&order=created_at.desc, and the policies';
create index seminars_pool_id_host_id_idx on public.seminars (pool_id, host_id);
comment on index public.seminars_pool_id_host_id_idx is 'The foreign key, and embeds';
create index seminars_course_id_idx on public.seminars (course_id);
comment on index public.seminars_course_id_idx is 'The seminars of a course, and the foreign key';
create index seminars_status_idx on public.seminars (status, starts_at);
comment on index public.seminars_status_idx is 'The public list: status=in.(published,live)&order=starts_at';
create index seminars_ends_at_idx on public.seminars (ends_at) where status in ('published', 'live');
comment on index public.seminars_ends_at_idx is 'lapse__seminars: where ends_at <= ?';
create trigger _100_check_time_zone before insert or update of time_zone on public.seminars
for each row execute function private.tg__check_time_zone();
create trigger _200_set_updated_at before update on public.seminars
for each row execute function private.tg__set_updated_at();

create type public.seminar_host_status as enum ('invited', 'accepted', 'declined', 'left');
comment on type public.seminar_host_status is
'invited: the host asks them. accepted: they speak. declined: they said no. left: they left, or the host removed them.';

create table public.seminar_hosts (
    id uuid not null default gen_random_uuid() constraint seminar_hosts_pkey primary key,
    seminar_id uuid not null constraint seminar_hosts_seminar_id_fkey references public.seminars (id) on delete cascade,
    user_id uuid not null constraint seminar_hosts_user_id_fkey references public.profiles (id) on delete restrict,
    is_owner boolean not null default false,
    status public.seminar_host_status not null default 'invited',
    commitment_id uuid constraint seminar_hosts_commitment_id_key unique
    constraint seminar_hosts_commitment_id_fkey references private.commitments (id) on delete restrict,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint seminar_hosts_seminar_id_user_id_key unique (seminar_id, user_id)
);
comment on table public.seminar_hosts is
'Who hosts a seminar: its owner and the co-hosts that accepted. Those who read the seminar read them; functions write
them.';
comment on column public.seminar_hosts.is_owner is 'Whether it is seminars.host_id.';
comment on column public.seminar_hosts.commitment_id is
'The commitment that keeps their time; null while the seminar is not published.';
alter table public.seminar_hosts enable row level security;
revoke all on public.seminar_hosts from anon, authenticated, service_role;
create index seminar_hosts_user_id_idx on public.seminar_hosts (user_id, status);
comment on index public.seminar_hosts_user_id_idx is
'The seminars of a co-host: my_hosted_seminar_ids, the foreign key';
create trigger _200_set_updated_at before update on public.seminar_hosts
for each row execute function private.tg__set_updated_at();

create type public.seminar_session_status as enum ('live', 'ended');
comment on type public.seminar_session_status is 'live: it has begun. ended: it is over.';

create table public.seminar_sessions (
    id uuid not null default gen_random_uuid() constraint seminar_sessions_pkey primary key,
    seminar_id uuid not null
    constraint seminar_sessions_seminar_id_fkey references public.seminars (id) on delete restrict,
    host_id uuid not null constraint seminar_sessions_host_id_fkey references public.profiles (id) on delete restrict,
    status public.seminar_session_status not null default 'live',
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint seminar_sessions_ended_at_check check ((status = 'ended') = (ended_at is not null))
);
comment on table public.seminar_sessions is
'The live sessions of seminars, each from its beginning to its end. Who reads the seminar reads them.
start_seminar_session and end_seminar_session write them.';
comment on column public.seminar_sessions.host_id is 'The host who started it.';
comment on column public.seminar_sessions.started_at is 'When it began.';
comment on column public.seminar_sessions.ended_at is 'When it ended; null while it is live.';
alter table public.seminar_sessions enable row level security;
revoke all on public.seminar_sessions from anon, authenticated, service_role;
create unique index seminar_sessions_live_key on public.seminar_sessions (seminar_id) where status = 'live';
comment on index public.seminar_sessions_live_key is 'A seminar has one live session at a time.';
create index seminar_sessions_seminar_id_idx on public.seminar_sessions (seminar_id, started_at desc);
comment on index public.seminar_sessions_seminar_id_idx is 'The sessions of a seminar, and the foreign key';
create index seminar_sessions_host_id_idx on public.seminar_sessions (host_id);
comment on index public.seminar_sessions_host_id_idx is 'The foreign key';
create trigger _200_set_updated_at before update on public.seminar_sessions
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('seminars', 'draft', 'published'),
('seminars', 'draft', 'cancelled'),
('seminars', 'published', 'live'),
('seminars', 'published', 'cancelled'),
('seminars', 'published', 'ended'),
('seminars', 'live', 'ended'),
('seminar_hosts', 'invited', 'accepted'),
('seminar_hosts', 'invited', 'declined'),
('seminar_hosts', 'invited', 'left'),
('seminar_hosts', 'accepted', 'left'),
('seminar_hosts', 'declined', 'invited'),
('seminar_hosts', 'left', 'invited'),
('seminar_sessions', 'live', 'ended');
create trigger _100_check_transition before update of status on public.seminars
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _100_check_transition before update of status on public.seminar_hosts
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _100_check_transition before update of status on public.seminar_sessions
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.my_hosted_seminar_ids() returns uuid[]
language plpgsql
stable
security definer -- the policies of seminars, of their hosts and their sessions call it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(h.seminar_id), '{}') from public.seminar_hosts as h
        where h.user_id = (select auth.uid()) and h.status in ('invited', 'accepted')
    );
end
$$;
comment on function private.my_hosted_seminar_ids() is
'The seminars that the caller hosts, or is invited to host. Policies call it as any((select
private.my_hosted_seminar_ids())::uuid[]).';

create function private.my_hosted_pool_ids() returns uuid[]
language plpgsql
stable
security definer -- the policies of places and pools call it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(s.pool_id), '{}') from public.seminar_hosts as h
        join public.seminars as s on s.id = h.seminar_id
        where h.user_id = (select auth.uid()) and h.status = 'accepted'
    );
end
$$;
comment on function private.my_hosted_pool_ids() is
'The pools of the seminars that the caller hosts. Policies call it as any((select
private.my_hosted_pool_ids())::uuid[]).';

create function private.visible_seminar_ids() returns uuid[]
language plpgsql
stable
security definer -- the policies of hosts and sessions of seminars call it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(s.id), '{}') from public.seminars as s
        where s.pool_id = any(private.my_pool_ids()) or s.id = any(private.my_hosted_seminar_ids())
    );
end
$$;
comment on function private.visible_seminar_ids() is
'The seminars of the caller as host or as somebody with a place, whatever their status. Policies call it as any((select
private.visible_seminar_ids())::uuid[]).';

create function private.tg_seminars__derive() returns trigger
language plpgsql
security definer -- clients may not write pools
set search_path = ''
as $$
begin
    new.ends_at := new.starts_at + make_interval(mins => new.duration_minutes);
    if tg_op = 'INSERT' then
        insert into public.seat_pools (host_id, capacity, has_waiting_list, starts_at, ends_at, closes_at)
        values (new.host_id, new.capacity, new.has_waiting_list, new.starts_at, new.ends_at, new.closes_at)
        returning id into new.pool_id;
    end if;
    return new;
end
$$;
comment on function private.tg_seminars__derive() is
'Before a seminar is written: sets its end, and makes the pool of a new one.';
create trigger _110_derive before insert or update of starts_at, duration_minutes on public.seminars
for each row execute function private.tg_seminars__derive();

create function private.tg_seminars__add_owner() returns trigger
language plpgsql
security definer -- clients may not write hosts
set search_path = ''
as $$
begin
    insert into public.seminar_hosts (seminar_id, user_id, is_owner, status)
    values (new.id, new.host_id, true, 'accepted');
    return null;
end
$$;
comment on function private.tg_seminars__add_owner() is 'After a seminar was made: its host is the first of its hosts.';
create trigger _300_add_owner after insert on public.seminars
for each row execute function private.tg_seminars__add_owner();
