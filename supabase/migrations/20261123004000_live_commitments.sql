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
