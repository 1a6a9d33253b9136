-- Foundation: limits of requests, and the check that PostgREST makes before each request.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'tier_missing', 500,
    'A tier of rate limits is missing.',
    'The operator adds it to private.rate_limits.',
    'private.rate_limits has no %s.'
),
(
    'rate_limited', 429,
    'Too many requests that may write, in a short time.',
    'Wait as long as the header Retry-After says.',
    'Too many requests: the next one is served in %s seconds.'
),
(
    'token_invalid', 401,
    'The token lacks exp or a user''s id in sub, or has another audience.',
    'Sign in again and send the access token that auth answers.',
    null
);

create table private.rate_limits (
    tier text constraint rate_limits_pkey primary key,
    burst integer not null constraint rate_limits_burst_check check (burst > 0),
    per_minute integer not null constraint rate_limits_per_minute_check check (per_minute > 0)
);
comment on table private.rate_limits is
'How many requests each caller may make, by tier. strict: functions for admins, and payments. standard: writes and
costly reads. generous: cheap and frequent writes, such as tracking.';
comment on column private.rate_limits.burst is 'Requests that a caller may make at once after a pause.';
comment on column private.rate_limits.per_minute is 'Requests a minute that a caller may make in the long run.';
alter table private.rate_limits enable row level security;

insert into private.rate_limits (tier, burst, per_minute)
values ('strict', 5, 5), ('standard', 30, 30), ('generous', 100, 100);

-- Unlogged: a crash of the server empties it, which fills every bucket. Half of each page stays free and full_at has no
-- index, so that taking a token is a heap-only update, which touches no index.
create unlogged table private.rate_buckets (
    tier text not null,
    key bytea not null,
    full_at timestamptz not null,
    constraint rate_buckets_pkey primary key (tier, key)
) with (fillfactor = 50);
comment on table private.rate_buckets is
'The token buckets that are not full, one row for each caller and tier. purge__rate_buckets deletes full ones.';
comment on column private.rate_buckets.key is
'The SHA-256 of the caller''s user id or address. Not anonymous: a reader of the table can hash all addresses.';
comment on column private.rate_buckets.full_at is
'When the bucket will be full. Taking a token moves it by the time in which one token is refilled.';
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
        perform private.refuse('tier_missing', p_tier::text);
    end if;
    v_token := interval '1 minute' / v_limit.per_minute;
    -- One statement: concurrent callers queue at the row lock, and each sees the bucket as the one before left it.
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
'Takes a token from the bucket of this caller and tier and returns 0; where it is empty, returns the seconds until the
next token. The row stays locked until the transaction ends: call it before taking any other lock. Raises PT500
tier_missing.';

create function private.purge__rate_buckets() returns bigint
language plpgsql
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
comment on function private.purge__rate_buckets() is
'Deletes the buckets that are full, which mean the same as no bucket; returns how many.';

create function private.take_request_token() returns integer
language plpgsql
security definer -- the buckets are closed to clients, who choose neither tier nor key
set search_path = ''
as $$
declare
    v_path text := current_setting('request.path', true);
    v_user_id uuid := (select auth.uid());
    v_address inet;
    v_tier text;
begin
    if v_path like '/rpc/%' then
        select f.tier into v_tier from private.api_functions as f where f.name = substr(v_path, 6);
    end if;
    if v_tier is null then
        -- PostgREST also finds a function by a percent-encoded name, which is not in api_functions: strict.
        v_tier := case when v_path ~ '^/[a-z0-9_/]+$' then 'standard' else 'strict' end;
    end if;
    if v_user_id is not null then
        return private.take_token(v_tier, 'rest user ' || v_user_id::text);
    end if;
    v_address := private.client_address();
    if family(v_address) = 6 then
        v_address := network(set_masklen(v_address, 64)); -- one IPv6 client usually has a whole /64
    end if;
    return private.take_token(v_tier, 'rest address ' || coalesce(v_address::text, 'unknown'));
end
$$;
comment on function private.take_request_token() is
'Takes a token for the current PostgREST request, from the bucket of its user, else of its address; returns what
take_token returns. Requests without a known address share one bucket.';

