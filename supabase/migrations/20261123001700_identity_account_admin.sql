-- Identity: administration of accounts.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'email_invalid', 422,
    'This is not an address to which mail could be sent.',
    'Check the address.',
    null
),
(
    'email_missing', 422,
    'This account has no email address.',
    'Its owner adds one through auth.',
    null
),
(
    'email_taken', 409,
    'There already is an account with this address.',
    'Find it in user_accounts.',
    null
);

create function private.valid_email(p_email text) returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    v_email text := lower(btrim(p_email));
begin
    if not coalesce(
        v_email ~ '^[a-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$'
        and char_length(v_email) <= 254,
        false
    ) then
        perform private.refuse('email_invalid');
    end if;
    return v_email;
end
$$;
comment on function private.valid_email(text) is
'An address in lower case, without spaces around it. Raises PT422 email_invalid.';

create function private.create_user(
    p_email text, p_display_name text default null, p_role public.app_role default null,
    p_is_confirmed boolean default false
)
returns public.accounts
language plpgsql
security definer -- the tables of auth are closed to clients
set search_path = ''
as $$
declare
    v_id uuid;
    v_email text;
    v_account public.accounts;
begin
    perform private.require_role('admin');
    v_email := private.valid_email(p_email);
    if not exists (select from auth.users as u where lower(u.email) = v_email and not u.is_sso_user) then
        begin
            v_id := private.make_user(v_email, p_display_name, coalesce(p_is_confirmed, false));
        exception when unique_violation then
            v_id := null; -- a concurrent transaction created it
        end;
    end if;
    if v_id is null then
        perform private.refuse('email_taken');
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
'Creates an account, with an optional role, mails its user a link to choose a password, and returns the account.
is_confirmed says that the address is known to be the user''s; otherwise following the link confirms it. For admins;
admin and superadmin for superadmins only. Raises role_required (403), user_not_found (404), email_taken (409),
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
        perform private.refuse('email_missing');
    end if;
    return v_account;
end
$$;
comment on function private.require_address(uuid) is
'The account of a user with an address, locked until the transaction ends. Raises PT404 user_not_found, PT422
email_missing.';

create function private.verify_email(p_user_id uuid) returns void
language plpgsql
security definer -- the tables of auth are closed to clients
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
'Confirms the address of a user, who can then sign in without the mail that asks for it. For admins. Raises
role_required (403), user_not_found (404), email_missing (422).';

create function private.change_email(p_user_id uuid, p_email text) returns public.accounts
language plpgsql
security definer -- the tables of auth are closed to clients
set search_path = ''
as $$
declare
    v_email text;
    v_before public.accounts;
    v_is_confirmed boolean;
    v_account public.accounts;
    v_cause text := format('email_changed:%s:%s', p_user_id, extract(epoch from clock_timestamp()));
begin
    perform private.require_role('admin');
    v_email := private.valid_email(p_email);
    perform private.lock_user(p_user_id);
    perform private.require_role('admin');
    v_before := private.require_address(p_user_id);
    perform private.require_authority_over(p_user_id);
    if v_before.email = v_email then
        return v_before;
    end if;
    v_is_confirmed := v_before.email_confirmed_at is not null;
    begin
        if exists (select from auth.users as u where lower(u.email) = v_email and not u.is_sso_user) then
            perform private.refuse('email_taken');
        end if;
        perform private.give_email(p_user_id, v_email, v_is_confirmed);
    exception when unique_violation then -- by a concurrent transaction
        perform private.refuse('email_taken');
    end;
    delete from auth.sessions as s where s.user_id = p_user_id;
    select a.* into v_account from public.accounts as a where a.user_id = p_user_id;
    perform private.audit(
        'account.change_email', 'accounts', p_user_id::text,
        jsonb_build_object('email', v_before.email), jsonb_build_object('email', v_account.email),
        p_user_id
    );
    perform private.enqueue_mail(
        p_user_id, 'email_changed', '{"is_former": true}', v_cause || ':former', v_before.email
    );
    perform private.enqueue_mail(
        p_user_id, 'email_changed', jsonb_build_object('is_former', false, 'is_confirmed', v_is_confirmed), v_cause
    );
    if not v_is_confirmed then
        perform private.defer_job(
            'send_password_link', jsonb_build_object('user_id', p_user_id), format('send_password_link:%s', p_user_id)
        );
    end if;
    return v_account;
end
$$;
comment on function private.change_email(uuid, text) is
'Gives a user another address, and returns the account. The word of the admin counts: the new address is confirmed where
the former one was, and a user who had not confirmed it is mailed a link to choose a password, which does. All sessions
end, and links, codes and a pending change of the address from before work no more; the password and other ways to sign
in stay. Both addresses get a mail. Audited. For admins; those of moderators and admins, for superadmins. Raises role_required or
target_protected (403), user_not_found (404), email_taken (409), email_invalid, email_missing (422).';

create function private.send_password_reset(p_user_id uuid) returns void
language plpgsql
security definer -- the job queue and the audit log are closed to clients
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
'Mails a user a link to choose a new password, as if the user had asked for it; a banned user gets none. For admins.
Raises role_required (403), user_not_found (404), email_missing (422).';

create function private.tg_profiles__audit_change() returns trigger
language plpgsql
security definer -- the audit log is closed to clients
set search_path = ''
as $$
declare
    v_after jsonb := to_jsonb(new);
    v_old jsonb;
    v_new jsonb;
begin
    select jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, v_after -> o.key) into v_old, v_new
    from jsonb_each(to_jsonb(old)) as o
    where o.key <> 'updated_at' and o.value is distinct from v_after -> o.key;
    perform private.audit('profile.update', 'profiles', new.id::text, v_old, v_new, new.id);
    return null;
end
$$;
comment on function private.tg_profiles__audit_change() is
'After a profile is changed by another than its user: records the changed columns, before and after. Not what a trigger
changes, as when an account is deleted or an address confirmed: that act records itself.';
create trigger _900_audit_change after update on public.profiles
for each row when (
    auth.uid() is not null and auth.uid() <> new.id and old.* is distinct from new.*
    and pg_catalog.pg_trigger_depth() = 0 -- what follows from another change is recorded with that
)
execute function private.tg_profiles__audit_change();
