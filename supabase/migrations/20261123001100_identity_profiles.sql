-- Identity: profiles, which users show to others.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'profile_unconfirmed', 403,
    'The profile of a guest, and of an account whose address is not confirmed, is not public.',
    'Confirm an email address first; the profile is public then.',
    null
),
(
    'handle_reserved', 409,
    'This handle is reserved, or looks like a generated one.',
    'Choose another one; is_handle_available says which are free.',
    null
);

create table private.reserved_handles (
    handle text constraint reserved_handles_pkey primary key
);
comment on table private.reserved_handles is
'Handles that no user may choose, because a page has that name or because the handle would pass for the operator''s.';
alter table private.reserved_handles enable row level security;
insert into private.reserved_handles (handle)
select h.handle
from regexp_split_to_table(
    'about account accounts admin administrator admins all anonymous api app assets auth avatar avatars billing blog '
    'bot bots calendar careers cart categories category certificate certificates chat checkout communities community '
    'contact courses creator creators dashboard deleted demo developers discover docs download edit editor error '
    'everybody everyone explore faq favicon feed feedback files follow followers following forum functions graphql '
    'groups guest guild guildhall health help here home host hosts images inbox index info invite jobs leaderboard '
    'legal lessons library live login logout mail me media member members messages mod moderator moderators mods '
    'my myself new news newsletter nobody none notifications null oauth official offers orders owner password '
    'payments payouts ping plans press pricing privacy private profile profiles public purchases ready register '
    'reports rest root rpc rss safety search security self service sessions settings share shop sign-in sign-out '
    'sign-up signin signout signup sitemap site staff static stats status storage store student students studio '
    'subscribe superadmin support system teach teacher teachers team terms test tos trust undefined unsubscribe '
    'update upload user username users verify videos webhook webhooks welcome wiki workspace workspaces www you',
    '\s+'
) as h (handle);

create table public.profiles (
    id uuid constraint profiles_pkey primary key
    constraint profiles_id_fkey references public.accounts (user_id) on delete cascade,
    handle text not null constraint profiles_handle_key unique
    constraint profiles_handle_check check (handle ~ '^[a-z0-9][a-z0-9_-]{1,29}$'),
    display_name text not null
    constraint profiles_display_name_check check (private.is_name(display_name)),
    headline text constraint profiles_headline_check check (private.is_line(headline, 160)),
    bio text constraint profiles_bio_check check (char_length(bio) <= 4000),
    location text constraint profiles_location_check check (private.is_line(location, 120)),
    website_url text constraint profiles_website_url_check
    check (website_url ~ '^https?://[^\s<>"]+$' and char_length(website_url) <= 500),
    avatar_path text constraint profiles_avatar_path_check
    check (starts_with(avatar_path, id::text || '/') and char_length(avatar_path) <= 300),
    is_public boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- Tables that are as public as the profile refer to both columns, and their is_public follows by ON UPDATE CASCADE.
    constraint profiles_id_is_public_key unique (id, is_public)
);
comment on table public.profiles is
'One row for each account, created at signup. Everybody reads public profiles; each user changes their own. No column
may hold what strangers must not see, such as email or phone. The profile of a deleted account stays, hidden and
empty.';
comment on column public.profiles.id is 'The user''s id in auth.';
comment on column public.profiles.handle is
'The name in URLs: 2 to 30 lower-case letters, digits, _ and -, unique; capitals are converted. Null gives a generated
one.';
comment on column public.profiles.display_name is 'The name that people read, one line; certificates show it, too.';
comment on column public.profiles.headline is 'One line about the user.';
comment on column public.profiles.bio is 'Some paragraphs about the user, Markdown.';
comment on column public.profiles.location is 'Where the user is, as free text.';
comment on column public.profiles.website_url is 'An http or https URL.';
comment on column public.profiles.avatar_path is
'The path of the picture in the storage bucket `avatars`; begins with the user''s id.';
comment on column public.profiles.is_public is
'False hides the profile from everybody but its owner and moderators. It becomes true when the user confirms the first
address; until then nobody can set it.';

