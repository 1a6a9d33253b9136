-- Commerce: the details of an order, which the buyer sends. offer_kinds.detail_keys names the keys of a kind, and
-- private.order_detail__<key>(p_value jsonb) says what is wrong with a value, as the end of a sentence; null where
-- nothing is. A key without such a function takes a text.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'detail_invalid', 422,
    'The details of an order are no object, or one of them has no value that its key takes.',
    'Read the comment of detail_keys in offer_kinds.',
    'details: %s.'
),
(
    'detail_unknown', 422,
    'The details of an order of this kind cannot have one of these keys.',
    'Read detail_keys of the kind in offer_kinds.',
    'The details of an order of kind %s cannot have %s.'
);

create function private.order_detail__note(p_value jsonb) returns text
language sql
immutable
set search_path = ''
as $$
    select 'a text of 1 to 2,000 characters'
    where jsonb_typeof(p_value) <> 'string' or (p_value #>> '{}') !~ '\S' or char_length(p_value #>> '{}') > 2000
$$;
comment on function private.order_detail__note(jsonb) is 'note: a text of at most 2,000 characters.';

create function private.order_detail__starts_at(p_value jsonb) returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    v_text text := p_value #>> '{}';
begin
    if jsonb_typeof(p_value) <> 'string'
        or v_text !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)$'
        or not pg_input_is_valid(v_text, 'timestamptz')
    then
        return 'an instant with a time zone, such as 2030-05-01T14:00:00Z';
    elsif v_text::timestamptz not between now() and now() + interval '1 year' then
        return 'in the future and within a year';
    end if;
    return null;
end
$$;
comment on function private.order_detail__starts_at(jsonb) is
'starts_at: when a session or service begins; an instant with a time zone, in the future and within a year.';

create function private.order_detail__files_url(p_value jsonb) returns text
language sql
immutable
set search_path = ''
as $$
    select 'an https address of at most 2,000 characters'
    where jsonb_typeof(p_value) <> 'string' or char_length(p_value #>> '{}') > 2000
        or (p_value #>> '{}') !~ '^https://[^\s/?#@:.]+(\.[^\s/?#@:.]+)+(:\d{1,5})?([/?#][^\s<>"\\]*)?$'
$$;
comment on function private.order_detail__files_url(jsonb) is 'files_url: the https address of the buyer''s files.';

create function private.order_detail__track_url(p_value jsonb) returns text
language sql
immutable
set search_path = ''
as $$
    select private.order_detail__files_url(p_value)
$$;
comment on function private.order_detail__track_url(jsonb) is 'track_url: the https address of the buyer''s track.';

create function private.order_detail__playlist_url(p_value jsonb) returns text
language sql
immutable
set search_path = ''
as $$
    select coalesce(
        private.order_detail__files_url(p_value),
        case
            when (p_value #>> '{}') !~* '^https://[^/]+/(.*/)?(playlists?|sets)[/?].' then 'the address of a playlist'
        end
    )
$$;
comment on function private.order_detail__playlist_url(jsonb) is
'playlist_url: the https address of the playlist that the track is for, as streaming services make them
(.../playlist/..., .../playlist?list=..., .../sets/...).';

create function private.order_detail__options(p_value jsonb) returns text
language plpgsql
immutable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_value) <> 'object' then
        return 'an object of names with a text, a number or a boolean';
    elsif (select count(*) from jsonb_object_keys(p_value)) not between 1 and 30 or exists (
        select from jsonb_each(p_value) as t
        where char_length(t.key) not between 1 and 60
            or jsonb_typeof(t.value) not in ('string', 'number', 'boolean')
            or char_length(t.value #>> '{}') > 200
    ) then
        return '1 to 30 names of at most 60 characters with a text of at most 200, a number or a boolean';
    elsif char_length(p_value::text) > 2000 then
        return 'at most 2,000 characters in all';
    end if;
    return null;
end
$$;
comment on function private.order_detail__options(jsonb) is
'options: what the buyer chooses of a service, such as {"stems": 12, "is_rush": true}.';

create function private.require_details(p_kind text, p_details jsonb) returns jsonb
language plpgsql
stable
security definer -- clients may execute no function that a domain registers
set search_path = ''
as $$
declare
    v_key text;
    v_value jsonb;
    v_problem text;
begin
    if p_details is null or p_details = 'null' then
        return '{}';
    elsif jsonb_typeof(p_details) <> 'object' then
        perform private.refuse('detail_invalid', 'they are an object of keys and values');
    end if;
    for v_key, v_value in select t.key, t.value from jsonb_each(p_details) as t order by t.key loop
        if not exists (
            select from public.offer_kinds as k where k.kind = p_kind and v_key = any(k.detail_keys)
        ) then
            perform private.refuse('detail_unknown', p_kind, left(v_key, 60));
        end if;
        if to_regprocedure(format('private.%I(jsonb)', 'order_detail__' || v_key)) is not null then
            execute format('select private.%I($1)', 'order_detail__' || v_key) into v_problem using v_value;
        else
            v_problem := private.order_detail__note(v_value);
        end if;
        if v_problem is not null then
            perform private.refuse('detail_invalid', format('%s must be %s', v_key, v_problem));
        end if;
    end loop;
    return p_details;
end
$$;
comment on function private.require_details(text, jsonb) is
'The details of an order of this kind, {} for null, after a check of each key and value. Raises PT422 detail_unknown or
detail_invalid.';
