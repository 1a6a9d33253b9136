-- Identity: what admins do for accounts, and how somebody leaves: with everything of his, and without a trace but what
-- others rely on.

create function private.create_user(
    p_email text, p_display_name text, p_role public.app_role, p_is_confirmed boolean
)
returns public.accounts
language plpgsql
security definer -- auth's tables are closed to clients; the check below decides
set search_path = ''
as $$
declare
    v_id uuid;
    v_email text := lower(btrim(p_email));
    v_account public.accounts;
begin
    perform private.require_role('admin');
    if not coalesce(
        v_email ~ '^[a-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$'
        and char_length(v_email) <= 254,
        false
    ) then
        raise sqlstate 'PT422' using
            message = 'email_invalid',
            detail = 'This is not an address to which mail could be sent.',
            hint = 'Check the address.';
    end if;
    if not exists (select from auth.users as u where lower(u.email) = v_email and not u.is_sso_user) then
        begin
            v_id := private.make_user(v_email, p_display_name, coalesce(p_is_confirmed, false));
        exception when unique_violation then
            v_id := null; -- somebody was quicker
        end;
    end if;
    if v_id is null then
        raise sqlstate 'PT409' using
            message = 'email_taken',
            detail = 'There is an account of this address.',
            hint = 'Find it in user_accounts.';
    end if;
    perform private.audit(
        'account.create', 'accounts', v_id::text,
        null, jsonb_build_object('is_confirmed', coalesce(p_is_confirmed, false))
    );
    if p_role is not null then
        perform private.change_role(v_id, p_role, true);
    end if;
    perform private.enqueue_mail(v_id, 'account_created', '{}', format('account_created:%s', v_id));
    perform private.defer_job(
        'send_password_link', jsonb_build_object('user_id', v_id), format('send_password_link:%s', v_id)
    );
    select a.* into v_account from public.accounts as a where a.user_id = v_id;
    return v_account;
end
$$;
comment on function private.create_user(text, text, public.app_role, boolean) is
'Makes a user without a password, perhaps with a role, records it, and has auth mail a link to choose a password. Raises
what change_role raises, PT409 email_taken, PT422 email_invalid.';

create function public.create_user(
    email text, display_name text default null, role public.app_role default null, is_confirmed boolean default false
)
returns public.accounts
language sql
set search_path = ''
as $$
    select private.create_user(create_user.email, create_user.display_name, create_user.role, create_user.is_confirmed)
$$;
comment on function public.create_user(text, text, public.app_role, boolean) is
'Makes an account for somebody, perhaps with a role, and mails a link by which he chooses a password; answers the
account. is_confirmed says that the address is known to be his; else following the link proves it. For admins; admin and
superadmin are given by superadmins only. Raises role_required (403), user_not_found (404), email_taken (409),
email_invalid, role_invalid (422).';

create function private.require_address(p_user_id uuid) returns public.accounts
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_account public.accounts;
begin
    perform from auth.users as u where u.id = p_user_id for no key update;
    v_account := private.require_account(p_user_id);
    if v_account.email is null then
        raise sqlstate 'PT422' using
            message = 'email_missing',
            detail = 'This account has no email address.',
            hint = 'Its owner adds one through auth.';
    end if;
    return v_account;
end
$$;
comment on function private.require_address(uuid) is
'The account of a user who has an address, locked until the transaction ends. Raises PT404 user_not_found, PT422
email_missing.';

create function private.verify_email(p_user_id uuid) returns void
language plpgsql
security definer -- auth's tables are closed to clients; the check below decides
set search_path = ''
as $$
declare
    v_account public.accounts;
begin
    perform private.require_role('admin');
    v_account := private.require_address(p_user_id);
    if v_account.email_confirmed_at is not null then
        return;
    end if;
    update auth.users as u
    set
        email_confirmed_at = now(),
        confirmation_token = '',
        raw_user_meta_data = coalesce(u.raw_user_meta_data, '{}') || '{"email_verified": true}',
        updated_at = now()
    where u.id = p_user_id;
    update auth.identities as i
    set identity_data = i.identity_data || '{"email_verified": true}', updated_at = now()
    where i.user_id = p_user_id and i.provider = 'email';
    delete from auth.one_time_tokens as t where t.user_id = p_user_id and t.token_type = 'confirmation_token';
    perform private.audit('account.verify_email', 'accounts', p_user_id::text, null, null);
end
$$;
comment on function private.verify_email(uuid) is
'Counts the address of a user as confirmed, and records it; nothing where it is. Raises PT403 role_required, PT404
user_not_found, PT422 email_missing.';

