-- Identity: the end of an account. Auth deletes the user; private.account_ended__<what> of each domain erases what
-- concerns only this user.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'account_has_obligations', 409,
    'The user owes others or is owed: money, work that was sold, subscriptions.',
    'Read account_obligations. An admin tells delete_user how to close each kind.',
    'Still open: %s.'
),
(
    'obligation_way_unknown', 422,
    'There is no such kind of obligation, or it cannot be closed in this way.',
    'Read what delete_user says of obligations.',
    'The kind %s cannot be closed by %s.'
),
(
    'files_remain', 409,
    'Files of this user are still in storage.',
    'Remove those that personal_files names, or call DELETE /functions/v1/users/<id>, which does.',
    null
);

create function private.personal_buckets__profiles() returns text[]
language sql
immutable
set search_path = ''
as $$
    select array['avatars', 'qualifications']
$$;
comment on function private.personal_buckets__profiles() is 'The buckets of profiles.';

create function private.files_of(p_user_id uuid) returns table (bucket_id text, name text)
language plpgsql
stable
security definer -- the policies of storage show a folder to its owner and to moderators only
set search_path = ''
as $$
declare
    v_function name;
    v_named text[];
    v_buckets text[] := '{}';
begin
    for v_function in select f.name from private.registered_functions('personal_buckets') as f (name) loop
        execute format('select private.%I()', v_function) into v_named;
        v_buckets := v_buckets || v_named;
    end loop;
    return query
    select o.bucket_id, o.name from storage.objects as o
    where o.bucket_id = any(v_buckets)
        -- The names in the folder, as a range of storage's index: the character 0 follows the slash.
        and o.name collate "C" >= p_user_id::text || '/' and o.name collate "C" < p_user_id::text || '0';
end
$$;
comment on function private.files_of(uuid) is
'The personal files of a user, which are deleted with the account: those in the folder with the user''s id of the
buckets that private.personal_buckets__<what>() of each domain returns (text[]).';

create function private.personal_files(p_user_id uuid) returns table (bucket_id text, name text)
language plpgsql
stable
security definer -- files_of is closed to clients
set search_path = ''
as $$
begin
    if p_user_id is distinct from private.require_active() then
        perform private.require_role('admin');
    end if;
    return query
    select f.bucket_id, f.name from private.files_of(p_user_id) as f;
end
$$;
comment on function private.personal_files(uuid) is
'The files that must be removed from storage before a user is deleted: bucket and name. For the user and for admins.
Raises role_required (403).';

create table private.account_deletions (
    user_id uuid constraint account_deletions_pkey primary key,
    accepted_kinds text[] not null default '{}',
    keeps_name boolean not null default false,
    deleted_at timestamptz
);
comment on table private.account_deletions is
'Users who were deleted, and the kinds of obligations that an admin accepted to leave open. No foreign key, as in
accounts.';
comment on column private.account_deletions.accepted_kinds is 'The kinds that do not prevent the deletion.';
comment on column private.account_deletions.keeps_name is
'Whether the user chose that their name stays where it proves something of theirs to others, such as on certificates.';
comment on column private.account_deletions.deleted_at is
'When the user was deleted; null while the transaction that deletes it runs.';
alter table private.account_deletions enable row level security;

create function private.obligations_of(p_user_id uuid)
returns table (
    kind text, item_id uuid, title text, item_count bigint, amount bigint, currency text, is_blocking boolean
)
language plpgsql
stable
security definer -- its callers check who may read them
set search_path = ''
as $$
declare
    v_function name;
begin
    for v_function in select f.name from private.registered_functions('account_obligations') as f (name) loop
        return query execute format('select o.* from private.%I($1) as o', v_function) using p_user_id;
    end loop;
end
$$;
comment on function private.obligations_of(uuid) is
'What a user owes others, or is owed: the rows of private.account_obligations__<what>(user_id uuid) of every domain,
which return the same columns.';

create function private.account_obligations(p_user_id uuid default null)
returns table (
    kind text, item_id uuid, title text, item_count bigint, amount bigint, currency text, is_blocking boolean
)
language plpgsql
stable
security definer -- clients may not execute obligations_of, which checks no caller
set search_path = ''
as $$
begin
    if coalesce(p_user_id, (select auth.uid())) is distinct from private.require_signed_in() then
        perform private.require_role('admin');
    end if;
    return query select o.* from private.obligations_of(coalesce(p_user_id, (select auth.uid()))) as o;
