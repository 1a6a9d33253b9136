-- Live: seats. One mechanism for everything with a number of places: slots of group sessions and seminars. A pool has
-- seats; a place is one person's seat, or their turn in the waiting list.
--
-- A lock of the pool guards all its places. Who takes a place first keeps the account of its person (FOR SHARE), so
-- that a ban or a deletion finds the place. catalog_locks has the order of all locks.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'already_registered', 409,
    'You have a place there already.',
    'Read places.',
    null
),
(
    'capacity_below_taken', 409,
    'More seats are taken than this capacity has.',
    'Remove attendees first, or choose a capacity of at least seat_pools.taken.',
    null
),
(
    'host_cannot_attend', 409,
    'A host takes no seat of their own.',
    'Enter as the host.',
    null
),
(
    'place_not_found', 404,
    'There is no such place, or it is not yours.',
    'Read places again.',
    null
),
(
    'place_not_over', 409,
    'Attendance is recorded from the beginning on, for people who have a seat.',
    'Wait until it begins.',
    null
),
(
    'registration_closed', 409,
    'Places are no longer given, or not yet.',
    'See closes_at and the status.',
    null
),
(
    'removed_by_host', 403,
    'The host has removed you from it.',
    'Ask the host, who can grant you a place again.',
    null
),
(
    'seats_taken', 409,
    'All seats are taken.',
    'Choose another time, or try again later.',
    null
);

create type public.place_status as enum ('held', 'confirmed', 'waiting', 'cancelled', 'expired', 'attended', 'missed');
comment on type public.place_status is
'held: a seat that is kept until held_until, while its person pays. confirmed: a seat. waiting: no seat yet, in the
waiting list. cancelled: given back, or taken away. expired: the hold or the wait ended without a seat. attended and
missed: whether the person of a seat came.';

create type public.place_access as enum ('free', 'course', 'paid');
comment on type public.place_access is
'Who may take a seat. free: every member. course: people with access to the course. paid: people who bought it.';

create table public.seat_pools (
    id uuid not null default gen_random_uuid() constraint seat_pools_pkey primary key,
    host_id uuid not null constraint seat_pools_host_id_fkey references public.profiles (id) on delete restrict,
    capacity integer not null,
    taken integer not null default 0,
    waiting integer not null default 0 constraint seat_pools_waiting_check check (waiting >= 0),
    has_waiting_list boolean not null default true,
    is_open boolean not null default false,
    is_public boolean not null default false,
    starts_at timestamptz,
    ends_at timestamptz,
    closes_at timestamptz,
    cancellation_notice_hours integer not null default 24,
    late_refund_percent integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint seat_pools_id_host_id_key unique (id, host_id),
    constraint seat_pools_capacity_check check (capacity between 1 and 5000),
    constraint seat_pools_taken_check check (taken between 0 and capacity),
    constraint seat_pools_time_check check (ends_at > starts_at),
    constraint seat_pools_notice_check check (cancellation_notice_hours between 0 and 720),
    constraint seat_pools_late_refund_check check (late_refund_percent between 0 and 100)
);
comment on table public.seat_pools is
'The seats of a slot of a group session or of a seminar, and how many are taken. Who reads those reads their pool.
Functions write it.';
comment on column public.seat_pools.capacity is 'How many seats there are, 1 to 5,000; never fewer than are taken.';
comment on column public.seat_pools.taken is 'How many seats are held, confirmed, attended or missed.';
comment on column public.seat_pools.waiting is 'How many people wait for a seat.';
comment on column public.seat_pools.has_waiting_list is
'Whether people can wait when all seats are taken. They move up by themselves, the first first.';
comment on column public.seat_pools.is_open is 'Whether places are given and people move up.';
comment on column public.seat_pools.is_public is 'Whether everybody reads it.';
comment on column public.seat_pools.starts_at is 'When what the seats are for begins; null while that is open.';
comment on column public.seat_pools.ends_at is 'When that ends.';
comment on column public.seat_pools.closes_at is
'When places are no longer given; null for the end. The host can grant places until the end.';
comment on column public.seat_pools.cancellation_notice_hours is
'How many hours before the beginning a place can be cancelled with all of its price returned.';
comment on column public.seat_pools.late_refund_percent is
'The share of the price that is returned where a place is cancelled later.';
comment on constraint seat_pools_id_host_id_key on public.seat_pools is 'For the foreign key of places';
alter table public.seat_pools enable row level security;
revoke all on public.seat_pools from anon, authenticated, service_role;
create index seat_pools_host_id_idx on public.seat_pools (host_id);
comment on index public.seat_pools_host_id_idx is 'The foreign key, and the policies: host_id = ?';
create trigger _200_set_updated_at before update on public.seat_pools
for each row execute function private.tg__set_updated_at();

