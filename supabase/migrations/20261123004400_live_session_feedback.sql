-- Live: what student and host of a session say about each other, the ratings of hosts, and statistics of sessions.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'feedback_closed', 409,
    'Feedback is for completed sessions, within 14 days of their end.',
    'Read status and ends_at of the session.',
    null
),
('feedback_given', 409, 'You have given feedback on this session.', 'Read session_feedback.', null);

create table public.session_feedback (
    id uuid not null default gen_random_uuid() constraint session_feedback_pkey primary key,
    session_id uuid not null
    constraint session_feedback_session_id_fkey references public.sessions (id) on delete cascade,
    course_id uuid
    constraint session_feedback_course_id_fkey references public.courses (id) on delete restrict,
    author_id uuid not null
    constraint session_feedback_author_id_fkey references public.profiles (id) on delete restrict,
    subject_id uuid not null
    constraint session_feedback_subject_id_fkey references public.profiles (id) on delete restrict,
    is_about_host boolean not null,
    rating smallint not null constraint session_feedback_rating_check check (rating between 1 and 5),
    comment text constraint session_feedback_comment_check
    check (private.is_visible(comment) and char_length(comment) <= 2000),
    created_at timestamptz not null default now(),
    constraint session_feedback_session_id_author_id_key unique (session_id, author_id),
    constraint session_feedback_subject_check check (author_id <> subject_id)
);
comment on table public.session_feedback is
'Feedback on completed sessions: one a session and person, of the student about the host and of the host about the
student. Both people, the creator of the course and moderators read it. give_session_feedback writes it.';
comment on column public.session_feedback.course_id is 'The course of the session, or null.';
comment on column public.session_feedback.subject_id is 'The other person of the session.';
comment on column public.session_feedback.is_about_host is
'Whether the student wrote it about the host: then it counts in the rating of the host in user_stats.';
comment on column public.session_feedback.rating is 'From 1 to 5.';
comment on column public.session_feedback.comment is 'What the author says about the other person, or null.';
comment on constraint session_feedback_course_id_fkey on public.session_feedback is
'A course with feedback on its sessions cannot be deleted; delete_course takes it out of the catalogue.';
comment on constraint session_feedback_rating_check on public.session_feedback is 'A rating is from 1 to 5.';
comment on constraint session_feedback_comment_check on public.session_feedback is
'A comment has from 1 to 2,000 characters.';
alter table public.session_feedback enable row level security;
revoke all on public.session_feedback from anon, authenticated, service_role;
create index session_feedback_course_id_idx on public.session_feedback (course_id, created_at desc);
comment on index public.session_feedback_course_id_idx is
'The feedback of a course: course_id=eq.&order=created_at.desc, and the policies';
create index session_feedback_author_id_idx on public.session_feedback (author_id);
comment on index public.session_feedback_author_id_idx is 'What a person wrote: author_id=eq., and the policies';
create index session_feedback_subject_id_idx on public.session_feedback (subject_id, created_at desc);
comment on index public.session_feedback_subject_id_idx is
'The feedback about a person: subject_id=eq.&order=created_at.desc, the policies and private.recount_user_stats';

alter table public.user_stats
add column rating_sum integer not null default 0,
add column rating_count integer not null default 0
constraint user_stats_rating_count_check check (rating_count >= 0),
add column rating_average numeric(3, 2) generated always as (
    rating_sum::numeric / nullif(rating_count, 0)
) stored;
comment on column public.user_stats.rating_sum is 'The sum of the ratings that students gave the user as a host.';
comment on column public.user_stats.rating_count is 'How many times students rated the user as a host.';
comment on column public.user_stats.rating_average is
'The average rating of the user as a host of sessions; null without any.';