end
$$;
comment on function private.account_obligations(uuid) is
'What a user (by default the caller) owes others, or is owed, also after the account was deleted. kind: balance (money
that was not paid out; amount in minor units), payout (one that is not paid yet), open_work (sold and not delivered),
subscriber (subscriptions that renew), paying_student (students who bought a course), credits. item_id: the payout,
order, offer or course; item_count: how many stand for a row. delete_account and delete_user refuse while a row
is_blocking. For the user and for admins. Raises sign_in_required (401), role_required (403).';

create function private.obligations_report(p_user_id uuid) returns jsonb
language sql
stable
set search_path = ''
as $$
    select jsonb_agg(jsonb_strip_nulls(to_jsonb(o)) - 'title') from private.obligations_of(p_user_id) as o
$$;
comment on function private.obligations_report(uuid) is
'The obligations of a user for the audit log, without titles; null where there are none.';

create function private.close_each_obligation(p_user_id uuid, p_ways jsonb) returns text[]
language plpgsql
security definer -- no role may execute the functions that domains register
set search_path = ''
as $$
declare
    v_closers jsonb := coalesce((
        select jsonb_object_agg(regexp_replace(f.name, '^close_obligations__([0-9]{3}_)?', ''), f.name)
        from private.registered_functions('close_obligations') as f (name)
    ), '{}');
    v_kind text;
    v_may_stay boolean;
    v_accepted text[] := '{}';
begin
    if jsonb_typeof(p_ways) <> 'object' then
        perform private.refuse('obligation_way_unknown', 'obligations', p_ways::text);
    end if;
    for v_kind in
        select t.kind from jsonb_object_keys(p_ways) as t (kind) order by v_closers ->> t.kind, t.kind
    loop
        if not v_closers ? v_kind then
            perform private.refuse('obligation_way_unknown', v_kind, p_ways ->> v_kind);
        end if;
        execute format('select private.%I($1, $2)', v_closers ->> v_kind)
        into v_may_stay using p_user_id, p_ways ->> v_kind;
        if v_may_stay then
            v_accepted := v_accepted || v_kind;
        end if;
    end loop;
    return v_accepted;
end
$$;
comment on function private.close_each_obligation(uuid, jsonb) is
'Closes obligations of a user as p_ways says for each kind, by private.close_obligations__<nnn>_<kind>(user_id uuid, way
text) of the domains, in the order of their names. Each returns whether what is left of its kind may stay open after a
deletion, and refuses a way that it does not know. Returns the kinds that may. Raises PT422 obligation_way_unknown.';

create function private.erase_user(p_user_id uuid, p_before jsonb, p_ways jsonb) returns void
language plpgsql
security definer -- the tables of auth are closed; the callers of this function check the caller's role
set search_path = ''
as $$
begin
    perform private.require_no_obligations(p_user_id);
    if exists (select from private.files_of(p_user_id)) then
        perform private.refuse('files_remain');
    end if;
    -- The trigger on auth.users erases the rest.
    delete from auth.users as u where u.id = p_user_id;
    perform private.audit(
        'account.delete', 'accounts', p_user_id::text,
        case when p_before is not null then jsonb_build_object('obligations', p_before) end,
        case when p_ways is not null then jsonb_build_object('obligations', p_ways) end
    );
end
$$;
comment on function private.erase_user(uuid, jsonb, jsonb) is
'Deletes a user for good, and records it with the obligations before and the ways in which they were closed, or nulls.
Raises PT409 account_has_obligations, PT409 files_remain; a trigger raises PT409 last_superadmin.';

create function private.require_no_obligations(p_user_id uuid) returns void
language plpgsql
security definer -- the decisions are closed
set search_path = ''
as $$
declare
    v_kinds text;
begin
    select string_agg(distinct o.kind, ', ') into v_kinds from private.obligations_of(p_user_id) as o
    where o.is_blocking and o.kind <> all(coalesce(
        (select d.accepted_kinds from private.account_deletions as d where d.user_id = p_user_id), '{}'
    ));
    if v_kinds is not null then
        perform private.refuse('account_has_obligations', v_kinds);
    end if;
end
$$;
comment on function private.require_no_obligations(uuid) is
'Raises PT409 account_has_obligations where a user has obligations that prevent the deletion, and no admin accepted
them.';

create function private.delete_user(p_user_id uuid, p_obligations jsonb default '{}') returns void
language plpgsql
security definer -- accounts is closed to clients
set search_path = ''
as $$
declare
    v_before jsonb;
begin
    perform private.require_role('admin');
    perform private.lock_user(p_user_id);
    perform private.require_role('admin');
    perform private.require_account(p_user_id);
    perform private.require_authority_over(p_user_id);
    v_before := private.obligations_report(p_user_id);
    if p_obligations <> '{}' then
        insert into private.account_deletions (user_id, accepted_kinds)
        values (p_user_id, private.close_each_obligation(p_user_id, p_obligations));
    end if;
    perform private.erase_user(p_user_id, v_before, nullif(p_obligations, '{}'));
