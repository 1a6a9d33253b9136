-- Identity: accounts that an external identity provider, such as Clerk, synchronises by webhooks.
--
-- Only an address that the provider has verified is linked to an account or creates one. Otherwise an attacker could
-- type the address of another person at the provider first, and take over the account that this person uses or confirms
-- later.

create table private.external_identities (
    provider text not null constraint external_identities_provider_check check (provider ~ '^[a-z_]+$'),
    external_id text not null
    constraint external_identities_external_id_check check (char_length(external_id) between 1 and 255),
    user_id uuid constraint external_identities_user_id_fkey references public.profiles (id) on delete set null,
    has_made_account boolean not null default false,
    email text,
    display_name text,
    last_event_at timestamptz not null default '-infinity',
    deleted_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint external_identities_pkey primary key (provider, external_id),
    constraint external_identities_deleted_at_check check (
        deleted_at is null or (user_id is null and email is null and display_name is null)
    )
);
comment on table private.external_identities is
'Identities at external providers: one row for each identity that a provider has ever sent, so that late events about a
deleted one create nothing.';
comment on column private.external_identities.user_id is
'The linked account; null until the provider verifies an address, and after either of the two is deleted.';
comment on column private.external_identities.has_made_account is
'Whether the identity created the account. Only then do changes and the deletion of the identity change and delete the
account.';
comment on column private.external_identities.email is
'The address that linked the account, or the last one that the identity gave to it.';
comment on column private.external_identities.display_name is
'The last name that the identity gave to the profile. Where the profile has another one, its user changed it.';
comment on column private.external_identities.last_event_at is
'The provider''s time of the newest applied event. Older events are ignored.';
comment on column private.external_identities.deleted_at is 'When the identity or the account was deleted.';
alter table private.external_identities enable row level security;
create trigger _200_set_updated_at before update on private.external_identities
for each row execute function private.tg__set_updated_at();

create index external_identities_user_id_idx on private.external_identities (user_id);
comment on index private.external_identities_user_id_idx is 'account_ended__330_external_identities: where user_id =';

