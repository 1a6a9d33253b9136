-- Identity: the list of users for moderators and admins, its search, and its export for spreadsheets.

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
    a.role,
    a.status,
    a.status_reason,
    a.suspended_until,
    a.email_confirmed_at,
    a.last_sign_in_at,
    a.is_anonymous,
    a.created_at
from public.accounts as a
-- A left join, so that counting accounts does not read profiles.
left join public.profiles as p on a.user_id = p.id;
comment on view public.user_accounts is
'Users as moderators and admins list, filter, sort and page them: the account and what its profile shows. Other users
see their own row only. For counts of many rows, send Prefer: count=estimated. For spreadsheets call
export_user_accounts: the text/csv that PostgREST makes of a table is limited to the rows of one answer, and keeps
formulas that users typed.';
comment on column public.user_accounts.profile_id is
'The user''s id again, by which rows of the profile are embedded: enrolments(*), certificates(*).';
comment on column public.user_accounts.email is 'The address in auth; null for anonymous and for deleted users.';
comment on column public.user_accounts.handle is 'The name in URLs.';
comment on column public.user_accounts.display_name is 'The name that people read.';
comment on column public.user_accounts.avatar_path is 'The picture''s path in the storage bucket `avatars`.';
comment on column public.user_accounts.is_public is 'Whether strangers see the profile.';
comment on column public.user_accounts.roles is
'The roles beyond student: roles=cs.{teacher}, or roles=eq.{} for none.';
comment on column public.user_accounts.role is
'The highest of the roles: role=eq.student finds who has none.';
comment on column public.user_accounts.status_reason is 'The moderator''s reason for the status.';
comment on column public.user_accounts.suspended_until is
'When the suspension ends by itself; null where a moderator must end it.';
comment on column public.user_accounts.email_confirmed_at is 'When the user confirmed the address; null until then.';
comment on column public.user_accounts.last_sign_in_at is 'The last sign-in. Refreshing a session does not count.';
comment on column public.user_accounts.is_anonymous is
'Whether the user signed in without an address and has not added one since.';

create trigger _100_refuse_write instead of insert or update or delete on public.user_accounts
for each row execute function private.tg__refuse_write();

create function private.find_accounts(p_query text) returns table (user_id uuid, rank bigint)
language plpgsql
stable
security definer -- under row level security the search could use no index; moderators only
set search_path = ''
rows 50
as $$
declare
    v_query text := lower(btrim(left(p_query, 300)));
begin
    perform private.require_role('moderator');
    return query
    select f.user_id, min(f.rank)
    from (
        (
            -- Not starts_with: the planner makes an index range of it only for constants.
            select a.user_id, 0 as rank from public.accounts as a
            where a.email >= v_query and a.email < v_query || chr(1114111) and v_query <> ''
            order by a.email
            limit 500
        )
        union all
        select m.user_id, m.rank from private.matching_user_ids(v_query, 500, true) as m
        where v_query not like '_%@%' -- an address, not a name
    ) as f
    group by f.user_id;
end
$$;
comment on function private.find_accounts(text) is
'The users whose address begins with the query, and those that search_users finds by name and handle, best first. For
moderators. Raises PT401 sign_in_required, PT403 account_inactive, PT403 role_required.';

-- By hand: reads the rows that the search found as the caller, under row level security.
create function public.search_accounts(q text) returns setof public.user_accounts
language sql
stable
set search_path = ''
rows 50
as $$
    -- A statement of its own: with nothing to join, the second one does not call find_accounts and its check.
    select private.require_role('moderator');
    select u.*
    from private.find_accounts(search_accounts.q) as f
    join public.user_accounts as u on u.user_id = f.user_id
    order by f.rank
$$;
comment on function public.search_accounts(text) is
'Finds users by the beginning of the address, and by name and handle as search_users does, best first, at most 1,000:
rows of user_accounts, which can be filtered, sorted, paged and embedded like those. For moderators. Raises
role_required (403).';

create function private.account_csv_line(p_user public.user_accounts) returns text
language plpgsql -- a call costs a fifth of that of an sql function
stable
set search_path = ''
as $$
begin
    -- Only these three can contain separators or formulas.
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
comment on function private.account_csv_line(public.user_accounts) is 'An account as a line of the export.';

create function private.export_user_accounts(
    p_q text default null, p_role public.app_role default null, p_status public.account_status default null,
    p_created_from timestamptz default null, p_created_to timestamptz default null
)
returns public."text/csv" -- noqa: RF05
language plpgsql
security definer -- reads all rows, which admins may read, and writes the audit log
set search_path = ''
as $$
declare
    v_found uuid[];
    v_lines text[];
begin
    perform private.require_role('admin');
    v_found := case when p_q is not null then array(select f.user_id from private.find_accounts(p_q) as f) end;
    select coalesce(array_agg(private.account_csv_line(u) order by u.created_at, u.user_id), '{}') into v_lines
    from public.user_accounts as u
    where (v_found is null or u.user_id = any(v_found))
        and (p_status is null or u.status = p_status)
        and (p_role is null or p_role = any(u.roles) or (p_role = 'student' and u.roles = '{}'))
        and (p_created_from is null or u.created_at >= p_created_from)
        and (p_created_to is null or u.created_at < p_created_to);
    perform private.audit('account.export', 'accounts', 'csv', null, jsonb_strip_nulls(jsonb_build_object(
        'q', p_q, 'role', p_role, 'status', p_status, 'created_from', p_created_from, 'created_to', p_created_to,
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
'All matching users as a file for spreadsheets: POST with Accept: text/csv. Filters: a search as in search_accounts, a
role (student: users without another role), a status, and accounts created from one instant until before another.
Formulas in texts that users typed are disarmed. The audit log records the export. For admins. Raises role_required
(403).';
