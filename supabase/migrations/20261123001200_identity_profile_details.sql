-- Identity: details of profiles. Rows that others see are as public as the profile: they have a copy of is_public,
-- which their foreign key keeps equal. Only the owner sees the settings.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'limit_reached', 409,
    'A profile has as many of these as it may.',
    'Remove one first.',
    'A profile has at most %s of these.'
),
(
    'qualification_changed', 409,
    'The qualification or its document is not what you decide on: it has changed, or you named no version of it.',
    'Read both, and send the content_version of the qualification with the decision.',
    null
),
(
    'qualification_not_found', 404,
    'There is no such qualification.',
    'Check the id.',
    null
);

create function private.tg__copy_is_public() returns trigger
language plpgsql
security definer -- reads hidden profiles, too
set search_path = ''
as $$
begin
    -- The lock waits for a transaction that changes is_public.
    select p.is_public into new.is_public from public.profiles as p where p.id = new.user_id for key share;
    -- A missing profile counts as hidden, so that both are refused alike.
    new.is_public := coalesce(new.is_public, false);
    return new;
end
$$;
comment on function private.tg__copy_is_public() is
'Before insert: sets is_public to that of the profile of user_id. The foreign key keeps it equal afterwards.';

create function private.tg__check_limit() returns trigger
language plpgsql
security definer -- counts all rows and locks profiles
set search_path = ''
as $$
declare
    v_too_many boolean;
begin
    -- Serialises inserts of each owner: concurrent ones would not count each other's rows.
    perform from public.profiles as p
    where p.id in (select i.user_id from inserted as i)
    order by p.id
    for no key update;
    execute format(
        'select exists (select from %I.%I as t where t.user_id in (select i.user_id from inserted as i)
        group by t.user_id having count(*) > $1)', tg_table_schema, tg_table_name
    ) into v_too_many using tg_argv[0]::integer;
    if v_too_many then
        perform private.refuse('limit_reached', (tg_argv[0])::text);
    end if;
    return null;
end
$$;
comment on function private.tg__check_limit() is
'After insert: refuses where a user has more rows of the table than the trigger''s argument. Raises PT409
limit_reached.';

