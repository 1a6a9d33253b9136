-- Identity: what people show of themselves.

create table public.profiles (
    id uuid constraint profiles_pkey primary key
    constraint profiles_id_fkey references private.accounts (user_id) on delete cascade,
    handle text not null constraint profiles_handle_key unique
    constraint profiles_handle_check check (handle ~ '^[a-z0-9][a-z0-9_-]{1,29}$'),
    display_name text not null
    constraint profiles_display_name_check check (display_name ~ '\S' and char_length(display_name) <= 120),
    headline text constraint profiles_headline_check check (char_length(headline) <= 160),
    bio text constraint profiles_bio_check check (char_length(bio) <= 4000),
    location text constraint profiles_location_check check (char_length(location) <= 120),
    website_url text constraint profiles_website_url_check
    check (website_url ~ '^https?://[^\s<>"]+$' and char_length(website_url) <= 500),
    avatar_path text constraint profiles_avatar_path_check
    check (starts_with(avatar_path, id::text || '/') and char_length(avatar_path) <= 300),
    is_public boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table public.profiles is
'One row for each account, made at signup. Public ones are for everybody to read; each is its owner''s to change. Holds
no email, phone or anything else that a stranger may not see. A deleted account''s profile stays as a nameless tombstone.';
comment on column public.profiles.id is 'The user''s id in auth.';
comment on column public.profiles.handle is
'The name in web addresses: lower-case letters, digits, _ and -, 2 to 30 characters, unique.';
comment on column public.profiles.display_name is 'The name that people read; also the name on certificates.';
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

create function private.tg_users__create_profile() returns trigger
language plpgsql
security definer -- auth inserts the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
declare
    -- What people typed at signup is used as a first name to show and for nothing else.
    v_name text := left(btrim(coalesce(
        new.raw_user_meta_data ->> 'display_name',
        new.raw_user_meta_data ->> 'full_name',
        new.raw_user_meta_data ->> 'name',
        ''
    )), 120);
begin
    insert into private.accounts (user_id) values (new.id);
    insert into public.profiles (id, handle, display_name, is_public)
    values (
        new.id,
        'member-' || encode(extensions.gen_random_bytes(8), 'hex'),
        case when v_name ~ '\S' then v_name else 'New member' end,
        not coalesce(new.is_anonymous, false)
    );
    return null;
end
$$;
comment on function private.tg_users__create_profile() is
'After a user is made in auth: the account and its profile, with a made-up handle.';
create trigger guildhall_create_profile after insert on auth.users
for each row execute function private.tg_users__create_profile();

create function private.tg_users__bury_account() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    update private.accounts as a
    set status = 'deleted', status_reason = null, suspended_until = null
    where a.user_id = old.id and a.status <> 'deleted';
    update public.profiles as p
    set
        handle = 'deleted-' || encode(extensions.gen_random_bytes(8), 'hex'),
        display_name = 'Deleted member',
        headline = null, bio = null, location = null, website_url = null, avatar_path = null,
        is_public = false
    where p.id = old.id;
    delete from public.user_roles as r where r.user_id = old.id;
    return null;
end
$$;
comment on function private.tg_users__bury_account() is
'After a user is deleted in auth, softly or for good: personal data and roles go, a tombstone stays for what refers to
it.';
create trigger guildhall_bury_account after delete on auth.users
for each row execute function private.tg_users__bury_account();
create trigger guildhall_bury_soft_deleted_account after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__bury_account();

-- Pictures that people show: anyone may fetch one whose path he knows, nobody may list or write another's folder.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values ('avatars', 'avatars', true, 2 * 1024 * 1024, array['image/png', 'image/jpeg', 'image/webp', 'image/gif'])
on conflict (id) do update
    set
        public = excluded.public,
        file_size_limit = excluded.file_size_limit,
        allowed_mime_types = excluded.allowed_mime_types;
