-- Identity: what belongs to a profile. What others may see of it shares the profile's privacy by a copy of is_public,
-- which the foreign key keeps; the settings are the owner's alone.

create function private.tg__copy_is_public() returns trigger
language plpgsql
security definer -- a hidden profile's privacy is copied, too
set search_path = ''
as $$
begin
    -- The lock waits for one who is just changing it.
    select p.is_public into new.is_public from public.profiles as p where p.id = new.user_id for key share;
    -- Of a profile that is not there, as of a hidden one: what follows is refused alike.
    new.is_public := coalesce(new.is_public, false);
    return new;
end
$$;
comment on function private.tg__copy_is_public() is
'Before insert: the row is public if the profile of its user_id is. From then on the foreign key keeps it so.';

create function private.tg__check_limit() returns trigger
language plpgsql
security definer -- counts rows; the lock is on a row that the caller may not lock
set search_path = ''
as $$
declare
    v_too_many boolean;
begin
    -- One at a time for each owner, or two at once would each count without the other.
    perform from public.profiles as p
    where p.id in (select i.user_id from inserted as i)
    order by p.id
    for no key update;
    execute format(
        'select exists (select from %I.%I as t where t.user_id in (select i.user_id from inserted as i)
        group by t.user_id having count(*) > $1)', tg_table_schema, tg_table_name
    ) into v_too_many using tg_argv[0]::integer;
    if v_too_many then
        raise sqlstate 'PT409' using
            message = 'limit_reached',
            detail = format('A profile has at most %s of these.', tg_argv[0]),
            hint = 'Remove one first.';
    end if;
    return null;
end
$$;
comment on function private.tg__check_limit() is
'After insert: a user has at most as many rows of the table as the trigger''s argument says. Raises PT409
limit_reached.';

create table public.user_qualifications (
    id uuid not null default gen_random_uuid() constraint user_qualifications_pkey primary key,
    user_id uuid not null default auth.uid(),
    is_public boolean not null,
    title text not null constraint user_qualifications_title_check check (title ~ '\S' and char_length(title) <= 160),
    issuer text constraint user_qualifications_issuer_check check (char_length(issuer) <= 160),
    awarded_on date
    constraint user_qualifications_awarded_on_check check (awarded_on between '1900-01-01' and '2200-01-01'),
    url text constraint user_qualifications_url_check check (url ~ '^https?://[^\s<>"]+$' and char_length(url) <= 500),
    document_path text constraint user_qualifications_document_path_check
    check (document_path ~ ('^' || user_id::text || '/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.[a-z0-9]{1,8})?$')),
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
'What people say that they are qualified by, such as certificates from elsewhere: at most 50 each, as public as the
profile. Moderators verify them by the evidence: url or document. What was earned here is in certificates.';
comment on column public.user_qualifications.is_public is 'That of the profile; the database keeps it.';
comment on column public.user_qualifications.issuer is 'Who awarded it.';
comment on column public.user_qualifications.awarded_on is 'When it was awarded.';
comment on column public.user_qualifications.url is 'Where it can be looked up.';
comment on column public.user_qualifications.document_path is
'The document that shows it: its path in the bucket `qualifications`, the user''s id and a name that is a uuid,
so that it tells nothing. The user and moderators may fetch it.';
comment on column public.user_qualifications.is_verified is
'Whether a moderator found it true. Whatever is changed but the position, it is to be verified again.';
comment on column public.user_qualifications.verified_at is 'When it was verified; null where it is not.';
comment on column public.user_qualifications.position is 'Where it stands in the list, smallest first.';
alter table public.user_qualifications enable row level security;
revoke all on public.user_qualifications from anon, authenticated, service_role;
create index user_qualifications_user_id_is_public_position_idx
on public.user_qualifications (user_id, is_public, position);
comment on index public.user_qualifications_user_id_is_public_position_idx is
'A profile''s qualifications: user_id=eq.&order=position, the policies, and the foreign key';
create index user_qualifications_unverified_idx on public.user_qualifications (created_at, id)
where not is_verified and (url is not null or document_path is not null);
comment on index public.user_qualifications_unverified_idx is
'What moderators may verify: is_verified=is.false&or=(url.not.is.null,document_path.not.is.null)&order=created_at,id';
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
        char_length(topic) between 2 and 60 and topic !~ '[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]'
    ),
    is_public boolean not null,
    created_at timestamptz not null default now(),
    constraint user_expertise_pkey primary key (user_id, topic),
    constraint user_expertise_user_id_fkey foreign key (user_id, is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade
);
comment on table public.user_expertise is
'The topics that people know about: at most 50 each, as public as the profile. A topic is renamed by removing it and
adding another.';
comment on column public.user_expertise.topic is 'Lower case, single spaces: `wood firing`.';
comment on column public.user_expertise.is_public is 'That of the profile; the database keeps it.';
alter table public.user_expertise enable row level security;
revoke all on public.user_expertise from anon, authenticated, service_role;
create index user_expertise_user_id_is_public_idx on public.user_expertise (user_id, is_public);
comment on index public.user_expertise_user_id_is_public_idx is 'The foreign key';
create index user_expertise_topic_idx on public.user_expertise (topic, user_id);
comment on index public.user_expertise_topic_idx is 'Who knows about something: topic=eq.';

