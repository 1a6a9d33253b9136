-- Identity: the list of users that moderators and admins work with, its search, and its file for a spreadsheet.

create view public.user_accounts with (security_invoker = true) as
select
    a.user_id,
    p.id as profile_id,
    a.email,
    p.handle,
    p.display_name,
    p.avatar_path,
    p.is_public,
    a.roles,
    a.status,
    a.status_reason,
    a.suspended_until,
    a.email_confirmed_at,
    a.last_sign_in_at,
    a.is_anonymous,
    a.created_at
from public.accounts as a
-- Left, so that a count of accounts does not look at profiles.
left join public.profiles as p on a.user_id = p.id;
comment on view public.user_accounts is
'Users as moderators and admins list, filter, sort and page them: the account and what its profile shows. Everybody else
finds in it his own row alone. Of many rows, ask for Prefer: count=estimated. A file for a spreadsheet comes from
export_user_accounts: the plain text/csv of this and every table has no more rows than any answer, and holds what people
typed as they typed it, formulas and all.';
comment on column public.user_accounts.profile_id is
'The user''s id again, by which what hangs on the profile is embedded: enrolments(*), certificates(*).';
comment on column public.user_accounts.email is 'The address in auth; null for anonymous and for deleted users.';
comment on column public.user_accounts.handle is 'The profile''s name in web addresses.';
comment on column public.user_accounts.display_name is 'The name that people read.';
comment on column public.user_accounts.avatar_path is 'The picture''s path in the storage bucket `avatars`.';
comment on column public.user_accounts.is_public is 'Whether strangers see the profile.';
comment on column public.user_accounts.roles is
'The roles beyond student: roles=cs.{teacher}, or roles=eq.{} for none.';
comment on column public.user_accounts.status_reason is 'Why the standing is as it is, in the moderator''s words.';
comment on column public.user_accounts.suspended_until is
'When a suspension ends by itself; null where a moderator must end it.';
comment on column public.user_accounts.email_confirmed_at is
'When the user proved to hold the address; null until then.';
comment on column public.user_accounts.last_sign_in_at is 'The last sign-in; a refresh of a session is none.';
comment on column public.user_accounts.is_anonymous is
'Whether the user signed in without an address and has given none since.';

create function private.tg__refuse_write() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    raise sqlstate 'PT405' using
        message = 'view_read_only',
        detail = format('%s is for reading.', tg_table_name),
        hint = 'Write the tables that it shows.';
end
$$;
comment on function private.tg__refuse_write() is
'Instead of a write to a view of several tables, which Postgres would else refuse before it looks at privileges, and
PostgREST call a fault of its own. Raises PT405 view_read_only.';
create trigger _100_refuse_write instead of insert or update or delete on public.user_accounts
for each row execute function private.tg__refuse_write();

create function private.find_accounts(p_query text) returns table (user_id uuid, place bigint)
language plpgsql
stable
security definer -- looks through people whom the caller may not see; under row level security no index would serve
set search_path = ''
rows 50
as $$
declare
    v_query text := lower(btrim(left(p_query, 300)));
begin
    perform private.require_role('moderator');
    return query
    select f.user_id, min(f.place)
    from (
        (
            -- Not starts_with: of a query that it does not know beforehand, the planner makes no range of an index.
            select a.user_id, 0 as place from public.accounts as a
            where a.email >= v_query and a.email < v_query || chr(1114111) and v_query <> ''
            order by a.email
            limit 500
        )
        union all
        select m.user_id, m.place from private.matching_user_ids(v_query, 500, true) as m
        where v_query not like '_%@%' -- which is an address and no name
    ) as f
    group by f.user_id;
end
$$;
comment on function private.find_accounts(text) is
'The users whose address begins so, and those whom search_users finds by name and handle, best first. Raises what
require_role raises.';

create function public.search_accounts(q text) returns setof public.user_accounts
language sql
stable
set search_path = ''
rows 50
as $$
    -- First and by itself: where there is nothing to join, the search does not even begin.
    select private.require_role('moderator');
    select u.*
    from private.find_accounts(search_accounts.q) as f
    join public.user_accounts as u on u.user_id = f.user_id
    order by f.place
$$;
comment on function public.search_accounts(text) is
'Finds users by the beginning of the address, and by name and handle as search_users does, best first and no more than
1,000: rows of user_accounts, which are filtered, sorted, paged and embedded like those. For moderators. Raises
role_required (403).';

create domain public."text/csv" as text; -- noqa: RF05
comment on domain public."text/csv" is -- noqa: RF05
'A file of comma-separated values: what PostgREST answers as it is.';