create function public.verify_email(user_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.verify_email(verify_email.user_id)
$$;
comment on function public.verify_email(uuid) is
'Says for a user that his address is his, so that he can sign in without the mail that asks him. For admins. Raises
role_required (403), user_not_found (404), email_missing (422).';

create function private.send_password_reset(p_user_id uuid) returns void
language plpgsql
security definer -- the job queue and the audit log are closed to clients; the check below decides
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    perform private.require_address(p_user_id);
    perform private.defer_job(
        'send_password_link', jsonb_build_object('user_id', p_user_id), format('send_password_link:%s', p_user_id)
    );
    perform private.audit('account.send_password_reset', 'accounts', p_user_id::text, null, null);
end
$$;
comment on function private.send_password_reset(uuid) is
'Has auth mail a link for a new password, and records it. Raises PT403 role_required, PT404 user_not_found, PT422
email_missing.';

create function public.send_password_reset(user_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.send_password_reset(send_password_reset.user_id)
$$;
comment on function public.send_password_reset(uuid) is
'Mails a user a link for a new password, as if he had asked for it; a banned one gets none. For admins. Raises
role_required (403), user_not_found (404), email_missing (422).';

-- Leaving -------------------------------------------------------------------------------------------------------------

create function private.files_of(p_user_id uuid) returns table (bucket_id text, name text)
language sql
stable
security definer -- storage shows a folder to its owner and to moderators, and this is asked before the folder may go
set search_path = ''
as $$
    select o.bucket_id, o.name from storage.objects as o
    where o.bucket_id in ('avatars', 'qualifications')
        -- What begins with the folder: a range of storage's own index, for 0 follows the slash.
        and o.name collate "C" >= p_user_id::text || '/' and o.name collate "C" < p_user_id::text || '0'
$$;
comment on function private.files_of(uuid) is 'The files that are nobody''s but this user''s, which go with him.';

create function private.personal_files(p_user_id uuid) returns table (bucket_id text, name text)
language plpgsql
stable
security definer -- whose files they are, is checked below
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
'The files of the caller, or for admins of anybody. Raises what require_role raises.';

create function public.personal_files(user_id uuid) returns table (bucket_id text, name text)
language sql
stable
set search_path = ''
as $$
    select f.bucket_id, f.name from private.personal_files(personal_files.user_id) as f
$$;
comment on function public.personal_files(uuid) is
'The files in storage that must be removed before a user is deleted: bucket and name. For the user and for admins.
Raises role_required (403).';

create function private.erase_user(p_user_id uuid) returns void
language plpgsql
security definer -- auth's tables are closed to clients; who calls it has checked who may
set search_path = ''
as $$
begin
    if exists (select from private.files_of(p_user_id)) then
        raise sqlstate 'PT409' using
            message = 'files_remain',
            detail = 'Files of this user lie in storage, and would outlive him there.',
            hint = 'Remove those that personal_files names, or call DELETE /functions/v1/users/<id>, which does.';
    end if;
    -- The triggers of auth.users do the rest.
    delete from auth.users as u where u.id = p_user_id;
    perform private.audit('account.delete', 'accounts', p_user_id::text, null, null);
end
$$;
comment on function private.erase_user(uuid) is
'Deletes a user for good, and records it. Raises PT409 files_remain, and last_superadmin by a trigger.';

create function private.delete_user(p_user_id uuid) returns void
language plpgsql
security definer -- accounts are closed to clients; the checks below decide
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    perform private.lock_user(p_user_id);
    perform private.require_role('admin');
    perform private.require_account(p_user_id);
    perform private.require_power_over(p_user_id);
    perform private.erase_user(p_user_id);
end
$$;
comment on function private.delete_user(uuid) is
'Erases another''s account. Raises PT403 role_required or target_protected, PT404 user_not_found, PT409 files_remain,
and last_superadmin by a trigger.';

create function public.delete_user(user_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.delete_user(delete_user.user_id)
$$;
comment on function public.delete_user(uuid) is
'Erases a user: address, profile, whatever only concerns him. A nameless tombstone stays for what others rely on:
courses, enrolments, certificates, the audit log. For admins; moderators and admins are deleted by superadmins only, the
last superadmin by nobody. Raises role_required or target_protected (403), user_not_found (404), files_remain (409).';

create function private.delete_account() returns void
language plpgsql
security definer -- accounts are closed to clients; whose it is, is taken from the token
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
begin
    perform private.lock_user(v_caller);
    perform private.require_active();
    perform private.erase_user(v_caller);
end
$$;
comment on function private.delete_account() is
'Erases the caller''s account. Raises PT409 files_remain, and last_superadmin by a trigger.';

create function public.delete_account() returns void
language sql
set search_path = ''
as $$
    select private.delete_account()
$$;
comment on function public.delete_account() is
'Erases the caller: address, profile, whatever only concerns him. A nameless tombstone stays for what others rely on:
courses, enrolments, certificates, the audit log. It cannot be undone. Raises files_remain (409).';

create function private.tg_users__bury_files() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write storage
set search_path = ''
as $$
begin
    -- Storage allows this to who says so: it must not be forgotten that the bytes stay. delete_user does not come here
    -- before they are gone; auth's own API does.
    perform set_config('storage.allow_delete_query', 'true', true);
    delete from storage.objects as o using private.files_of(old.id) as f
    where o.bucket_id = f.bucket_id and o.name = f.name;
    perform set_config('storage.allow_delete_query', 'false', true);
    return null;
end
$$;
comment on function private.tg_users__bury_files() is
'After a user is deleted in auth, softly or for good: nobody fetches his pictures any more.';
create trigger guildhall_bury_files after delete on auth.users
for each row execute function private.tg_users__bury_files();
create trigger guildhall_bury_soft_deleted_files after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__bury_files();

-- Taking along --------------------------------------------------------------------------------------------------------

create function private.my_auth_facts() returns jsonb
language sql
stable
security definer -- auth's tables are closed to clients; it shows the caller his own rows, and no secret
set search_path = ''
as $$
    select jsonb_build_object(
        'email', u.email,
        'phone', u.phone,
        'created_at', u.created_at,
        'email_confirmed_at', u.email_confirmed_at,
        'last_sign_in_at', u.last_sign_in_at,
        'metadata', u.raw_user_meta_data,
        'identities', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'provider', i.provider, 'data', i.identity_data,
                'created_at', i.created_at, 'last_sign_in_at', i.last_sign_in_at
            ) order by i.created_at), '[]')
            from auth.identities as i where i.user_id = u.id
        ),
        'external_identities', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'provider', e.provider, 'external_id', e.external_id, 'email', e.email, 'display_name', e.display_name,
                'created_at', e.created_at
            ) order by e.created_at), '[]')
            from private.external_identities as e where e.user_id = u.id
        ),
        'sessions', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'created_at', s.created_at, 'refreshed_at', s.refreshed_at,
                'address', s.ip, 'user_agent', s.user_agent
            ) order by s.created_at), '[]')
            from auth.sessions as s where s.user_id = u.id
        ),
        'files', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'bucket', o.bucket_id, 'name', o.name, 'created_at', o.created_at
            ) order by o.name), '[]')
            from storage.objects as o where o.owner_id = u.id::text
        )
    )
    from auth.users as u where u.id = (select auth.uid())