create function private.tg_user_expertise__tidy() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.topic := lower(regexp_replace(regexp_replace(
        normalize(new.topic, nfkc), '^\s+|\s+$', '', 'g'
    ), '\s+', ' ', 'g'));
    return new;
end
$$;
comment on function private.tg_user_expertise__tidy() is
'Before insert: lower case, and single spaces, so that one topic is written in one way.';
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
'How somebody wants to be shown things. One row a person, made with the profile; the person''s alone.';
comment on column public.user_settings.locale is
'The language to write in: language, script, region as BCP 47 writes them, such as `pt-BR` or `zh-Hant`.';
comment on column public.user_settings.time_zone is
'The time zone to show times in: an IANA name, such as `Europe/Lisbon`.';
comment on column public.user_settings.theme is 'system, light or dark.';
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
    published_course_count integer not null default 0,
    student_count integer not null default 0,
    enrolment_count integer not null default 0,
    completed_course_count integer not null default 0,
    certificate_count integer not null default 0,
    verified_qualification_count integer not null default 0,
    constraint user_stats_counts_check check (
        least(
            follower_count, following_count, published_course_count, student_count, enrolment_count,
            completed_course_count, certificate_count, verified_qualification_count
        ) >= 0
    ),
    constraint user_stats_user_id_fkey foreign key (user_id, is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade,
    -- PostgREST embeds one row of figures in a profile, not a list.
    constraint user_stats_user_id_is_public_key unique (user_id, is_public)
);
comment on table public.user_stats is
'Figures about each person, as public as the profile; one row a person, made with the profile. Kept by the triggers of
the tables that are counted: each locks the rows it changes in the order of user_id.';
comment on column public.user_stats.is_public is 'That of the profile; the database keeps it.';
comment on column public.user_stats.follower_count is 'How many follow the person.';
comment on column public.user_stats.following_count is 'How many the person follows.';
comment on column public.user_stats.published_course_count is 'How many courses of the person are published.';
comment on column public.user_stats.student_count is 'How many people take, or took, a course of the person.';
comment on column public.user_stats.enrolment_count is 'How many courses the person takes, or took.';
comment on column public.user_stats.completed_course_count is 'How many of these are completed.';
comment on column public.user_stats.certificate_count is 'How many certificates of the person stand.';
comment on column public.user_stats.verified_qualification_count is
'How many qualifications from elsewhere moderators have verified.';
alter table public.user_stats enable row level security;
revoke all on public.user_stats from anon, authenticated, service_role;
create trigger _100_copy_is_public before insert on public.user_stats
for each row execute function private.tg__copy_is_public();

create function private.lock_user_stats(p_user_ids uuid[]) returns void
language sql
security definer -- figures are no client's to lock
set search_path = ''
as $$
    select s.user_id from public.user_stats as s where s.user_id = any(p_user_ids) order by s.user_id for no key update
