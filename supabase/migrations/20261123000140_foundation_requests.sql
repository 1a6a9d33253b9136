-- Foundation: the current request: its id, and the address of the client.

create function private.request_id() returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    v_id text := coalesce(
        nullif(current_setting('request.headers', true), '')::json ->> 'x-request-id',
        current_setting('guildhall.request_id', true)
    );
begin
    -- A bounded repetition, {1,128}, would cost several times what these two tests do.
    return case when length(v_id) between 1 and 128 and v_id !~ '[^A-Za-z0-9._-]' then v_id end;
end
$$;
comment on function private.request_id() is
'The id of the current request: the header X-Request-Id that PostgREST received, else the setting guildhall.request_id,
which the edge sets. Null where there is none, or none of 1 to 128 letters, digits, dots, underscores and hyphens.';

insert into private.app_config (key, value, description)
values (
    'client_address',
    '{"header": "x-forwarded-for", "hop": 1}',
    'The header with the client''s address, and which of its hops to trust, counted from the last: as many as there '
    || 'are trusted proxies before PostgREST, because the client can write those further left. On Supabase use '
    || 'cf-connecting-ip.'
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
'The address of the client of the current request, read as the setting client_address says; null where that is not an
address. An IPv4 address written as IPv6 becomes IPv4 again.';