comment on constraint profiles_avatar_path_check on public.profiles is
'The path of a picture begins with the user''s id and a slash, and has at most 300 characters.';
comment on constraint profiles_bio_check on public.profiles is 'A biography has at most 4,000 characters.';
comment on constraint profiles_display_name_check on public.profiles is
'A name is one line of 1 to 120 characters, of which some are visible.';
comment on constraint profiles_handle_check on public.profiles is
'A handle has 2 to 30 letters, digits, underscores and hyphens, and begins with a letter or digit.';
comment on constraint profiles_handle_key on public.profiles is 'Another user has this handle.';
comment on constraint profiles_headline_check on public.profiles is 'A headline is one line of at most 160 characters.';
comment on constraint profiles_location_check on public.profiles is 'A location is one line of at most 120 characters.';
comment on constraint profiles_website_url_check on public.profiles is
'A website is an http or https URL of at most 500 characters.';
alter table public.profiles enable row level security;
revoke all on public.profiles from anon, authenticated, service_role;

create trigger _200_set_updated_at before update on public.profiles
for each row execute function private.tg__set_updated_at();

create function private.is_handle_reserved(p_handle text) returns boolean
language sql
stable
set search_path = ''
as $$
    select p_handle ~ '^(member|deleted)-' or exists (select from private.reserved_handles as r where r.handle = p_handle)
$$;
comment on function private.is_handle_reserved(text) is
'Whether no user may choose this handle: it is reserved, or has the form of a generated one.';

create function private.tg_profiles__tidy() returns trigger
language plpgsql
security definer -- reserved_handles is closed to clients
set search_path = ''
as $$
begin
    new.display_name := regexp_replace(normalize(new.display_name, nfc), '^\s+|\s+$', '', 'g');
    if new.handle is null then
        new.handle := 'member-' || encode(extensions.gen_random_bytes(8), 'hex');
        return new;
    end if;
    new.handle := private.fold_text(new.handle);
    if new.handle is distinct from old.handle and private.is_handle_reserved(new.handle) then
        perform private.refuse('handle_reserved');
    end if;
    return new;
end
$$;
comment on function private.tg_profiles__tidy() is
'Before insert or update of handle or display_name: folds the handle (fold_text), trims the name, and generates a handle
where there is none. Raises PT409 handle_reserved.';
create trigger _100_tidy before insert or update of handle, display_name on public.profiles
for each row execute function private.tg_profiles__tidy();

create function private.is_handle_available(p_handle text) returns boolean
language plpgsql
stable
security definer -- hidden profiles have handles, too; that a handle is taken is not secret
set search_path = ''
as $$
declare
    v_caller uuid := private.require_signed_in();
    v_handle text := private.fold_text(p_handle);
begin
    return coalesce(v_handle ~ '^[a-z0-9][a-z0-9_-]{1,29}$', false)
        and not private.is_handle_reserved(v_handle)
        and not exists (
            select from public.profiles as p where p.handle = v_handle and p.id <> v_caller
        );
end
$$;
comment on function private.is_handle_available(text) is
'Whether the caller could choose this handle: it is well formed, not reserved, and no other user has it. For signed-in
users, while they type. Raises sign_in_required (401).';

create function private.is_user_confirmed(p_user_id uuid) returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (
        select from auth.users as u where u.id = p_user_id and u.confirmed_at is not null and not u.is_anonymous
    )
$$;
comment on function private.is_user_confirmed(uuid) is
'Whether a user has proved an address or a number, and so is a person whom others may see.';

create function private.tg_profiles__check_confirmed() returns trigger
language plpgsql
security definer -- the tables of auth are closed to clients
set search_path = ''
as $$
begin
    if not private.is_user_confirmed(new.id) then
        perform private.refuse('profile_unconfirmed');
    end if;
    return new;
end
$$;
comment on function private.tg_profiles__check_confirmed() is
'Before a profile becomes public: refuses it for a user without a confirmed address. Raises PT403 profile_unconfirmed.';
create trigger _100_check_confirmed before insert or update of is_public on public.profiles
for each row when (new.is_public) execute function private.tg_profiles__check_confirmed();

