-- Live: what takes a host's time. Whatever a host promises to be at, of whatever kind, is one row here, so that
-- nothing can overlap anything else.

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
'When hosts are taken. Two that are live never overlap for the same host. Written by the functions that make sessions.';
comment on column private.commitments.busy is 'From when until when, the end excluded; frozen when it was made.';
comment on column private.commitments.is_live is 'Whether it still stands; what is called off frees the time.';
alter table private.commitments enable row level security;
revoke all on private.commitments from anon, authenticated, service_role;
create index commitments_host_id_idx on private.commitments (host_id);
comment on index private.commitments_host_id_idx is 'The foreign key';
