-- Schema `auth` as Supabase Auth creates it: the tables that migrations reference and add triggers to, and the
-- functions that policies call. Runs as `supabase_admin` in each new database and is repeatable;
-- `supabase_auth_admin` owns all of it, as on Supabase. Row level security is on and there are no policies: only the
-- auth server (the owner) and `postgres` (which bypasses row level security) can read these tables.

set role supabase_auth_admin;

do $$
declare
    v_type record;
begin
    for v_type in
        select t.name, t.labels
        from (values
            ('aal_level', '''aal1'', ''aal2'', ''aal3'''),
            ('code_challenge_method', '''s256'', ''plain'''),
            ('factor_status', '''unverified'', ''verified'''),
            ('factor_type', '''totp'', ''webauthn'', ''phone'''),
            (
                'one_time_token_type',
                '''confirmation_token'', ''reauthentication_token'', ''recovery_token'', '
                '''email_change_token_new'', ''email_change_token_current'', ''phone_change_token'''
            )
        ) as t (name, labels)
    loop
        if pg_catalog.to_regtype('auth.' || v_type.name) is null then
            execute format('create type auth.%I as enum (%s)', v_type.name, v_type.labels);
        end if;
    end loop;
end
$$;

-- Users ---------------------------------------------------------------------------------------------------------------

create table if not exists auth.users (
    instance_id uuid,
    id uuid not null,
    aud varchar(255),
    role varchar(255),
    email varchar(255),
    encrypted_password varchar(255),
    email_confirmed_at timestamptz,
    invited_at timestamptz,
    confirmation_token varchar(255),
    confirmation_sent_at timestamptz,
    recovery_token varchar(255),
    recovery_sent_at timestamptz,
    email_change_token_new varchar(255),
    email_change varchar(255),
    email_change_sent_at timestamptz,
    last_sign_in_at timestamptz,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    is_super_admin boolean,
    created_at timestamptz,
    updated_at timestamptz,
    phone text default null,
    phone_confirmed_at timestamptz,
    phone_change text default '',
    phone_change_token varchar(255) default '',
    phone_change_sent_at timestamptz,
    confirmed_at timestamptz generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
    email_change_token_current varchar(255) default '',
    email_change_confirm_status smallint default 0,
    banned_until timestamptz,
    reauthentication_token varchar(255) default '',
    reauthentication_sent_at timestamptz,
    is_sso_user boolean not null default false,
    deleted_at timestamptz,
    is_anonymous boolean not null default false,
    constraint users_pkey primary key (id),
    constraint users_phone_key unique (phone),
    constraint users_email_change_confirm_status_check check (email_change_confirm_status between 0 and 2)
);
comment on table auth.users is 'Who can sign in. Holds secrets: never grant it to an API role.';
comment on column auth.users.is_sso_user is 'Such users may share an email address with another user.';

create unique index if not exists users_email_partial_key on auth.users (email) where not is_sso_user;
comment on index auth.users_email_partial_key is 'One account for each email address.';
create index if not exists users_lower_email_idx on auth.users (lower(email)) where not is_sso_user;
comment on index auth.users_lower_email_idx is 'Sign-in: lower(email) = $1. Seeds may hold capitals.';
create index if not exists users_instance_id_email_idx on auth.users (instance_id, lower(email));
create index if not exists users_instance_id_idx on auth.users (instance_id);
create index if not exists users_is_anonymous_idx on auth.users (is_anonymous);
create index if not exists users_created_at_idx on auth.users (created_at desc, id);
comment on index auth.users_created_at_idx is 'The admin list: order by created_at desc, id.';

-- The auth server stores hashes of tokens. Older servers stored digits, which were not unique.
create unique index if not exists confirmation_token_idx on auth.users (confirmation_token)
where confirmation_token !~ '^[0-9 ]*$';
create unique index if not exists recovery_token_idx on auth.users (recovery_token)
where recovery_token !~ '^[0-9 ]*$';
create unique index if not exists email_change_token_current_idx on auth.users (email_change_token_current)
where email_change_token_current !~ '^[0-9 ]*$';
create unique index if not exists email_change_token_new_idx on auth.users (email_change_token_new)
where email_change_token_new !~ '^[0-9 ]*$';
create unique index if not exists reauthentication_token_idx on auth.users (reauthentication_token)
where reauthentication_token !~ '^[0-9 ]*$';

create table if not exists auth.identities (
    provider_id text not null,
    user_id uuid not null,
    identity_data jsonb not null,
    provider text not null,
    last_sign_in_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    email text generated always as (lower(identity_data ->> 'email')) stored,
    id uuid not null default gen_random_uuid(),
    constraint identities_pkey primary key (id),
    constraint identities_provider_id_provider_unique unique (provider_id, provider),
    constraint identities_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.identities is 'How a user can sign in; the provider is always `email` in this stack.';
comment on column auth.identities.email is 'A copy of the email in identity_data, for look-ups.';

create index if not exists identities_user_id_idx on auth.identities (user_id);
comment on index auth.identities_user_id_idx is 'The identities of a user, read with every user.';
create index if not exists identities_email_idx on auth.identities (email text_pattern_ops);

-- Sessions ------------------------------------------------------------------------------------------------------------

create table if not exists auth.sessions (
    id uuid not null,
    user_id uuid not null,
    created_at timestamptz,
    updated_at timestamptz,
    factor_id uuid,
    aal auth.aal_level,
    not_after timestamptz,
    refreshed_at timestamp,
    user_agent text,
    ip inet,
    tag text,
    constraint sessions_pkey primary key (id),
    constraint sessions_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.sessions is 'A sign-in on one device. It ends when the row is deleted or not_after passes.';

create index if not exists sessions_user_id_idx on auth.sessions (user_id);
create index if not exists user_id_created_at_idx on auth.sessions (user_id, created_at);
create index if not exists sessions_not_after_idx on auth.sessions (not_after desc);

create table if not exists auth.refresh_tokens (
    instance_id uuid,
    id bigserial not null,
    token varchar(255),
    user_id varchar(255),
    revoked boolean,
    created_at timestamptz,
    updated_at timestamptz,
    parent varchar(255),
    session_id uuid,
    constraint refresh_tokens_pkey primary key (id),
    constraint refresh_tokens_token_unique unique (token),
    constraint refresh_tokens_session_id_fkey foreign key (session_id) references auth.sessions (id) on delete cascade
);
comment on table auth.refresh_tokens is 'Each session''s chain of single-use refresh tokens, the newest one active.';

create index if not exists refresh_tokens_instance_id_idx on auth.refresh_tokens (instance_id);
create index if not exists refresh_tokens_instance_id_user_id_idx on auth.refresh_tokens (instance_id, user_id);
create index if not exists refresh_tokens_parent_idx on auth.refresh_tokens (parent);
create index if not exists refresh_tokens_session_id_revoked_idx on auth.refresh_tokens (session_id, revoked);
comment on index auth.refresh_tokens_session_id_revoked_idx is 'The active token of a session.';
create index if not exists refresh_tokens_updated_at_idx on auth.refresh_tokens (updated_at desc);

create table if not exists auth.mfa_amr_claims (
    session_id uuid not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    authentication_method text not null,
    id uuid not null,
    constraint amr_id_pk primary key (id),
    constraint mfa_amr_claims_session_id_authentication_method_pkey unique (session_id, authentication_method),
    constraint mfa_amr_claims_session_id_fkey foreign key (session_id) references auth.sessions (id) on delete cascade
);
comment on table auth.mfa_amr_claims is 'How and when the user of a session signed in: the claim `amr`.';

-- Only in the embedded stack: hosted Supabase has no such table, so migrations must not use it.
create table if not exists auth.known_networks (
    user_id uuid not null,
    network cidr not null,
    last_used_at timestamptz not null,
    constraint known_networks_pkey primary key (user_id, network),
    constraint known_networks_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.known_networks is
'Networks from which a user has signed in. Wrong passwords sent from others do not lock the user out there.';

-- Links, codes and flows ----------------------------------------------------------------------------------------------

create table if not exists auth.one_time_tokens (
    id uuid not null,
    user_id uuid not null,
    token_type auth.one_time_token_type not null,
    token_hash text not null,
    relates_to text not null,
    created_at timestamp not null default now(),
    updated_at timestamp not null default now(),
    constraint one_time_tokens_pkey primary key (id),
    constraint one_time_tokens_token_hash_check check (char_length(token_hash) > 0),
    constraint one_time_tokens_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.one_time_tokens is 'The links and codes that were mailed and not yet used, as hashes.';

create unique index if not exists one_time_tokens_user_id_token_type_key on auth.one_time_tokens (user_id, token_type);
create index if not exists one_time_tokens_token_hash_hash_idx on auth.one_time_tokens using hash (token_hash);
comment on index auth.one_time_tokens_token_hash_hash_idx is 'Use of a link or code: token_hash = $1.';
create index if not exists one_time_tokens_relates_to_hash_idx on auth.one_time_tokens using hash (relates_to);

create table if not exists auth.flow_state (
    id uuid not null,
    user_id uuid,
    auth_code text not null,
    code_challenge_method auth.code_challenge_method not null,
    code_challenge text not null,
    provider_type text not null,
    provider_access_token text,
    provider_refresh_token text,
    created_at timestamptz,
    updated_at timestamptz,
    authentication_method text not null,
    auth_code_issued_at timestamptz,
    constraint flow_state_pkey primary key (id)
);
comment on table auth.flow_state is
'Unfinished PKCE sign-ins, with the challenge that the client answers when it exchanges its code.';

create index if not exists idx_auth_code on auth.flow_state (auth_code);
create index if not exists idx_user_id_auth_method on auth.flow_state (user_id, authentication_method);
create index if not exists flow_state_created_at_idx on auth.flow_state (created_at desc);

-- Second factors ------------------------------------------------------------------------------------------------------

create table if not exists auth.mfa_factors (
    id uuid not null,
    user_id uuid not null,
    friendly_name text,
    factor_type auth.factor_type not null,
    status auth.factor_status not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    secret text,
    phone text,
    last_challenged_at timestamptz,
    web_authn_credential jsonb,
    web_authn_aaguid uuid,
    constraint mfa_factors_pkey primary key (id),
    constraint mfa_factors_last_challenged_at_key unique (last_challenged_at),
    constraint mfa_factors_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table auth.mfa_factors is 'Second factors of users.';

create index if not exists mfa_factors_user_id_idx on auth.mfa_factors (user_id);
create index if not exists factor_id_created_at_idx on auth.mfa_factors (user_id, created_at);
create unique index if not exists mfa_factors_user_friendly_name_unique on auth.mfa_factors (friendly_name, user_id)
where trim(both from friendly_name) <> '';
create unique index if not exists unique_phone_factor_per_user on auth.mfa_factors (user_id, phone);

create table if not exists auth.mfa_challenges (
    id uuid not null,
    factor_id uuid not null,
    created_at timestamptz not null,
    verified_at timestamptz,
    ip_address inet not null,
    otp_code text,
    web_authn_session_data jsonb,
    constraint mfa_challenges_pkey primary key (id),
    constraint mfa_challenges_auth_factor_id_fkey foreign key (factor_id)
    references auth.mfa_factors (id) on delete cascade
);
comment on table auth.mfa_challenges is 'Challenges sent to a second factor.';

create index if not exists mfa_challenge_created_at_idx on auth.mfa_challenges (created_at desc);
create index if not exists mfa_challenges_factor_id_idx on auth.mfa_challenges (factor_id);

-- Only in the embedded stack: hosted Supabase has no such table, so migrations must not use it.
create table if not exists auth.totp_steps (
    factor_id uuid not null,
    last_step bigint not null,
    constraint totp_steps_pkey primary key (factor_id),
    constraint totp_steps_factor_id_fkey foreign key (factor_id) references auth.mfa_factors (id) on delete cascade
);
comment on table auth.totp_steps is
'The time step of the last code of each factor that was accepted. Codes up to it are refused.';

-- Records -------------------------------------------------------------------------------------------------------------

create table if not exists auth.audit_log_entries (
    instance_id uuid,
    id uuid not null,
    payload json,
    created_at timestamptz,
    ip_address varchar(64) not null default '',
    constraint audit_log_entries_pkey primary key (id)
);
comment on table auth.audit_log_entries is 'Changes to accounts and sessions, with the user who made each.';

create index if not exists audit_logs_instance_id_idx on auth.audit_log_entries (instance_id);
create index if not exists audit_log_entries_created_at_idx on auth.audit_log_entries (created_at desc);
comment on index auth.audit_log_entries_created_at_idx is 'The admin''s audit list: order by created_at desc.';

create table if not exists auth.instances (
    id uuid not null,
    uuid uuid,
    raw_base_config text,
    created_at timestamptz,
    updated_at timestamptz,
    constraint instances_pkey primary key (id)
);
comment on table auth.instances is 'Not used by Supabase any more; empty.';

create table if not exists auth.schema_migrations (
    version varchar(255) not null,
    constraint schema_migrations_pkey primary key (version)
);
comment on table auth.schema_migrations is 'Where Supabase Auth records its own migrations; empty here.';

-- Privileges ----------------------------------------------------------------------------------------------------------

do $$
declare
    v_table text;
begin
    for v_table in
        select c.relname
        from pg_catalog.pg_class as c
        where c.relnamespace = 'auth'::regnamespace and c.relkind = 'r'
    loop
        execute format('alter table auth.%I enable row level security', v_table);
        execute format('revoke all on auth.%I from public, anon, authenticated, service_role', v_table);
        -- Migrations reference these tables and add triggers to them; seeds insert users.
        execute format(
            'grant select, insert, update, delete, references, trigger on auth.%I to postgres with grant option', v_table
        );
        execute format('grant select, insert, update, delete, references, trigger on auth.%I to dashboard_user', v_table);
    end loop;
end
$$;
revoke insert, update, delete on auth.schema_migrations from postgres, dashboard_user;
grant usage, select on sequence auth.refresh_tokens_id_seq to postgres, dashboard_user;

-- The caller, for policies --------------------------------------------------------------------------------------------
-- PostgREST sets `request.jwt.claims` to a token's claims. Older versions set one setting for each claim, which is
-- preferred where it exists. The functions have no `set search_path`, so that Postgres can inline them; they use only
-- what is in pg_catalog.

create or replace function auth.jwt() returns jsonb
language sql
stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')
    )::jsonb
$$;
comment on function auth.jwt() is 'All claims of the caller''s token; null without one.';

create or replace function auth.uid() returns uuid
language sql
stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;
comment on function auth.uid() is 'The caller''s user id; null when nobody is signed in.';

create or replace function auth.role() returns text
language sql
stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
    )
$$;
comment on function auth.role() is 'The role in the caller''s token. Prefer a policy TO a role.';

create or replace function auth.email() returns text
language sql
stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.email', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
    )
$$;
comment on function auth.email() is 'The email in the caller''s token. Prefer auth.jwt() ->> ''email''.';

revoke all on function auth.jwt(), auth.uid(), auth.role(), auth.email() from public;
grant execute on function auth.jwt(), auth.uid(), auth.role(), auth.email()
to anon, authenticated, service_role, dashboard_user, authenticator, supabase_storage_admin;
grant execute on function auth.jwt(), auth.uid(), auth.role(), auth.email() to postgres with grant option;

reset role;
