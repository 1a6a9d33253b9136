-- Foundation: settings of this installation, where a request comes from, how often anybody may call, and the check that
-- PostgREST makes before each request.

create table private.app_config (
    key text constraint app_config_pkey primary key,
    value jsonb not null,
    description text not null,
    constraint app_config_key_check check (key ~ '^[a-z][a-z0-9_]*$'),
    constraint app_config_value_check check (value <> 'null')
);
comment on table private.app_config is
'Settings of this installation that SQL needs. The operator changes them in SQL; functions read them by
private.setting.';
comment on column private.app_config.description is 'What the value means, for whoever changes it.';
alter table private.app_config enable row level security;

create function private.setting(p_key text) returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_value jsonb;
begin
    select c.value into v_value from private.app_config as c where c.key = p_key;
    if not found then
        raise sqlstate 'PT500' using
            message = 'setting_missing',
            detail = format('private.app_config has no %s.', p_key),
            hint = 'The operator must set it.';
    end if;
    return v_value;
end
$$;
comment on function private.setting(text) is
'A setting. Raises PT500 setting_missing where there is none: a guard that read a null would let everybody pass.';

insert into private.app_config (key, value, description)
values (
    'client_address',
    '{"header": "x-forwarded-for", "hop": 1}',
    'The header that says where a request comes from, and which of its hops to believe, counted from the last. As many '
    || 'hops as there are trusted proxies before PostgREST: what stands further left, the client wrote. On Supabase '
    || 'use cf-connecting-ip.'
);

create function private.client_address() returns inet
language plpgsql
stable
set search_path = ''
as $$
declare
    v_source jsonb := private.setting('client_address');
    v_headers json := nullif(current_setting('request.headers', true), '')::json;
    v_hops text[] := string_to_array(v_headers ->> (v_source ->> 'header'), ',');
    v_hop text := trim(v_hops[cardinality(v_hops) + 1 - (v_source ->> 'hop')::integer]);
    v_address inet;
begin
    if v_hop is null or not pg_input_is_valid(v_hop, 'inet') or v_hop like '%/%' then
        return null;
    end if;
    v_address := v_hop::inet;
    if v_address <<= '::ffff:0.0.0.0/96' then
        return '0.0.0.0'::inet + (v_address - '::ffff:0.0.0.0'::inet);
    end if;
    return v_address;
end
$$;
comment on function private.client_address() is
'Where the request at hand comes from, as the setting client_address says; null where that is no address. An IPv4
address stays one however it is written.';

create table private.rate_limits (
    tier text constraint rate_limits_pkey primary key,
    burst integer not null constraint rate_limits_burst_check check (burst > 0),
    per_minute integer not null constraint rate_limits_per_minute_check check (per_minute > 0)
);
comment on table private.rate_limits is
'How often one caller may call, by tier. strict: what only admins do, and payments. standard: writing, and what costs
much. generous: reading and tracking.';
comment on column private.rate_limits.burst is 'Requests that a caller who was quiet may make at once.';
comment on column private.rate_limits.per_minute is 'Requests a minute that he may make in the long run.';
alter table private.rate_limits enable row level security;

insert into private.rate_limits (tier, burst, per_minute)
values ('strict', 5, 5), ('standard', 30, 30), ('generous', 100, 100);

create table private.rate_limited_functions (
    function_name text not null,
    tier text not null
    constraint rate_limited_functions_tier_fkey references private.rate_limits (tier) on delete restrict,
    constraint rate_limited_functions_pkey primary key (tier, function_name),
    constraint rate_limited_functions_function_name_key unique (function_name)
);
comment on table private.rate_limited_functions is
'Functions of the API that are not of the tier standard. Each migration adds its own.';
alter table private.rate_limited_functions enable row level security;

-- Unlogged: a crash of the server empties it, and everybody may call at once again. Half of each page is left free, so
-- that a take writes the row's next version beside it and touches no index; for the same reason full_at has none.
create unlogged table private.rate_buckets (
    tier text not null,
    key bytea not null,
    full_at timestamptz not null,
    constraint rate_buckets_pkey primary key (tier, key)
) with (fillfactor = 50);
comment on table private.rate_buckets is
'One row for each caller and tier whose bucket of tokens is not full. Purged by private.purge_rate_buckets.';
comment on column private.rate_buckets.key is
'The SHA-256 of who calls. Not to be read in passing; who has the table can still try all addresses there are.';
comment on column private.rate_buckets.full_at is
'When every token will be back. Each token taken puts it off by the time in which one token comes back.';
alter table private.rate_buckets enable row level security;

create function private.take_token(p_tier text, p_key text) returns integer
language plpgsql
security definer -- the buckets are closed to the edge, and to clients
set search_path = ''
as $$
declare
    v_limit private.rate_limits;
    v_key bytea := sha256(convert_to(p_key, 'UTF8'));
    v_now timestamptz := clock_timestamp();
    v_token interval;
    v_full_at timestamptz;