end
$$;
comment on function private.delete_user(uuid, jsonb) is
'Erases a user: address, profile, and all that concerns only this user. Courses, enrolments, certificates and the audit
log stay, for others, with an empty profile. Own subscriptions end at once, and what the user sells is sold no more.
obligations says how each kind of account_obligations is closed: {"open_work": "refund"}, {"payout": "cancel" or
"keep"}, {"balance": "keep", "pay_out" (where the payout account can receive it) or "forfeit" (to the platform)},
{"subscriber": "end"} (with the paid period). For admins; only superadmins delete moderators and admins, and the last
superadmin cannot be deleted. Raises role_required or target_protected (403), user_not_found or order_not_found (404),
account_has_obligations, files_remain, payout_account_missing or refund_exceeds_payment (409), obligation_way_unknown
(422).';

create function private.delete_account(p_keeps_name boolean default false) returns void
language plpgsql
security definer -- accounts is closed to clients
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
begin
    perform private.require_decision(p_keeps_name);
    perform private.lock_user(v_caller);
    perform private.require_active();
    insert into private.account_deletions as d (user_id, keeps_name) values (v_caller, p_keeps_name)
    on conflict (user_id) do update set keeps_name = excluded.keeps_name;
    perform private.erase_user(v_caller, null, null);
end
$$;
comment on function private.delete_account(boolean) is
'Erases the caller: address, profile, and all that concerns only the caller. Courses, enrolments, certificates and the
audit log stay, for others, with an empty profile. With keeps_name, the name stays on certificates, for everybody who
verifies their code; otherwise it goes from them, too. Own subscriptions end at once. This cannot be undone. Raises
account_inactive (403), account_has_obligations (409: read account_obligations; an admin can delete the account
nevertheless), files_remain (409) or decision_missing (422).';

create function private.close_obligations(p_user_id uuid, p_obligations jsonb)
returns table (
    kind text, item_id uuid, title text, item_count bigint, amount bigint, currency text, is_blocking boolean
)
language plpgsql
security definer -- accounts is closed to clients
set search_path = ''
as $$
declare
    v_before jsonb;
begin
    perform private.require_role('admin');
    perform private.lock_user(p_user_id);
    perform private.require_role('admin');
    perform private.require_authority_over(p_user_id);
    if not exists (select from public.accounts as a where a.user_id = p_user_id) then
        perform private.refuse('user_not_found');
    end if;
    v_before := private.obligations_report(p_user_id);
    perform private.close_each_obligation(p_user_id, coalesce(p_obligations, '{}'));
    perform private.audit(
        'account.close_obligations', 'accounts', p_user_id::text, jsonb_build_object('obligations', v_before),
        jsonb_build_object('obligations', p_obligations)
    );
    return query select o.* from private.obligations_of(p_user_id) as o;
end
$$;
comment on function private.close_obligations(uuid, jsonb) is
'Closes obligations of a user, also of a deleted one, as delete_user does, and returns those that are left. For admins;
recorded in the audit log. Raises role_required or target_protected (403), user_not_found or order_not_found (404),
payout_account_missing or refund_exceeds_payment (409), obligation_way_unknown (422).';

create function private.account_ended__110_obligations(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    -- A user who was deleted softly is deleted for good later, whatever is open by then.
    if exists (
        select from private.account_deletions as d where d.user_id = p_user_id and d.deleted_at is not null
    ) then
        return;
    end if;
    perform private.require_no_obligations(p_user_id);
    insert into private.account_deletions as d (user_id, deleted_at) values (p_user_id, now())
    on conflict (user_id) do update set deleted_at = excluded.deleted_at;
end
$$;
comment on function private.account_ended__110_obligations(uuid) is
'Refuses the deletion of a user who has obligations, also through auth. It runs after account_stopped, which stops what
could add to them: a payment that arrives meanwhile is either counted here, or finds the account deleted. Raises PT409
account_has_obligations.';

create function private.account_ended__220_files(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    -- Storage refuses to delete rows of its table in SQL without this setting, because the bytes stay. delete_user and
    -- delete_account get here only when no file is left; a deletion through the API of auth leaves orphaned bytes.
    perform set_config('storage.allow_delete_query', 'true', true);
    delete from storage.objects as o using private.files_of(p_user_id) as f
    where o.bucket_id = f.bucket_id and o.name = f.name;
    perform set_config('storage.allow_delete_query', 'false', true);
end
$$;
comment on function private.account_ended__220_files(uuid) is
'Removes the personal files of the user from storage, so that nobody fetches them.';
