-- Identity: sign-ins, and failed attempts to sign in.

create type public.auth_event_kind as enum ('sign_in', 'refresh', 'failure');
comment on type public.auth_event_kind is
'sign_in: a session began. refresh: a session got a new token. failure: the password was wrong.';

create table public.auth_events (
    id bigint generated always as identity constraint auth_events_pkey primary key,
    user_id uuid not null constraint auth_events_user_id_fkey references public.accounts (user_id) on delete cascade,
    kind public.auth_event_kind not null,
    address inet,
    user_agent text constraint auth_events_user_agent_check check (char_length(user_agent) <= 500),
    created_at timestamptz not null default now()
);
comment on table public.auth_events is
'Sign-ins, refreshes and failures of each user, for 180 days. Users read their own, admins all. Triggers on
auth.sessions and the hook of auth write it; a user''s events are deleted with the user.';
comment on column public.auth_events.kind is 'What happened.';
comment on column public.auth_events.address is 'The client''s network address; null where unknown.';
comment on column public.auth_events.user_agent is 'The client''s User-Agent header, cut off after 500 characters.';
alter table public.auth_events enable row level security;
revoke all on public.auth_events from anon, authenticated, service_role;
create index auth_events_user_id_idx on public.auth_events (user_id, created_at desc);
comment on index public.auth_events_user_id_idx is
'A user''s events: user_id=eq.&order=created_at.desc, the policy and the foreign key';
create index auth_events_created_at_idx on public.auth_events (created_at);
comment on index public.auth_events_created_at_idx is
'purge__auth_events, and the newest events for admins: order=created_at.desc';

create function private.record_auth_event(
    p_user_id uuid, p_kind public.auth_event_kind, p_address inet, p_user_agent text
)
returns void
language sql
security definer -- auth_events is closed; triggers and the hook of auth record events
set search_path = ''
as $$
    -- A select, so that an account that is missing or deleted does not make the sign-in fail.
    insert into public.auth_events (user_id, kind, address, user_agent)
    select a.user_id, p_kind, p_address, left(p_user_agent, 500)
    from public.accounts as a where a.user_id = p_user_id and a.status <> 'deleted'
$$;
comment on function private.record_auth_event(uuid, public.auth_event_kind, inet, text) is
'Records an event of an account; does nothing where the account is missing or deleted.';

create function private.tg_sessions__record_event() returns trigger
language plpgsql
security definer -- auth writes sessions as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    perform private.record_auth_event(
        new.user_id, case tg_op when 'INSERT' then 'sign_in' else 'refresh' end::public.auth_event_kind,
        new.ip, new.user_agent
    );
    return null;
end
$$;
comment on function private.tg_sessions__record_event() is
'After auth creates or refreshes a session: records an event.';
create trigger guildhall_record_sign_in after insert on auth.sessions
for each row execute function private.tg_sessions__record_event();
create trigger guildhall_record_refresh after update of refreshed_at on auth.sessions
for each row when (old.refreshed_at is distinct from new.refreshed_at)
execute function private.tg_sessions__record_event();

create function private.password_verification_attempt(event jsonb) returns jsonb
language plpgsql
security definer -- auth runs it as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
declare
    v_address text := event -> 'metadata' ->> 'ip_address';
begin
    if event ->> 'valid' is distinct from 'false'
        or not coalesce(pg_input_is_valid(event ->> 'user_id', 'uuid'), false)
    then
        return '{"decision": "continue"}';
    elsif not pg_input_is_valid(v_address, 'inet') then
        v_address := null;
    end if;
    perform private.record_auth_event(
        (event ->> 'user_id')::uuid, 'failure', v_address::inet, event -> 'metadata' ->> 'user_agent'
    );
    return '{"decision": "continue"}';
end
$$;
comment on function private.password_verification_attempt(jsonb) is
'Supabase''s password verification attempt hook: records wrong passwords, with the address and user agent where auth
sends them. It never rejects: attempts are limited by address too, elsewhere, so that nobody can lock another user
out.';

create function private.purge__auth_events() returns bigint
language sql
set search_path = ''
as $$
    with purged as (
        delete from public.auth_events as e where e.created_at < now() - interval '180 days' returning e.id
    )
    select count(*) from purged
$$;
comment on function private.purge__auth_events() is
'Deletes events older than 180 days; returns how many.';

create function private.account_ended__200_auth_events(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    delete from public.auth_events as e where e.user_id = p_user_id
$$;
comment on function private.account_ended__200_auth_events(uuid) is
'Deletes the events of the user.';
