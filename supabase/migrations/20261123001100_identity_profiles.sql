-- Identity: what people show of themselves.

create table private.reserved_handles (
    handle text constraint reserved_handles_pkey primary key
);
comment on table private.reserved_handles is
'Handles that nobody may have, because a page is called so or because they would pass for the house.';
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

create function private.is_name(p_text text) returns boolean
language sql
immutable
parallel safe
set search_path = ''
as $$
    select char_length(p_text) <= 120
        -- neither controls, nor line breaks, nor what turns the direction of the text around it
        and p_text !~ '[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]'
        -- nor nothing but what is not seen
        and p_text !~ concat(
            '^[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164',
            '\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]*$'
        )
$$;
comment on function private.is_name(text) is
'Whether a text can stand as somebody''s name: one line of at most 120 characters, of which some are seen.';

create function private.clean_name(p_text text) returns text
language sql
immutable
set search_path = ''
as $$
    select n.name
    from (
        select btrim(left(btrim(regexp_replace(
            regexp_replace(normalize(p_text, nfc), '[\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]', '', 'g'),
            '[\s\u0001-\u001f\u007f-\u009f]+', ' ', 'g'
        )), 120)) as name
    ) as n
    where private.is_name(n.name)
$$;
comment on function private.clean_name(text) is
'The text made a name, for what comes from elsewhere and must not be refused; null where nothing of it is seen.';

create table public.profiles (
    id uuid constraint profiles_pkey primary key
    constraint profiles_id_fkey references public.accounts (user_id) on delete cascade,
    handle text not null constraint profiles_handle_key unique
    constraint profiles_handle_check check (handle ~ '^[a-z0-9][a-z0-9_-]{1,29}$'),
    display_name text not null
    constraint profiles_display_name_check check (private.is_name(display_name)),
    headline text constraint profiles_headline_check check (char_length(headline) <= 160),
    bio text constraint profiles_bio_check check (char_length(bio) <= 4000),
    location text constraint profiles_location_check check (char_length(location) <= 120),
    website_url text constraint profiles_website_url_check
    check (website_url ~ '^https?://[^\s<>"]+$' and char_length(website_url) <= 500),
    avatar_path text constraint profiles_avatar_path_check
    check (starts_with(avatar_path, id::text || '/') and char_length(avatar_path) <= 300),
    is_public boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- What shares a profile's privacy refers to both, and follows when it changes.
    constraint profiles_id_is_public_key unique (id, is_public)
);
comment on table public.profiles is
'One row for each account, made at signup. Public ones are for everybody to read; each is its owner''s to change. Holds
no email, phone or anything else that a stranger may not see. A deleted account''s profile stays as a nameless tombstone.';
comment on column public.profiles.id is 'The user''s id in auth.';
comment on column public.profiles.handle is
'The name in web addresses: lower-case letters, digits, _ and -, 2 to 30 characters, unique; capitals become small. Null
gives a made-up one.';
comment on column public.profiles.display_name is
'The name that people read, in one line; also the name on certificates.';
comment on column public.profiles.headline is 'One line about the person.';
comment on column public.profiles.bio is 'Some paragraphs about the person, Markdown.';
comment on column public.profiles.location is 'Where the person is, in the person''s own words.';
comment on column public.profiles.website_url is 'An http or https address.';
comment on column public.profiles.avatar_path is
'The picture''s path in the storage bucket `avatars`; begins with the user''s id.';
comment on column public.profiles.is_public is 'False hides the profile from everybody but its owner and moderators.';

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
'Whether nobody may choose this handle: it is reserved, or looks made-up.';

create function private.tg_profiles__tidy() returns trigger
language plpgsql
security definer -- the reserved handles are closed to those who choose one
set search_path = ''
as $$
begin
    new.display_name := regexp_replace(normalize(new.display_name, nfc), '^\s+|\s+$', '', 'g');
    if new.handle is null then
        new.handle := 'member-' || encode(extensions.gen_random_bytes(8), 'hex');
        return new;
    end if;
    new.handle := lower(btrim(new.handle));
    if new.handle is distinct from old.handle and private.is_handle_reserved(new.handle) then
        raise sqlstate 'PT409' using
            message = 'handle_reserved',
            detail = 'Nobody may have this handle.',
            hint = 'Choose another one.';
    end if;
    return new;
end
$$;
comment on function private.tg_profiles__tidy() is
'Before insert or update of handle or display_name: lower case and no space around; a made-up handle for none. Raises
PT409 handle_reserved.';
create trigger _100_tidy before insert or update of handle, display_name on public.profiles
for each row execute function private.tg_profiles__tidy();

create function private.is_handle_available(p_handle text) returns boolean
language plpgsql
stable
security definer -- a handle may be a hidden profile's; that it is taken, is no secret
set search_path = ''
as $$
declare
    v_handle text := lower(btrim(p_handle));
begin
    if (select auth.uid()) is null then
        raise sqlstate 'PT401' using
            message = 'sign_in_required',
            detail = 'Only a signed-in person can do this.',
            hint = 'Send the access token of a user in the Authorization header.';
    end if;
    return coalesce(v_handle ~ '^[a-z0-9][a-z0-9_-]{1,29}$', false)
        and not private.is_handle_reserved(v_handle)
        and not exists (
            select from public.profiles as p where p.handle = v_handle and p.id <> (select auth.uid())
        );
end
$$;
comment on function private.is_handle_available(text) is
'Whether the caller could have this handle. Raises PT401 sign_in_required.';

create function public.is_handle_available(handle text) returns boolean
language sql
stable
set search_path = ''
as $$
    select private.is_handle_available(is_handle_available.handle)
$$;
comment on function public.is_handle_available(text) is
'Whether one could have this handle: well formed, not reserved, and nobody else''s. For signed-in people, as they
type it. Raises sign_in_required (401).';

create function private.tg_users__create_profile() returns trigger
language plpgsql
security definer -- auth inserts the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    insert into public.profiles (id, display_name, is_public)
    values (
        new.id,
        -- What people typed at signup is used as a first name to show and for nothing else.
        coalesce(
            private.clean_name(new.raw_user_meta_data ->> 'display_name'),
            private.clean_name(new.raw_user_meta_data ->> 'full_name'),
            private.clean_name(new.raw_user_meta_data ->> 'name'),
            'New member'
        ),
        not coalesce(new.is_anonymous, false)
    );
    return null;
end
$$;
comment on function private.tg_users__create_profile() is
'After a user is made in auth, and after its account: the profile, with a made-up handle.';
create trigger guildhall_create_profile after insert on auth.users
for each row execute function private.tg_users__create_profile();

create function private.tg_users__bury_profile() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    update public.profiles as p
    set
        handle = null,
        display_name = 'Deleted member',
        headline = null, bio = null, location = null, website_url = null, avatar_path = null,
        is_public = false
    where p.id = old.id;
    return null;
end
$$;
comment on function private.tg_users__bury_profile() is
'After a user is deleted in auth, softly or for good: a nameless tombstone stays for what refers to the profile.';
create trigger guildhall_bury_profile after delete on auth.users
for each row execute function private.tg_users__bury_profile();
create trigger guildhall_bury_soft_deleted_profile after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__bury_profile();

-- Pictures that people show: anyone may fetch one whose path he knows, nobody may list or write another's folder.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values ('avatars', 'avatars', true, 2 * 1024 * 1024, array['image/png', 'image/jpeg', 'image/webp', 'image/gif'])
on conflict (id) do update
    set
        public = excluded.public,
        file_size_limit = excluded.file_size_limit,
        allowed_mime_types = excluded.allowed_mime_types;
