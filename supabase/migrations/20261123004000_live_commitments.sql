-- Live: commitments of hosts. Everything that takes the time of a host is a row of one table, so that nothing overlaps.

create table private.commitments (
    id uuid not null default gen_random_uuid() constraint commitments_pkey primary key,
    host_id uuid not null constraint commitments_host_id_fkey references public.profiles (id) on delete restrict,
    busy tstzrange not null constraint commitments_busy_check
    check (not isempty(busy) and not lower_inf(busy) and not upper_inf(busy)),
    is_live boolean not null default true,
    created_at timestamptz not null default now(),
    constraint commitments_overlap_excl exclude using gist (host_id with =, busy with &&)
    where (is_live)
);
comment on table private.commitments is
'When hosts are busy. Two live commitments of a host never overlap. The functions that schedule and cancel sessions
write it.';
comment on column private.commitments.busy is 'The time range, its end excluded; never changed.';
comment on column private.commitments.is_live is 'Whether it is in force; false after it was cancelled.';
alter table private.commitments enable row level security;
revoke all on private.commitments from anon, authenticated, service_role;
create index commitments_host_id_idx on private.commitments (host_id);
comment on index private.commitments_host_id_idx is 'The foreign key';

insert into private.errors (token, status, meaning, hint, detail)
values (
    'host_busy', 409,
    'The host has something else at that time.',
    'Choose another time, or cancel the other session.',
    null
);

create function private.commit_time(
    p_host_id uuid, p_starts_at timestamptz, p_ends_at timestamptz, p_before interval default '0',
    p_after interval default '0'
)
returns uuid
language plpgsql
security definer -- nobody may write commitments
set search_path = ''
as $$
declare
    v_id uuid;
begin
    begin
        insert into private.commitments (host_id, busy)
        values (p_host_id, tstzrange(p_starts_at - p_before, p_ends_at + p_after))
        returning id into v_id;
    exception when exclusion_violation then
        perform private.refuse('host_busy');
    end;
    return v_id;
end
$$;
comment on function private.commit_time(uuid, timestamptz, timestamptz, interval, interval) is
'Takes this time of the host, with a buffer before and after, and returns the id of the commitment. Raises host_busy
(409).';

create function private.release_time(p_commitment_id uuid) returns void
language sql
security definer -- nobody may write commitments
set search_path = ''
as $$
    update private.commitments as c set is_live = false where c.id = p_commitment_id and c.is_live
$$;
comment on function private.release_time(uuid) is 'Gives the time of a commitment back to the host.';