$$;
comment on function private.lock_user_stats(uuid[]) is
'Locks the figures of these people, always in the same order, so that two who count each other at once do not deadlock.
Whoever changes the figures of more than one person calls it first.';

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
'Before a verified qualification says something else: it is verified no more.';
create trigger _110_unverify before update of title, issuer, awarded_on, url, document_path
on public.user_qualifications for each row when (
    old.is_verified
    and (old.title, old.issuer, old.awarded_on, old.url, old.document_path)
    is distinct from (new.title, new.issuer, new.awarded_on, new.url, new.document_path)
) execute function private.tg_user_qualifications__unverify();

create function private.tg_user_qualifications__count() returns trigger
language plpgsql
security definer -- figures are no client's to write
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
'After a qualification is verified, is so no more, or goes: how many of the person''s are.';
-- No column list: the trigger above changes is_verified in updates that do not name it.
create trigger _300_count after update on public.user_qualifications
for each row when (old.is_verified <> new.is_verified) execute function private.tg_user_qualifications__count();
create trigger _300_count_deleted after delete on public.user_qualifications
for each row when (old.is_verified) execute function private.tg_user_qualifications__count();

create function private.verify_qualification(p_qualification_id uuid, p_is_verified boolean)
returns public.user_qualifications
language plpgsql
security definer -- verification is nobody's to claim; the checks below decide
set search_path = ''
as $$
declare
    v_caller uuid := private.require_role('moderator');
    v_before public.user_qualifications;
    v_after public.user_qualifications;
begin
    select q.* into v_before from public.user_qualifications as q where q.id = p_qualification_id for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'qualification_not_found',
            detail = 'There is no such qualification.',
            hint = 'Check the id.';
    elsif v_before.user_id = v_caller then
        raise sqlstate 'PT403' using
            message = 'target_protected',
            detail = 'Nobody verifies what he says of himself.',
            hint = 'Ask another moderator.';
    elsif p_is_verified is null then
        raise sqlstate 'PT422' using
            message = 'decision_missing',
            detail = 'A decision is yes or no.',
            hint = 'Send is_verified.';
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
comment on function private.verify_qualification(uuid, boolean) is
'Says that a qualification is true, or takes that back, and records it. Raises PT403 role_required or target_protected,
PT404 qualification_not_found, PT422 decision_missing.';

create function public.verify_qualification(qualification_id uuid, is_verified boolean default true)
returns public.user_qualifications
language sql
set search_path = ''
as $$
    select private.verify_qualification(
        verify_qualification.qualification_id, verify_qualification.is_verified
    )
$$;
comment on function public.verify_qualification(uuid, boolean) is
'Says that a moderator found a qualification true, or not any more; answers it. For moderators, though not about their
own. Raises role_required or target_protected (403), qualification_not_found (404), decision_missing (422).';

insert into private.rate_limited_functions (function_name, tier) values ('verify_qualification', 'strict');

-- Documents that show a qualification: for their owner and moderators.
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

create function private.tg_profiles__create_details() returns trigger
language plpgsql
security definer -- the rows that go with a profile are no client's to make
set search_path = ''
as $$
begin
    insert into public.user_settings (user_id) values (new.id);
    insert into public.user_stats (user_id) values (new.id);
    return null;
end
$$;
comment on function private.tg_profiles__create_details() is 'After a profile is made: its settings and figures.';
create trigger _300_create_details after insert on public.profiles
for each row execute function private.tg_profiles__create_details();

create function private.tg_users__bury_details() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    delete from public.user_qualifications as q where q.user_id = old.id;
    delete from public.user_expertise as e where e.user_id = old.id;
    delete from public.user_settings as s where s.user_id = old.id;
    return null;
end
$$;
comment on function private.tg_users__bury_details() is
'After a user is deleted in auth, softly or for good: what the person said and chose goes; the figures stay, hidden.';
create trigger guildhall_bury_details after delete on auth.users
for each row execute function private.tg_users__bury_details();
create trigger guildhall_bury_soft_deleted_details after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__bury_details();