create table public.user_qualifications (
    id uuid not null default gen_random_uuid() constraint user_qualifications_pkey primary key,
    user_id uuid not null default auth.uid(),
    is_public boolean not null,
    title text not null constraint user_qualifications_title_check check (private.is_name(title, 160)),
    issuer text constraint user_qualifications_issuer_check check (private.is_line(issuer, 160)),
    awarded_on date
    constraint user_qualifications_awarded_on_check check (awarded_on between '1900-01-01' and '2200-01-01'),
    url text constraint user_qualifications_url_check check (url ~ '^https?://[^\s<>"]+$' and char_length(url) <= 500),
    document_path text constraint user_qualifications_document_path_check
    check (document_path ~ ('^' || user_id::text || '/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.[a-z0-9]{1,8})?$')),
    content_version text not null,
    is_verified boolean not null default false,
    verified_at timestamptz,
    position integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint user_qualifications_user_id_fkey foreign key (user_id, is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade,
    constraint user_qualifications_verified_at_check check (is_verified = (verified_at is not null))
);
comment on table public.user_qualifications is
'Qualifications from elsewhere that users claim: at most 50 each, as public as the profile. Moderators verify them by
the url or the document. Certificates of this platform are in certificates.';
comment on column public.user_qualifications.is_public is 'Whether the profile is public; the database keeps it.';
comment on column public.user_qualifications.issuer is 'Who awarded it.';
comment on column public.user_qualifications.awarded_on is 'The date of the award.';
comment on column public.user_qualifications.url is 'A page that confirms it.';
comment on column public.user_qualifications.document_path is
'The path of the document that proves it, in the bucket `qualifications`: the user''s id and a UUID, so that the path
reveals nothing. Only the user and moderators fetch it.';
comment on column public.user_qualifications.content_version is
'Names what the qualification claims and the content of its document: it changes with each, also when the document is
uploaded, replaced or deleted. The database keeps it. verify_qualification takes it, so that a moderator verifies what
they have seen.';
comment on column public.user_qualifications.is_verified is
'Whether a moderator verified it. A change of any column but position, or of the document itself, clears it.';
comment on column public.user_qualifications.verified_at is 'When a moderator verified it; null where none did.';
comment on column public.user_qualifications.position is 'The position in the list, smallest first.';
comment on constraint user_qualifications_awarded_on_check on public.user_qualifications is
'A qualification is awarded between the years 1900 and 2200.';
comment on constraint user_qualifications_document_path_check on public.user_qualifications is
'The path of a document is the user''s id, a slash and a UUID, perhaps with a file extension.';
comment on constraint user_qualifications_issuer_check on public.user_qualifications is
'An issuer has at most 160 characters.';
comment on constraint user_qualifications_title_check on public.user_qualifications is
'A title is one line of 1 to 160 characters, of which some are visible.';
comment on constraint user_qualifications_url_check on public.user_qualifications is
'An address is an http or https URL of at most 500 characters.';
comment on constraint user_qualifications_user_id_fkey on public.user_qualifications is 'The user has no profile.';
alter table public.user_qualifications enable row level security;
revoke all on public.user_qualifications from anon, authenticated, service_role;
create index user_qualifications_user_id_is_public_position_idx
on public.user_qualifications (user_id, is_public, position);
comment on index public.user_qualifications_user_id_is_public_position_idx is
'A profile''s qualifications: user_id=eq.&order=position, the policies, and the foreign key';
create index user_qualifications_unverified_idx on public.user_qualifications (created_at, id)
where not is_verified and (url is not null or document_path is not null);
comment on index public.user_qualifications_unverified_idx is
'The moderators'' queue: is_verified=is.false&or=(url.not.is.null,document_path.not.is.null)&order=created_at,id';
create index user_qualifications_document_path_idx on public.user_qualifications (document_path)
where document_path is not null;
comment on index public.user_qualifications_document_path_idx is
'The qualifications that a document proves, when the document changes';
create trigger _100_copy_is_public before insert on public.user_qualifications
for each row execute function private.tg__copy_is_public();
create trigger _200_set_updated_at before update on public.user_qualifications
for each row execute function private.tg__set_updated_at();
create trigger _300_check_limit after insert on public.user_qualifications
referencing new table as inserted
for each statement execute function private.tg__check_limit(50);

create table public.user_expertise (
    user_id uuid not null default auth.uid(),
    topic text not null constraint user_expertise_topic_check check (
        char_length(topic) >= 2 and private.is_name(topic, 60)
    ),
    is_public boolean not null,
    created_at timestamptz not null default now(),
    constraint user_expertise_pkey primary key (user_id, topic),
    constraint user_expertise_user_id_fkey foreign key (user_id, is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade
);
comment on table public.user_expertise is
'The topics that users know about: at most 50 each, as public as the profile. To rename a topic, delete it and insert
another.';
comment on column public.user_expertise.topic is 'Lower case, single spaces: `wood firing`.';
comment on column public.user_expertise.is_public is 'Whether the profile is public; the database keeps it.';
comment on constraint user_expertise_pkey on public.user_expertise is 'The user already has this topic.';
comment on constraint user_expertise_topic_check on public.user_expertise is
'A topic is one line of 2 to 60 characters.';
comment on constraint user_expertise_user_id_fkey on public.user_expertise is 'The user has no profile.';
alter table public.user_expertise enable row level security;
revoke all on public.user_expertise from anon, authenticated, service_role;
create index user_expertise_user_id_is_public_idx on public.user_expertise (user_id, is_public);
comment on index public.user_expertise_user_id_is_public_idx is 'The foreign key';
create index user_expertise_topic_idx on public.user_expertise (topic, user_id);
comment on index public.user_expertise_topic_idx is 'Users who know about a topic: topic=eq.';
create unique index user_expertise_topic_key on public.user_expertise (user_id, private.fold_text(topic));
comment on index public.user_expertise_topic_key is 'A user has a topic once, in whatever spelling';

create function private.tg_user_expertise__tidy() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.topic := lower(btrim(
        regexp_replace(normalize(new.topic, nfkc), '\s+', ' ', 'g')
    ) collate "pg_catalog"."pg_c_utf8");
    return new;
end
$$;
comment on function private.tg_user_expertise__tidy() is
'Before insert: converts the topic to lower case and single spaces, so that each topic has one spelling.';
create trigger _100_copy_is_public before insert on public.user_expertise
for each row execute function private.tg__copy_is_public();
create trigger _100_tidy before insert on public.user_expertise
for each row execute function private.tg_user_expertise__tidy();
create trigger _300_check_limit after insert on public.user_expertise
referencing new table as inserted
for each statement execute function private.tg__check_limit(50);

create table public.user_settings (
    user_id uuid constraint user_settings_pkey primary key
    constraint user_settings_user_id_fkey references public.profiles (id) on delete cascade,
    locale text not null default 'en'
    constraint user_settings_locale_check check (
        locale ~ '^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?$'
    ),
    time_zone text not null default 'UTC',
    theme text not null default 'system'
    constraint user_settings_theme_check check (theme in ('system', 'light', 'dark')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table public.user_settings is
'Preferences for the user interface. One row for each user, created with the profile; only the user reads it.';
comment on column public.user_settings.locale is
'The language of texts as a BCP 47 tag of language, script and region: `pt-BR`, `zh-Hant`.';
comment on column public.user_settings.time_zone is 'The time zone of shown times, an IANA name: `Europe/Lisbon`.';
comment on column public.user_settings.theme is 'system, light or dark.';
comment on constraint user_settings_locale_check on public.user_settings is
'A locale is a BCP 47 tag such as pt-BR or zh-Hant.';
comment on constraint user_settings_theme_check on public.user_settings is 'A theme is system, light or dark.';
alter table public.user_settings enable row level security;
revoke all on public.user_settings from anon, authenticated, service_role;
create trigger _200_set_updated_at before update on public.user_settings
for each row execute function private.tg__set_updated_at();

create trigger _100_check_time_zone before update of time_zone on public.user_settings
for each row when (new.time_zone is distinct from old.time_zone)
execute function private.tg__check_time_zone();

create table public.user_stats (
    user_id uuid constraint user_stats_pkey primary key,
    is_public boolean not null,
    follower_count integer not null default 0,
    following_count integer not null default 0,
    verified_qualification_count integer not null default 0,
    constraint user_stats_counts_check check (
        least(follower_count, following_count, verified_qualification_count) >= 0
    ),
    constraint user_stats_user_id_fkey foreign key (user_id, is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade,
    -- With it PostgREST embeds one object in a profile, not a list.
    constraint user_stats_user_id_is_public_key unique (user_id, is_public)
);
comment on table public.user_stats is
'Counts for each user, as public as the profile; one row a user, created with the profile. Triggers of the counted
tables keep them. Each domain adds its own columns, and a function that recounts them.';
comment on column public.user_stats.is_public is 'Whether the profile is public; the database keeps it.';
comment on column public.user_stats.follower_count is 'How many users follow this user.';
comment on column public.user_stats.following_count is 'How many users this user follows.';
comment on column public.user_stats.verified_qualification_count is
'How many qualifications of the user moderators have verified.';
alter table public.user_stats enable row level security;
revoke all on public.user_stats from anon, authenticated, service_role;
create trigger _100_copy_is_public before insert on public.user_stats
for each row execute function private.tg__copy_is_public();

create function private.lock_user_stats(p_user_ids uuid[]) returns void
language sql
security definer -- clients may not lock user_stats
set search_path = ''
as $$
    select from public.user_stats as s where s.user_id = any(p_user_ids) order by s.user_id for no key update
$$;
comment on function private.lock_user_stats(uuid[]) is
'Locks the rows of these users in the order of user_id. Functions that change the counts of several users call it first,
so that they do not deadlock.';

create function private.recount_user_stats(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_function name;
begin
    perform private.lock_user_stats(array[p_user_id]); -- before the functions below read what they count
    for v_function in select f.name from private.registered_functions('recount_user_stats') as f (name) loop
        execute format('select private.%I($1)', v_function) using p_user_id;
    end loop;
end
$$;
comment on function private.recount_user_stats(uuid) is
'Counts a user''s rows anew, by private.recount_user_stats__<what>(user_id uuid) of each domain. The result always
equals what the triggers keep. For courses that change hands, and for operators.';

create function private.recount_user_stats__qualifications(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.user_stats as s
    set verified_qualification_count = (
        select count(*) from public.user_qualifications as q where q.user_id = s.user_id and q.is_verified
    )
    where s.user_id = p_user_id
$$;
comment on function private.recount_user_stats__qualifications(uuid) is 'Counts verified qualifications.';

create function private.tg_user_qualifications__unverify() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.is_verified := false;
    new.verified_at := null;
    return new;
end
$$;
comment on function private.tg_user_qualifications__unverify() is
'Before a verified qualification changes: clears the verification.';
-- No column list: the trigger below sets the version in updates that do not name it.
create trigger _110_unverify before update on public.user_qualifications
for each row when (old.is_verified and old.content_version <> new.content_version)
execute function private.tg_user_qualifications__unverify();

create function private.tg_user_qualifications__set_version() returns trigger
language plpgsql
security definer -- clients may not execute the function that it calls
set search_path = ''
as $$
begin
    new.content_version := md5(jsonb_build_array(
        new.title, new.issuer, new.awarded_on, new.url, new.document_path,
        private.object_version('qualifications', new.document_path)
    )::text);
    return new;
end
$$;
comment on function private.tg_user_qualifications__set_version() is
'Before a qualification is written: names its content and that of the document.';
create trigger _105_set_version before insert or update
of title, issuer, awarded_on, url, document_path, content_version on public.user_qualifications
for each row execute function private.tg_user_qualifications__set_version();

create function private.tg_objects__follow_document() returns trigger
language plpgsql
security definer -- storage writes the object as its own role, which may not write qualifications
set search_path = ''
as $$
begin
    update public.user_qualifications as q
    set content_version = q.content_version -- a trigger computes it
    where q.document_path in (
        case when tg_op <> 'INSERT' and old.bucket_id = 'qualifications' then old.name end,
        case when tg_op <> 'DELETE' and new.bucket_id = 'qualifications' then new.name end
    );
    return null;
end
$$;
comment on function private.tg_objects__follow_document() is
'After a document is uploaded, replaced, moved or deleted: gives the qualifications that it proves another version,
which clears their verification.';
create trigger guildhall_follow_document after insert or update or delete on storage.objects
for each row execute function private.tg_objects__follow_document();

create function private.tg_user_qualifications__count() returns trigger
language plpgsql
security definer -- clients may not write user_stats
set search_path = ''
as $$
begin
    update public.user_stats as s
    set verified_qualification_count = s.verified_qualification_count
        + coalesce(new.is_verified::integer, 0) - coalesce(old.is_verified::integer, 0)
    where s.user_id = coalesce(new.user_id, old.user_id);
    return null;
end
$$;
comment on function private.tg_user_qualifications__count() is
'After a qualification is verified, unverified or deleted: counts the user''s verified ones.';
-- No column list, because the trigger above changes is_verified in updates that do not name it.
create trigger _300_count after update on public.user_qualifications
for each row when (old.is_verified <> new.is_verified) execute function private.tg_user_qualifications__count();
create trigger _300_count_deleted after delete on public.user_qualifications
for each row when (old.is_verified) execute function private.tg_user_qualifications__count();

create function private.verify_qualification(
    p_qualification_id uuid, p_is_verified boolean default true, p_content_version text default null
)
returns public.user_qualifications
language plpgsql
security definer -- clients may not write is_verified
set search_path = ''
as $$
declare
    v_caller uuid := private.require_role('moderator');
    v_before public.user_qualifications;
    v_after public.user_qualifications;
begin
    select q.* into v_before from public.user_qualifications as q where q.id = p_qualification_id for no key update;
    if not found then
        perform private.refuse('qualification_not_found');
    elsif v_before.user_id = v_caller then
        perform private.refuse('target_protected');
    end if;
    perform private.require_decision(p_is_verified);
    if p_is_verified and (
        p_content_version <> v_before.content_version
        or (p_content_version is null and private.object_version('qualifications', v_before.document_path) is not null)
    ) then
        perform private.refuse('qualification_changed');
    end if;
    update public.user_qualifications as q
    set is_verified = p_is_verified, verified_at = case when p_is_verified then now() end
    where q.id = p_qualification_id and q.is_verified <> p_is_verified
    returning q.* into v_after;
    if not found then
        return v_before;
    end if;
    perform private.audit(
        case when p_is_verified then 'qualification.verify' else 'qualification.unverify' end,
        'user_qualifications', p_qualification_id::text,
        to_jsonb(v_before), to_jsonb(v_after)
    );
    return v_after;
end
$$;
comment on function private.verify_qualification(uuid, boolean, text) is
'Marks a qualification as verified, or as not verified, and returns it. content_version is that of the qualification as
the moderator has read it with its document; it is required where there is a document. For moderators, except for their
own qualifications; the audit log records it. Raises role_required or target_protected (403), qualification_not_found
(404), qualification_changed (409), decision_missing (422).';

-- Documents that prove a qualification. Only their owner and moderators read them.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values (
    'qualifications', 'qualifications', false, 10 * 1024 * 1024,
    array['application/pdf', 'image/png', 'image/jpeg', 'image/webp']
)
on conflict (id) do update
    set
        public = excluded.public,
        file_size_limit = excluded.file_size_limit,
        allowed_mime_types = excluded.allowed_mime_types;

create function private.tg_user_qualifications__discard_document() returns trigger
language plpgsql
security definer -- clients may not discard files
set search_path = ''
as $$
begin
    perform private.discard_file('qualifications', old.document_path);
    return null;
end
$$;
comment on function private.tg_user_qualifications__discard_document() is
'After a qualification names another document or none, or is deleted: has the former document removed.';
create trigger _500_discard_document after update of document_path on public.user_qualifications
for each row when (old.document_path is distinct from new.document_path and old.document_path is not null)
execute function private.tg_user_qualifications__discard_document();
create trigger _500_discard_deleted_document after delete on public.user_qualifications
for each row when (old.document_path is not null)
execute function private.tg_user_qualifications__discard_document();

create function private.file_use__qualifications(p_bucket_id text, p_name text) returns boolean
language sql
stable
set search_path = ''
as $$
    select p_bucket_id = 'qualifications' and exists (
        select from public.user_qualifications as q where q.document_path = p_name
    )
$$;
comment on function private.file_use__qualifications(text, text) is
'Whether the file is the document of a qualification.';

create function private.tg_profiles__create_details() returns trigger
language plpgsql
security definer -- clients may not create these rows
set search_path = ''
as $$
begin
    insert into public.user_settings (user_id) values (new.id);
    insert into public.user_stats (user_id) values (new.id);
    return null;
end
$$;
comment on function private.tg_profiles__create_details() is
'After a profile is created: creates its settings and statistics.';
create trigger _300_create_details after insert on public.profiles
for each row execute function private.tg_profiles__create_details();

create function private.account_ended__210_profile_details(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    delete from public.user_qualifications as q where q.user_id = p_user_id;
    delete from public.user_expertise as e where e.user_id = p_user_id;
    delete from public.user_settings as s where s.user_id = p_user_id;
$$;
comment on function private.account_ended__210_profile_details(uuid) is
'Deletes qualifications, expertise and settings. The statistics stay, hidden.';