create function private.account_ended__330_external_identities(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update private.external_identities as e
    set deleted_at = now(), user_id = null, email = null, display_name = null
    where e.user_id = p_user_id
$$;
comment on function private.account_ended__330_external_identities(uuid) is
'Ends the identities of the user: later events of the provider do not create the account again.';

create function private.give_email(p_user_id uuid, p_email text, p_is_confirmed boolean) returns void
language plpgsql
set search_path = ''
as $$
begin
    update auth.users as u
    set
        email = p_email,
        email_confirmed_at = case when p_is_confirmed then coalesce(u.email_confirmed_at, now()) end,
        raw_user_meta_data = coalesce(u.raw_user_meta_data, '{}')
            || jsonb_build_object('email', p_email, 'email_verified', p_is_confirmed),
        -- Links that were sent before, or to another address, must not confirm anything now.
        confirmation_token = '', recovery_token = '', email_change = '', email_change_token_new = '',
        email_change_token_current = '', reauthentication_token = '',
        updated_at = now()
    where u.id = p_user_id;
    delete from auth.one_time_tokens as t where t.user_id = p_user_id;
    insert into auth.identities as i (
        id, provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at
    )
    values (
        gen_random_uuid(), p_user_id::text, p_user_id,
        jsonb_build_object(
            'sub', p_user_id, 'email', p_email, 'email_verified', p_is_confirmed, 'phone_verified', false
        ),
        'email', now(), now(), now()
    )
    on conflict (provider_id, provider) do update
    set identity_data = i.identity_data || excluded.identity_data, updated_at = now();
end
$$;
comment on function private.give_email(uuid, text, boolean) is
'Gives an account an address, confirmed or not, as auth would write it. Links and codes that were mailed before work no
more. Raises a unique violation where an account has the address.';

create function private.make_user(p_email text, p_name text, p_is_confirmed boolean) returns uuid
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid := gen_random_uuid();
begin
    -- As auth itself creates a user: it cannot read nulls in these columns.
    insert into auth.users (
        id, instance_id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data,
        raw_user_meta_data, created_at, updated_at, confirmation_token, recovery_token, email_change,
        email_change_token_new, email_change_token_current, phone_change, phone_change_token, reauthentication_token
    )
    values (
        v_id, '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated', p_email, '',
        case when p_is_confirmed then now() end,
        '{"provider": "email", "providers": ["email"]}',
        jsonb_strip_nulls(jsonb_build_object('display_name', p_name, 'email_verified', p_is_confirmed)), now(), now(),
        '', '', '', '', '', '', '', ''
    );
    insert into auth.identities (
        id, provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at
    )
    values (
        gen_random_uuid(), v_id::text, v_id,
        jsonb_build_object('sub', v_id, 'email', p_email, 'email_verified', p_is_confirmed, 'phone_verified', false),
        'email', now(), now(), now()
    );
    return v_id;
end
$$;
comment on function private.make_user(text, text, boolean) is
'Creates a user in auth with an address in lower case, confirmed or not, and no password; returns the id. Raises a
unique violation where an account has the address.';

create function private.clear_unproved_user(p_user_id uuid, p_name text) returns void
language plpgsql
set search_path = ''
as $$
begin
    update auth.users as u
    set
        encrypted_password = '', raw_user_meta_data = jsonb_build_object('display_name', p_name), phone = null,
        phone_change = '', phone_change_token = ''
    where u.id = p_user_id;
    delete from auth.identities as i where i.user_id = p_user_id;
    delete from auth.sessions as s where s.user_id = p_user_id;
    delete from auth.mfa_factors as f where f.user_id = p_user_id;
    update public.profiles as p set display_name = coalesce(p_name, 'New member') where p.id = p_user_id;
end
$$;
comment on function private.clear_unproved_user(uuid, text) is
'Removes from an account that was never signed in to what its unconfirmed creator set: password, identities, sessions,
second factors and name.';

create function private.is_staff(p_user_id uuid) returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (select from public.user_roles as r where r.user_id = p_user_id and r.role >= 'moderator')
$$;
comment on function private.is_staff(uuid) is
'Whether the user is a moderator, admin or superadmin. Providers neither change nor delete such accounts.';

create function private.audit_identity(p_action text, p_identity private.external_identities) returns void
language sql
set search_path = ''
as $$
    select private.audit(
        p_action, 'accounts', p_identity.user_id::text, null,
        jsonb_build_object('provider', p_identity.provider, 'external_id', p_identity.external_id)
    )
$$;
comment on function private.audit_identity(text, private.external_identities) is
'Records in the audit log what an event of a provider did to an account.';

create function private.known_identity(p_provider text, p_external_id text) returns private.external_identities
language plpgsql
set search_path = ''
as $$
declare
    v_identity private.external_identities;
begin
    insert into private.external_identities (provider, external_id) values (p_provider, p_external_id)
    on conflict (provider, external_id) do nothing;
    select e.* into v_identity from private.external_identities as e
    where e.provider = p_provider and e.external_id = p_external_id for update;
    return v_identity;
end
$$;
comment on function private.known_identity(text, text) is
'The row of an identity, created where it is missing, and locked, so that events about one identity are applied one
after the other.';

create function private.link_identity(p_identity private.external_identities, p_email text, p_name text)
returns private.external_identities
language plpgsql
set search_path = ''
as $$
declare
    v_identity private.external_identities := p_identity;
    v_user auth.users;
begin
    select u.* into v_user from auth.users as u
    where lower(u.email) = p_email and not u.is_sso_user for no key update;
    if not found then
        v_identity.user_id := private.make_user(p_email, p_name, true);
        v_identity.has_made_account := true;
    elsif v_user.email_confirmed_at is not null then
        v_identity.user_id := v_user.id;
    elsif v_user.phone_confirmed_at is null and v_user.last_sign_in_at is null and not v_user.is_anonymous then
        -- The account was created with the address and never confirmed it. The identity has proved it.
        perform private.clear_unproved_user(v_user.id, p_name);
        perform private.give_email(v_user.id, p_email, true);
        v_identity.user_id := v_user.id;
    else
        return v_identity; -- an account in use claims the address without proof
    end if;
    v_identity.email := p_email;
    select p.display_name into v_identity.display_name from public.profiles as p where p.id = v_identity.user_id;
    perform private.audit_identity(
        case when v_identity.has_made_account then 'account.create' else 'identity.link' end, v_identity
    );
    return v_identity;
end
$$;
comment on function private.link_identity(private.external_identities, text, text) is
'Links an identity to the account of its verified address and returns it: to the account that confirmed the address; or
to one that nobody ever signed in to, cleared first; or to a new one. Leaves it unlinked where an account in use has the
address unconfirmed.';

create function private.follow_identity(p_identity private.external_identities, p_email text, p_name text)
returns private.external_identities
language plpgsql
set search_path = ''
as $$
declare
    v_identity private.external_identities := p_identity;
begin
    if p_email <> v_identity.email
        and exists (
            select from auth.users as u where u.id = v_identity.user_id and lower(u.email) = v_identity.email
        )
        and not exists (select from auth.users as u where lower(u.email) = p_email and not u.is_sso_user)
    then
        perform private.give_email(v_identity.user_id, p_email, true);
        v_identity.email := p_email;
    end if;
    update public.profiles as p set display_name = p_name
    where p.id = v_identity.user_id and p.display_name = v_identity.display_name and p_name is not null;
    if found then
        v_identity.display_name := p_name;
    end if;
    return v_identity;
end
$$;
comment on function private.follow_identity(private.external_identities, text, text) is
'Gives the account that an identity created the new verified address, where no other account has it, and the new name;
each only where the account still has the one that the identity gave it. Returns the identity.';

create function private.sync_identity(
    p_provider text, p_external_id text, p_told_at timestamptz, p_email text, p_name text
)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    v_identity private.external_identities := private.known_identity(p_provider, p_external_id);
begin
    if v_identity.deleted_at is not null or v_identity.last_event_at >= p_told_at then
        return false;
    end if;
    if v_identity.user_id is null and p_email is not null then
        v_identity := private.link_identity(v_identity, p_email, p_name);
    elsif v_identity.has_made_account and not private.is_staff(v_identity.user_id) then
        v_identity := private.follow_identity(v_identity, p_email, p_name);
    end if;
    update private.external_identities as e
    set
        user_id = v_identity.user_id,
        has_made_account = v_identity.has_made_account,
        email = v_identity.email,
        display_name = v_identity.display_name,
        last_event_at = p_told_at
    where e.provider = p_provider and e.external_id = p_external_id;
    return true;
end
$$;
comment on function private.sync_identity(text, text, timestamptz, text, text) is
'Applies an event about an identity: its verified address in lower case and its name, either of which may be null.
Returns false where a newer event was applied.';

create function private.end_identity(p_provider text, p_external_id text, p_told_at timestamptz) returns boolean
language plpgsql
set search_path = ''
as $$
declare
    v_identity private.external_identities := private.known_identity(p_provider, p_external_id);
begin
    if v_identity.deleted_at is not null then
        return false;
    end if;
    update private.external_identities as e
    set deleted_at = now(), last_event_at = p_told_at, user_id = null, email = null, display_name = null
    where e.provider = p_provider and e.external_id = p_external_id;
    if v_identity.user_id is null then
        return true;
    end if;
    -- The lock of private.change_role, so that the user does not become staff between the check and the deletion.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('user_roles'));
    if v_identity.has_made_account
        and not private.is_staff(v_identity.user_id)
        and not exists (select from private.external_identities as e where e.user_id = v_identity.user_id)
    then
        delete from auth.users as u where u.id = v_identity.user_id;
        perform private.audit_identity('account.delete', v_identity);
    else
        perform private.audit_identity('identity.unlink', v_identity);
    end if;
    return true;