create function private.csv_cell(p_text text) returns text
language sql
immutable
parallel safe
set search_path = ''
as $$
    select '"' || replace(
        regexp_replace(
            -- What a spreadsheet takes for a formula begins with one of these, perhaps after blanks and quotes,
            regexp_replace(
                p_text, E'^[\\s\u00a0\u200b\u3000\ufeff"'']*[=+@\\-\t\r\uff1d\uff0b\uff0d\uff20]', '''\&'
            ),
            -- and a cell begins also after what separates cells elsewhere: Excel of many countries takes semicolons for
            -- that, and does not heed quotes in the middle of a line then.
            E'([;|\t\r\n])([\\s\u00a0\u200b\u3000\ufeff"'']*[=+@\\-\uff1d\uff0b\uff0d\uff20])', '\1''\2', 'g'
        ),
        '"', '""'
    ) || '"'
$$;
comment on function private.csv_cell(text) is
'A text as a cell, in quotes (RFC 4180); an apostrophe keeps spreadsheets from computing what somebody typed.';

create function private.csv_line(p_user public.user_accounts) returns text
language plpgsql -- of which a call costs a fifth of one of sql
stable
set search_path = ''
as $$
begin
    -- Only the address and what people typed can be anything.
    return array_to_string(
        array[
            p_user.user_id::text,
            private.csv_cell(p_user.email),
            p_user.handle,
            private.csv_cell(p_user.display_name),
            array_to_string(p_user.roles, ' '),
            p_user.status::text,
            private.csv_cell(p_user.status_reason),
            to_char(p_user.suspended_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            to_char(p_user.email_confirmed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            to_char(p_user.last_sign_in_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            p_user.is_anonymous::text,
            p_user.is_public::text,
            to_char(p_user.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        ],
        ',', ''
    );
end
$$;
comment on function private.csv_line(public.user_accounts) is 'A user as a line of the file.';

create function private.csv_file(p_name text, p_header text, p_lines text[])
returns public."text/csv" -- noqa: RF05
language plpgsql
set search_path = ''
as $$
begin
    perform set_config('response.headers', jsonb_build_array(
        jsonb_build_object(
            'Content-Disposition',
            format('attachment; filename="%s-%s.csv"', p_name, (now() at time zone 'UTC')::date)
        ),
        jsonb_build_object('Cache-Control', 'no-store')
    )::text, true);
    -- The mark at the beginning tells Excel that this is UTF-8.
    return E'\ufeff' || array_to_string(array[p_header] || p_lines || array[''], E'\r\n');
end
$$;
comment on function private.csv_file(text, text, text[]) is
'The lines under their header as a file to download, with its name and its date.';

create function private.export_user_accounts(
    p_query text, p_role public.app_role, p_status public.account_status, p_from timestamptz, p_to timestamptz
)
returns public."text/csv" -- noqa: RF05
language plpgsql
security definer -- reads past row level security what the role below may read, and writes the audit log
set search_path = ''
as $$
declare
    v_found uuid[];
    v_lines text[];
begin
    perform private.require_role('admin');
    v_found := case when p_query is not null then array(select f.user_id from private.find_accounts(p_query) as f) end;
    select coalesce(array_agg(private.csv_line(u) order by u.created_at, u.user_id), '{}') into v_lines
    from public.user_accounts as u
    where (v_found is null or u.user_id = any(v_found))
        and (p_status is null or u.status = p_status)
        and (p_role is null or p_role = any(u.roles) or (p_role = 'student' and u.roles = '{}'))
        and (p_from is null or u.created_at >= p_from)
        and (p_to is null or u.created_at < p_to);
    perform private.audit('account.export', 'accounts', 'csv', null, jsonb_strip_nulls(jsonb_build_object(
        'q', p_query, 'role', p_role, 'status', p_status, 'created_from', p_from, 'created_to', p_to,
        'users', cardinality(v_lines)
    )));
    return private.csv_file(
        'users',
        'user_id,email,handle,display_name,roles,status,status_reason,suspended_until,email_confirmed_at,'
        || 'last_sign_in_at,is_anonymous,is_public,created_at',
        v_lines
    );
end
$$;
comment on function private.export_user_accounts(
    text, public.app_role, public.account_status, timestamptz, timestamptz
) is
'All users of which this is true, as a file; records that they were read. Raises what require_role raises.';

create function public.export_user_accounts(
    q text default null,
    role public.app_role default null,
    status public.account_status default null,
    created_from timestamptz default null,
    created_to timestamptz default null
)
returns public."text/csv" -- noqa: RF05
language sql
set search_path = ''
set statement_timeout = '60s' -- PostgREST raises the caller's to it
as $$
    select private.export_user_accounts(
        export_user_accounts.q, export_user_accounts.role, export_user_accounts.status,
        export_user_accounts.created_from, export_user_accounts.created_to
    )
$$;
comment on function public.export_user_accounts(
    text, public.app_role, public.account_status, timestamptz, timestamptz
) is
'The users as a file for a spreadsheet, however many (POST with Accept: text/csv): of a search, a role (student: no
other), a standing, an account made from one instant until before another. What people typed cannot become a formula.
The audit log records it. For admins. Raises role_required (403).';

insert into private.rate_limited_functions (function_name, tier)
values ('export_user_accounts', 'strict');