create function private.recount_user_stats__session_ratings(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.user_stats as s
    set rating_sum = r.total, rating_count = r.number
    from (
        select coalesce(sum(f.rating), 0) as total, count(*) as number
        from public.session_feedback as f
        where f.subject_id = p_user_id and f.is_about_host
    ) as r
    where s.user_id = p_user_id
$$;
comment on function private.recount_user_stats__session_ratings(uuid) is 'Counts the ratings of the user as a host.';

create function private.tg_session_feedback__count() returns trigger
language plpgsql
security definer -- clients may not write counts
set search_path = ''
as $$
begin
    perform private.lock_user_stats(array[new.subject_id]);
    update public.user_stats as s
    set rating_sum = s.rating_sum + new.rating, rating_count = s.rating_count + 1
    where s.user_id = new.subject_id;
    return null;
end
$$;
comment on function private.tg_session_feedback__count() is
'After a student rated a host, which is final: counts the rating in user_stats.';
create trigger _300_count after insert on public.session_feedback
for each row when (new.is_about_host) execute function private.tg_session_feedback__count();

create function private.give_session_feedback(p_session_id uuid, p_rating smallint, p_comment text default null)
returns public.session_feedback
language plpgsql
security definer -- clients may not write feedback
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_session public.sessions;
    v_feedback public.session_feedback;
begin
    select s.* into v_session from public.sessions as s
    where s.id = p_session_id and v_caller in (s.student_id, s.host_id);
    if not found then
        perform private.refuse('session_not_found');
    elsif v_session.status <> 'completed' or v_session.ends_at < now() - interval '14 days' then
        perform private.refuse('feedback_closed');
    end if;
    insert into public.session_feedback as f (
        session_id, course_id, author_id, subject_id, is_about_host, rating, comment
    )
    values (
        v_session.id, v_session.course_id, v_caller,
        case v_caller when v_session.student_id then v_session.host_id else v_session.student_id end,
        v_caller = v_session.student_id, p_rating, p_comment
    )
    on conflict on constraint session_feedback_session_id_author_id_key do nothing
    returning f.* into v_feedback;
    if not found then
        perform private.refuse('feedback_given');
    end if;
    return v_feedback;
end
$$;
comment on function private.give_session_feedback(uuid, smallint, text) is
'Rates the other person of a completed session from 1 to 5, once and within 14 days of its end, and returns the
feedback. For its student and its host. Raises session_not_found (404), feedback_closed or feedback_given (409).';

create function private.session_stats(
    p_creator_id uuid default null, p_course_id uuid default null, p_from timestamptz default null,
    p_to timestamptz default null
)
returns jsonb
language plpgsql
stable
security definer -- counts without the policy of each row
set search_path = ''
as $$
declare
    v_creator_id uuid := p_creator_id;
begin
    if not (select private.has_role('admin')) then
        perform private.require_role('teacher');
        if p_creator_id <> (select auth.uid()) then
            perform private.refuse('role_required', 'admin');
        end if;
        v_creator_id := (select auth.uid());
    end if;
    return (
        with
        found as materialized (
            select s.id, s.host_id, s.student_id, s.status, s.starts_at, s.ends_at
            from public.sessions as s
            left join public.courses as c on c.id = s.course_id
            where (v_creator_id is null or coalesce(c.creator_id, s.host_id) = v_creator_id)
                and (p_course_id is null or s.course_id = p_course_id)
                and (p_from is null or s.starts_at >= p_from)
                and (p_to is null or s.starts_at < p_to)
        ),
        ratings as (
            select f.rating from public.session_feedback as f join found as s on s.id = f.session_id
            where f.is_about_host
        )
        select jsonb_build_object(
            'session_count', count(*),
            'scheduled_count', count(*) filter (where s.status = 'scheduled'),
            'completed_count', count(*) filter (where s.status = 'completed'),
            'missed_count', count(*) filter (where s.status = 'missed'),
            'host_missed_count', count(*) filter (where s.status = 'host_missed'),
            'cancelled_count', count(*) filter (where s.status = 'cancelled'),
            'completed_minutes', coalesce(
                round(extract(epoch from sum(s.ends_at - s.starts_at) filter (where s.status = 'completed')) / 60), 0
            ),
            'student_count', count(distinct s.student_id),
            'host_count', count(distinct s.host_id),
            'rating_count', (select count(*) from ratings),
            'rating_average', (select round(avg(r.rating), 2) from ratings as r),
            'low_rating_count', (select count(*) from ratings as r where r.rating <= 2)
        )
        from found as s
    );
end
$$;
comment on function private.session_stats(uuid, uuid, timestamptz, timestamptz) is
'Counts the sessions that begin from p_from and before p_to, by status, and the ratings of their hosts: those of the
caller''s courses, or for admins those of a creator or of all. A rating of 1 or 2 is low. Raises role_required (403).';