end
$$;
comment on function private.end_identity(text, text, timestamptz) is
'Ends an identity for good. Deletes the account where the identity created it; only unlinks it where it existed before,
has another identity, or is staff. Returns false where the identity had ended.';

create function private.apply_clerk_event(p_type text, p_payload jsonb) returns boolean
language plpgsql
set search_path = ''
as $$
declare
    v_data jsonb := p_payload -> 'data';
    v_told_at timestamptz := to_timestamp(
        coalesce(v_data ->> 'updated_at', p_payload ->> 'timestamp', v_data ->> 'created_at')::numeric / 1000
    );
    v_email text;
    v_name text := private.clean_name(concat_ws(' ', v_data ->> 'first_name', v_data ->> 'last_name'));
begin
    if p_type = 'user.deleted' then
        return private.end_identity('clerk', v_data ->> 'id', coalesce(v_told_at, now()));
    elsif p_type not in ('user.created', 'user.updated') then
        return false;
    end if;
    select lower(a.address ->> 'email_address') into v_email
    from jsonb_array_elements(
        case jsonb_typeof(v_data -> 'email_addresses') when 'array' then v_data -> 'email_addresses' else '[]' end
    ) as a (address)
    where a.address ->> 'id' = v_data ->> 'primary_email_address_id'
        and a.address #>> '{verification,status}' = 'verified';
    return private.sync_identity(
        'clerk', v_data ->> 'id', v_told_at, v_email, v_name
    );