create function private.requires_sign_in(p_method text, p_path text) returns boolean
language sql
stable
set search_path = ''
as $$
    with request as (
        -- PostgREST finds a function or table by an escaped name as well.
        select string_agg(
            case length(c.piece[1])
                when 3 then chr(('x' || substr(c.piece[1], 2))::bit(8)::integer)
                else c.piece[1]
            end,
            '' order by c.number
        ) as path
        from regexp_matches(p_path, '%[2-7][0-9A-Fa-f]|.', 'g') with ordinality as c (piece, number)
    )
    select case
        when r.path like '/rpc/%' then coalesce((
            select not bool_or(pg_catalog.has_function_privilege(p.oid, 'execute'))
            from pg_catalog.pg_proc as p
            where p.pronamespace = 'public'::regnamespace and p.proname = substr(r.path, 6)
        ), false)
        when p_method in ('POST', 'PUT') then not pg_catalog.has_any_column_privilege(t.oid, 'insert')
        when p_method = 'PATCH' then not pg_catalog.has_any_column_privilege(t.oid, 'update')
        when p_method = 'DELETE' then not pg_catalog.has_table_privilege(t.oid, 'delete')
        else false
    end
    from request as r
    cross join lateral (select to_regclass(format('public.%I', substr(r.path, 2)))::oid) as t (oid)
$$;
comment on function private.requires_sign_in(text, text) is
'Whether the current role lacks the privilege for a request altogether: to call its function, or to write its table.
check_request asks it for `anon` only.';

create function private.check_request() returns void
language plpgsql
set search_path = ''
as $$
declare
    v_method text := current_setting('request.method', true);
    v_path text := current_setting('request.path', true);
    v_claims jsonb;
    v_audience jsonb;
    v_request_id text;
    v_seconds integer;
begin
    if current_user = 'authenticated' then
        v_claims := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
        v_audience := v_claims -> 'aud';
        if v_claims ->> 'exp' is null
            or not coalesce(pg_input_is_valid(v_claims ->> 'sub', 'uuid'), false)
            or coalesce(v_audience not in ('"authenticated"', '["authenticated"]'), true)
        then
            perform private.refuse('token_invalid');
        end if;
    elsif current_user = 'anon' then
        -- A separate `if`: Postgres checks EXECUTE on every function of an expression, evaluated or not.
        if (v_method <> 'GET' or v_path like '/rpc/%' or v_path like '%\%%')
            and private.requires_sign_in(v_method, v_path)
        then
            perform private.refuse('sign_in_required');
        end if;
    end if;
    -- The transaction of a GET is read-only and cannot take a token.
    if current_setting('transaction_read_only') = 'on' then
        return;
    end if;
    v_request_id := private.request_id();
    if v_request_id is not null then
        perform set_config('application_name', v_request_id, true); -- for the log of Postgres
    end if;
    if current_user = 'service_role' then
        return;
    end if;
    v_seconds := private.take_request_token();
    if v_seconds > 0 then
        -- PostgREST takes headers of the answer from errors of this SQLSTATE.
        raise sqlstate 'PGRST' using
            message = (
                select json_build_object(
                    'code', 'PT' || e.status, 'message', e.token, 'details', format(e.detail, v_seconds), 'hint', e.hint
                )
                from private.error_of('rate_limited') as e
            ),
            detail = json_build_object(
                'status', 429, 'headers', json_build_object('Retry-After', v_seconds::text)
            );
    end if;
end
$$;
comment on function private.check_request() is
'PostgREST calls this before each request (db-pre-request). Refuses user tokens that PostgREST accepts although they
have no exp, no user id in sub, or another aud than `authenticated` (PT401 token_invalid); refuses requests without a
token for functions and writes that only users may make (PT401 sign_in_required). Takes a token from the caller''s
bucket for each request that may write, except those of service_role (PT429 rate_limited).';

alter role authenticator set pgrst.db_pre_request = 'private.check_request'; -- noqa: PRS