create table public.places (
    id uuid not null default gen_random_uuid() constraint places_pkey primary key,
    pool_id uuid not null,
    user_id uuid not null constraint places_user_id_fkey references public.profiles (id) on delete restrict,
    host_id uuid not null,
    status public.place_status not null,
    held_until timestamptz,
    is_granted boolean not null default false,
    is_removed boolean not null default false,
    queued_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint places_pool_id_fkey foreign key (pool_id, host_id)
    references public.seat_pools (id, host_id) on delete restrict,
    constraint places_held_until_check check ((status = 'held') = (held_until is not null)),
    constraint places_removed_check check (status = 'cancelled' or not is_removed),
    constraint places_own_check check (user_id <> host_id)
);
comment on table public.places is
'Seats of people, and their turns in waiting lists. Their person, the hosts and moderators read them. Functions write
it.';
comment on column public.places.host_id is 'The host of the pool.';
comment on column public.places.held_until is 'Until when a held seat is kept for its person, who pays meanwhile.';
comment on column public.places.is_granted is 'Whether the host gave it, whatever the access.';
comment on column public.places.is_removed is 'Whether the host took it away; the person cannot take it again.';
comment on column public.places.queued_at is 'The order in which people move up; the earliest is the first.';
comment on column public.places.ended_at is 'When it was cancelled or expired, or null.';
alter table public.places enable row level security;
revoke all on public.places from anon, authenticated, service_role;
create unique index places_pool_id_user_id_key on public.places (pool_id, user_id)
where status not in ('cancelled', 'expired');
comment on index public.places_pool_id_user_id_key is 'A person has one place in a pool.';
create index places_pool_id_host_id_idx on public.places (pool_id, host_id);
comment on index public.places_pool_id_host_id_idx is 'The places of a pool: pool_id=eq., and the foreign key';
create index places_queue_idx on public.places (pool_id, queued_at, id) where status = 'waiting';
comment on index public.places_queue_idx is 'move_places_up: the first who waits for a seat of the pool';
create index places_user_id_idx on public.places (user_id, created_at desc);
comment on index public.places_user_id_idx is
'The places of a person: user_id=eq.&order=created_at.desc, and the policies';
create index places_host_id_idx on public.places (host_id, created_at desc);
comment on index public.places_host_id_idx is
'The places that a host gave: host_id=eq.&order=created_at.desc, and the policies';
create index places_held_until_idx on public.places (held_until) where status = 'held';
comment on index public.places_held_until_idx is 'lapse__held_places: where held_until <= now()';
create trigger _200_set_updated_at before update on public.places
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('places', 'held', 'confirmed'),
('places', 'held', 'cancelled'),
('places', 'held', 'expired'),
('places', 'waiting', 'confirmed'),
('places', 'waiting', 'held'),
('places', 'waiting', 'cancelled'),
('places', 'waiting', 'expired'),
('places', 'confirmed', 'cancelled'),
('places', 'confirmed', 'attended'),
('places', 'confirmed', 'missed'),
('places', 'attended', 'missed'),
('places', 'missed', 'attended');
create trigger _100_check_transition before update of status on public.places
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.tg_places__count() returns trigger
language plpgsql
security definer -- clients may not write counts
set search_path = ''
as $$
declare
    v_seated constant public.place_status[] := '{held,confirmed,attended,missed}';
    v_taken integer := (new.status = any(v_seated))::integer;
    v_waiting integer := (new.status = 'waiting')::integer;
begin
    if tg_op = 'UPDATE' then
        v_taken := v_taken - (old.status = any(v_seated))::integer;
        v_waiting := v_waiting - (old.status = 'waiting')::integer;
    end if;
    if v_taken <> 0 or v_waiting <> 0 then
        update public.seat_pools as p
        set taken = p.taken + v_taken, waiting = p.waiting + v_waiting
        where p.id = new.pool_id;
    end if;
    return null;
end
$$;
comment on function private.tg_places__count() is
'After a place was made or changed its status: counts the seats that are taken and the people who wait.';
create trigger _300_count after insert or update of status on public.places
for each row execute function private.tg_places__count();

create function private.my_pool_ids() returns uuid[]
language plpgsql
stable
security definer -- policies of pools, slots and seminars call it
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(p.pool_id), '{}') from public.places as p where p.user_id = (select auth.uid())
    );
end
$$;
comment on function private.my_pool_ids() is
'The pools in which the caller has or had a place. Policies call it as any((select private.my_pool_ids())::uuid[]).';