end
$$;
comment on function private.apply_clerk_event(text, jsonb) is
'Applies Clerk''s user.created, user.updated and user.deleted; returns false for other types. Clerk''s metadata is never
read, because roles are decided here. An identity with a phone and no verified address gets no account. receive_webhook
calls it.';

create function private.sync_user() returns public.profiles
language plpgsql
security definer -- reads auth.identities, and may create the account that every other check needs
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
    v_profile public.profiles;
begin
    if not exists (select from auth.users as u where u.id = v_caller)
        or exists (select from public.accounts as a where a.user_id = v_caller)
    then
        v_caller := private.require_active();
    end if;
    -- Users who signed up before the migrations have no rows in these tables.
    insert into public.accounts (user_id, email, email_confirmed_at, last_sign_in_at, is_anonymous)
    select u.id, lower(nullif(u.email, '')), u.email_confirmed_at, u.last_sign_in_at, u.is_anonymous
    from auth.users as u where u.id = v_caller
    on conflict do nothing;
    insert into public.profiles (id, display_name, is_public)
    select u.id, 'New member', private.is_user_confirmed(u.id) from auth.users as u where u.id = v_caller
    on conflict do nothing;
    update public.profiles as p set display_name = latest.name
    from (
        select n.name
        from auth.identities as i
        cross join lateral (
            select coalesce(
                private.clean_name(i.identity_data ->> 'full_name'),
                private.clean_name(i.identity_data ->> 'name'),
                private.clean_name(
                    concat_ws(' ', i.identity_data ->> 'given_name', i.identity_data ->> 'family_name')
                )
            )
        ) as n (name)
        where i.user_id = v_caller and n.name is not null
        order by i.last_sign_in_at desc nulls last
        limit 1
    ) as latest
    where p.id = v_caller and p.display_name = 'New member';
    select p.* into v_profile from public.profiles as p where p.id = v_caller;
    return v_profile;
end
$$;
comment on function private.sync_user() is
'Call it after signing in: returns the caller''s profile. Creates account and profile where they are missing, and takes
the name from the identity provider where the profile has none yet. Idempotent. Raises sign_in_required (401),
account_inactive (403).';