$$;
comment on function private.my_auth_facts() is
'What auth and storage know of the caller, but for secrets: null where there is no caller.';

create function public.export_my_data() returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
    v_table record;
    v_rows jsonb;
    v_data jsonb := jsonb_build_object('exported_at', now(), 'auth', private.my_auth_facts());
begin
    if v_caller is null then
        raise sqlstate 'PT401' using
            message = 'sign_in_required',
            detail = 'Only a signed-in person can do this.',
            hint = 'Send the access token of a user in the Authorization header.';
    elsif current_setting('transaction_read_only') = 'on' then
        raise sqlstate 'PT405' using
            message = 'post_required',
            detail = 'This takes long, and only what is asked for by POST is counted and limited.',
            hint = 'Send POST.';
    end if;
    -- Whatever refers to a person, by the foreign keys, over however many tables: a table made later is in it without
    -- anybody's thinking of it.
    for v_table in
        with recursive refers as (
            select 'public.accounts'::regclass::oid as table_id, 1::smallint as place
            union
            select o.conrelid, k.here
            from refers as r
            join pg_catalog.pg_constraint as o on o.confrelid = r.table_id and o.contype = 'f'
            cross join lateral unnest(o.conkey, o.confkey) as k (here, there)
            where k.there = r.place
        )
        select c.relname, string_agg(format('t.%I = $1', a.attname), ' or ' order by a.attname) as is_mine
        from refers as r
        join pg_catalog.pg_class as c on c.oid = r.table_id
        join pg_catalog.pg_attribute as a on a.attrelid = r.table_id and a.attnum = r.place
        where c.relnamespace = 'public'::regnamespace and has_table_privilege(c.oid, 'select')
        group by c.relname
        order by c.relname
    loop
        execute format(
            'select coalesce(jsonb_agg(to_jsonb(t)), ''[]'') from public.%I as t where %s',
            v_table.relname, v_table.is_mine
        ) into v_rows using v_caller;
        v_data := v_data || jsonb_build_object(v_table.relname, v_rows);
    end loop;
    return v_data;
end
$$;
comment on function public.export_my_data() is
'Everything that is here of the caller: what auth knows, and by the name of each table the rows that refer to him, as
far as he may read them. Suspended people get theirs, too. Raises sign_in_required (401), post_required (405).';

-- What others change --------------------------------------------------------------------------------------------------

create function private.tg_profiles__audit_change() returns trigger
language plpgsql
security definer -- the audit log is closed to clients
set search_path = ''
as $$
begin
    perform private.audit('profile.update', 'profiles', new.id::text, null, (
        select jsonb_build_object('columns', jsonb_agg(n.key order by n.key))
        from jsonb_each(to_jsonb(new)) as n
        where n.key <> 'updated_at' and n.value is distinct from to_jsonb(old) -> n.key
    ));
    return null;
end
$$;
comment on function private.tg_profiles__audit_change() is
'After somebody changed another''s profile: which columns, and no word of what stood there, for that goes when the
person goes, and the audit log stays.';
create trigger _900_audit_change after update on public.profiles
for each row when (auth.uid() is not null and auth.uid() <> new.id and old.* is distinct from new.*)
execute function private.tg_profiles__audit_change();

insert into private.rate_limited_functions (function_name, tier)
values
('create_user', 'strict'),
('verify_email', 'strict'),
('send_password_reset', 'strict'),
('delete_user', 'strict'),
('delete_account', 'strict'),
('export_my_data', 'strict');