create function private.chosen_name(p_metadata jsonb) returns text
language sql
immutable
set search_path = ''
as $$
    -- The user typed these at signup. They are used for nothing but the first display name.
    select coalesce(
        private.clean_name(p_metadata ->> 'display_name'),
        private.clean_name(p_metadata ->> 'full_name'),
        private.clean_name(p_metadata ->> 'name'),
        'New member'
    )
$$;
comment on function private.chosen_name(jsonb) is 'The first display name of a user who signed up with this metadata.';

create function private.tg_users__create_profile() returns trigger
language plpgsql
security definer -- auth inserts the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    insert into public.profiles (id, display_name, is_public)
    values (new.id, private.chosen_name(new.raw_user_meta_data), private.is_user_confirmed(new.id));
    return null;
end
$$;
comment on function private.tg_users__create_profile() is
'After auth creates a user and our trigger the account: creates the profile, with a generated handle.';
create trigger guildhall_create_profile after insert on auth.users
for each row execute function private.tg_users__create_profile();

create function private.tg_users__unhide_profile() returns trigger
language plpgsql
security definer -- auth updates the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
declare
    v_old_name text := private.chosen_name(old.raw_user_meta_data);
begin
    -- Who has signed in before has decided about the profile, except for guests, who could not.
    if (old.confirmed_at is null or old.is_anonymous) and (old.last_sign_in_at is null or old.is_anonymous)
        and private.is_user_confirmed(new.id)
    then
        update public.profiles as p set is_public = true where p.id = new.id and not p.is_public;
    end if;
    if old.confirmed_at is null and old.last_sign_in_at is null then
        -- A later sign-up, or the holder of the address, has replaced what an earlier sign-up chose.
        update public.profiles as p set display_name = private.chosen_name(new.raw_user_meta_data)
        where p.id = new.id and p.display_name = v_old_name
            and v_old_name <> private.chosen_name(new.raw_user_meta_data);
    end if;
    return null;
end
$$;
comment on function private.tg_users__unhide_profile() is
'After a user confirmed the first address or number: makes the profile public. Until then the name follows that of the
sign-up, unless an admin has changed it.';
-- Its name sorts after that of the trigger that locks the account, which comes before the profile.
create trigger guildhall_unhide_profile after update on auth.users
for each row when (
    new.deleted_at is null
    and (old.confirmed_at, old.is_anonymous, old.raw_user_meta_data)
    is distinct from (new.confirmed_at, new.is_anonymous, new.raw_user_meta_data)
)
execute function private.tg_users__unhide_profile();

create function private.account_ended__240_profile(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.profiles as p
    set
        handle = null,
        display_name = 'Deleted member',
        headline = null, bio = null, location = null, website_url = null, avatar_path = null,
        is_public = false
    where p.id = p_user_id
$$;
comment on function private.account_ended__240_profile(uuid) is
'The profile stays, hidden and without any personal data, for rows that refer to it.';

-- Avatars. Anybody fetches one by its path; only the owner writes a folder, and only the owner and moderators list it.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values ('avatars', 'avatars', true, 2 * 1024 * 1024, array['image/png', 'image/jpeg', 'image/webp', 'image/gif'])
on conflict (id) do update
    set
        public = excluded.public,
        file_size_limit = excluded.file_size_limit,
        allowed_mime_types = excluded.allowed_mime_types;

create function private.tg_profiles__discard_avatar() returns trigger
language plpgsql
security definer -- clients may not discard files
set search_path = ''
as $$
begin
    perform private.discard_file('avatars', old.avatar_path);
    return null;
end
$$;
comment on function private.tg_profiles__discard_avatar() is
'After a profile names another picture, or none: has the former one removed.';
create trigger _500_discard_avatar after update of avatar_path on public.profiles
for each row when (old.avatar_path is distinct from new.avatar_path and old.avatar_path is not null)
execute function private.tg_profiles__discard_avatar();

create function private.file_use__avatars(p_bucket_id text, p_name text) returns boolean
language sql
stable
set search_path = ''
as $$
    select p_bucket_id = 'avatars' and exists (
        select from public.profiles as p
        where p.id = private.uuid_or_null(split_part(p_name, '/', 1)) and p.avatar_path = p_name
    )
$$;
comment on function private.file_use__avatars(text, text) is 'Whether the file is the picture of a profile.';