begin
    select l.* into v_limit from private.rate_limits as l where l.tier = p_tier;
    if not found then
        raise sqlstate 'PT500' using
            message = 'tier_missing',
            detail = format('private.rate_limits has no %s.', p_tier),
            hint = 'The operator must add it.';
    end if;
    v_token := interval '1 minute' / v_limit.per_minute;
    -- One statement: callers at the same moment wait for each other at the row, and each sees what the one before left.
    insert into private.rate_buckets as b (tier, key, full_at)
    values (p_tier, v_key, v_now + v_token)
    on conflict (tier, key) do update set full_at = greatest(b.full_at, v_now) + v_token
    where greatest(b.full_at, v_now) + v_token <= v_now + v_token * v_limit.burst;
    if found then
        return 0;
    end if;
    select b.full_at into v_full_at from private.rate_buckets as b where b.tier = p_tier and b.key = v_key;
    return greatest(1, ceil(extract(epoch from v_full_at - v_now - v_token * (v_limit.burst - 1))));
end
$$;
comment on function private.take_token(text, text) is
'Takes a token of the tier from a caller''s bucket and returns 0, or returns the seconds after which there will be one.
The row stays locked until the transaction ends: take it before any other lock. Raises PT500 tier_missing.';

create function private.purge_rate_buckets() returns bigint
language plpgsql
security definer -- the buckets are closed to whoever runs periodic work
set search_path = ''
as $$
declare
    v_purged bigint;
begin
    with full_buckets as (
        select b.tier, b.key from private.rate_buckets as b where b.full_at <= now() for update skip locked
    )
    delete from private.rate_buckets as b using full_buckets as f where b.tier = f.tier and b.key = f.key;
    get diagnostics v_purged = row_count;
    return v_purged;
end
$$;
comment on function private.purge_rate_buckets() is
'Removes the buckets that are full again, which are as good as none, and says how many. For a periodic job.';

create function private.take_request_token() returns integer
language plpgsql
security definer -- the buckets are closed to clients; the caller chooses neither tier nor key
set search_path = ''
as $$
declare
    v_path text := current_setting('request.path', true);
    v_user_id uuid := (select auth.uid());
    v_address inet;
    v_tier text;
begin
    if v_path like '/rpc/%' then
        select f.tier into v_tier from private.rate_limited_functions as f where f.function_name = substr(v_path, 6);
    end if;
    if v_tier is null then
        -- PostgREST would find a function under an escaped name as well, and we would not.
        v_tier := case when v_path ~ '^/[a-z0-9_/]+$' then 'standard' else 'strict' end;
    end if;
    if v_user_id is not null then
        return private.take_token(v_tier, 'rest user ' || v_user_id::text);
    end if;
    v_address := private.client_address();
    if family(v_address) = 6 then
        v_address := network(set_masklen(v_address, 64)); -- whoever has one address of these has all of them
    end if;
    return private.take_token(v_tier, 'rest address ' || coalesce(v_address::text, 'unknown'));
end
$$;
comment on function private.take_request_token() is
'Takes a token for the request that PostgREST serves, from the bucket of its user, else of its address. Requests without
a known address share one bucket.';

create function private.check_request() returns void
language plpgsql
set search_path = ''
as $$
declare
    v_claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
    v_audience jsonb := v_claims -> 'aud';
    v_request_id text := private.request_id();
    v_seconds integer;
begin
    if current_user = 'authenticated' and (
        v_claims ->> 'exp' is null
        or not coalesce(pg_input_is_valid(v_claims ->> 'sub', 'uuid'), false)
        or coalesce(v_audience not in ('"authenticated"', '["authenticated"]'), true)
    ) then
        raise sqlstate 'PT401' using
            message = 'token_invalid',
            detail = 'The token lacks exp, or a user''s id in sub, or is not meant for this audience.',
            hint = 'Sign in again and send the access token that auth answers.';
    end if;
    if v_request_id is not null then
        perform set_config('application_name', v_request_id, true); -- the log of Postgres shows it
    end if;
    -- A read cannot take a token: its transaction is read-only.
    if current_user = 'service_role' or current_setting('transaction_read_only') = 'on' then
        return;
    end if;
    v_seconds := private.take_request_token();
    if v_seconds > 0 then
        -- PostgREST's own SQLSTATE for a refusal with headers.
        raise sqlstate 'PGRST' using
            message = json_build_object(
                'code', 'PT429', 'message', 'rate_limited',
                'details', format('Too many requests: the next one is served in %s seconds.', v_seconds),
                'hint', 'Wait as long as the header Retry-After says.'
            ),
            detail = json_build_object(
                'status', 429, 'headers', json_build_object('Retry-After', v_seconds::text)
            );
    end if;
end
$$;
comment on function private.check_request() is
'PostgREST calls this before each request (db-pre-request). Refuses user tokens that PostgREST itself would let pass:
without exp, without a user''s id in sub, or whose aud is not `authenticated` (PT401 token_invalid). Takes a token for
each request that may write, of everybody but service_role (PT429 rate_limited).';

alter role authenticator set pgrst.db_pre_request = 'private.check_request'; -- noqa: PRS
