-- Live: sessions of a host with one student of a course.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'enrolment_closed', 409,
    'The student is no longer enrolled.',
    'Enrol the student again first.',
    null
),
(
    'host_required', 403,
    'Only the host of the session can do this.',
    'Ask the host.',
    null
),
(
    'intro_session_exists', 409,
    'You have an introductory session with this host ahead, or you are enrolled already.',
    'Wait for the answer of the host, or cancel it.',
    null
),
(
    'host_not_found', 404,
    'Nobody of that id hosts sessions of this course.',
    'Choose the creator or an approved student-teacher of the course.',
    null
),
(
    'session_not_begun', 409,
    'This session has not begun.',
    'Cancel it, or wait until it begins.',
    null
),
(
    'session_not_found', 404,
    'There is no such session, or you take no part in it.',
    'Read sessions again.',
    null
),
(
    'session_time_invalid', 422,
    'A session begins in the future, within a year, and lasts 10 to 480 minutes.',
    'Send starts_at as an instant, such as 2030-05-01T14:00:00Z, and duration_minutes.',
    null
);

create type public.session_status as enum (
    'held', 'requested', 'scheduled', 'completed', 'missed', 'host_missed', 'declined', 'cancelled', 'expired'
);
comment on type public.session_status is
'held: the student pays for it until held_until. requested: the student waits for the answer of the host. scheduled: it
will take place. completed: it took place. missed: the student did not come. host_missed: the host did not come.
declined: the host refused the request. cancelled: it will not take place. expired: nobody paid or answered in time.';

create type public.session_kind as enum ('course', 'intro', 'coaching');
comment on type public.session_kind is
'course: with a student of a course. intro: free, before the student enrols. coaching: bought by itself.';

create table public.sessions (
    id uuid not null default gen_random_uuid() constraint sessions_pkey primary key,
    kind public.session_kind not null default 'course',
    course_id uuid constraint sessions_course_id_fkey references public.courses (id) on delete restrict,
    enrolment_id uuid,
    student_id uuid not null constraint sessions_student_id_fkey references public.profiles (id) on delete restrict,
    host_id uuid not null constraint sessions_host_id_fkey references public.profiles (id) on delete restrict,
    commitment_id uuid not null constraint sessions_commitment_id_key unique
    constraint sessions_commitment_id_fkey references private.commitments (id) on delete restrict,
    topic text constraint sessions_topic_check check (private.is_line(topic, 200)),
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    time_zone text not null,
    status public.session_status not null default 'scheduled',
    held_until timestamptz,
    cancellation_notice_hours integer not null default 0
    constraint sessions_cancellation_notice_hours_check check (cancellation_notice_hours between 0 and 720),
    late_cancellation_percent integer not null default 0
    constraint sessions_late_cancellation_percent_check check (late_cancellation_percent between 0 and 100),
    returned_percent integer constraint sessions_returned_percent_check check (returned_percent between 0 and 100),
    ics_sequence integer not null default 0 constraint sessions_ics_sequence_check check (ics_sequence >= 0),
    cancellation_reason text
    constraint sessions_cancellation_reason_check check (char_length(cancellation_reason) <= 500),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint sessions_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete restrict,
    constraint sessions_duration_check
    check (ends_at - starts_at between interval '10 minutes' and interval '8 hours'),
    constraint sessions_reason_only_cancelled_check
    check (status in ('cancelled', 'declined') or cancellation_reason is null),
    constraint sessions_kind_check check (
        (kind = 'course') = (enrolment_id is not null) and (kind = 'coaching' or course_id is not null)
    ),
    constraint sessions_held_until_check check (status <> 'held' or held_until is not null)
);
comment on table public.sessions is
'Sessions of a host with one student. The student, the host, the creator of the course and moderators read them.
Functions write them.';
comment on column public.sessions.kind is 'What it is for: see the type.';
comment on column public.sessions.enrolment_id is 'The enrolment of a session of kind course, else null.';
comment on column public.sessions.host_id is
'The host: the student-teacher of the enrolment, or the creator of the course.';
comment on column public.sessions.commitment_id is 'The commitment that keeps the time of the host.';
comment on column public.sessions.topic is 'What it is about.';
comment on column public.sessions.starts_at is 'When it begins.';
comment on column public.sessions.ends_at is 'When it ends, 10 minutes to 8 hours after starts_at.';
comment on column public.sessions.time_zone is 'The IANA time zone in which the people agreed on the time.';
comment on column public.sessions.cancellation_reason is
'Why it was cancelled, in the words of the person who cancelled it.';
comment on column public.sessions.held_until is 'Until when the time is kept for a student who pays.';
comment on column public.sessions.cancellation_notice_hours is
'How many hours before it begins the student can cancel at no cost, as agreed at booking.';
comment on column public.sessions.late_cancellation_percent is
'The share of the price that a student loses who cancels later, as agreed at booking.';
comment on column public.sessions.returned_percent is
'The share of the price that is returned, once it was cancelled or the host missed it.';
comment on column public.sessions.ics_sequence is 'How often its time changed: the SEQUENCE in calendars.';
comment on constraint sessions_course_id_fkey on public.sessions is
'A course with sessions cannot be deleted; delete_course takes it out of the catalogue.';
alter table public.sessions enable row level security;
revoke all on public.sessions from anon, authenticated, service_role;
create index sessions_host_id_idx on public.sessions (host_id, starts_at desc);
comment on index public.sessions_host_id_idx is
'The sessions of a host: host_id=eq.&order=starts_at.desc, and the policies';
create index sessions_student_id_idx on public.sessions (student_id, starts_at desc);
comment on index public.sessions_student_id_idx is
'The sessions of a student: student_id=eq.&order=starts_at.desc, and the policies';
create index sessions_course_id_idx on public.sessions (course_id, starts_at desc);
comment on index public.sessions_course_id_idx is
'The sessions of a course: course_id=eq.&order=starts_at.desc, and the policies';
create index sessions_enrolment_id_course_id_student_id_idx
on public.sessions (enrolment_id, course_id, student_id);
comment on index public.sessions_enrolment_id_course_id_student_id_idx is
'The sessions of an enrolment: enrolment_id=eq., and the foreign key';
create unique index sessions_intro_ahead_key on public.sessions (student_id, host_id, course_id)
where kind = 'intro' and status in ('requested', 'scheduled');
comment on index public.sessions_intro_ahead_key is 'One introductory session ahead for each student, host and course';
create index sessions_ends_at_idx on public.sessions (ends_at) where status in ('held', 'requested', 'scheduled');
comment on index public.sessions_ends_at_idx is
'lapse__finished_sessions: where status = ''scheduled'' and ends_at < ? order by ends_at';
create index sessions_starts_at_idx on public.sessions (starts_at) where status = 'requested';
comment on index public.sessions_starts_at_idx is
'lapse__session_requests: where status = ''requested'' and starts_at <= ? order by starts_at';
create trigger _200_set_updated_at before update on public.sessions
for each row execute function private.tg__set_updated_at();
create trigger _100_check_time_zone before insert on public.sessions
for each row execute function private.tg__check_time_zone();

insert into private.status_transitions (table_name, from_status, to_status)
values
('sessions', 'held', 'scheduled'),
('sessions', 'held', 'cancelled'),
('sessions', 'held', 'expired'),
('sessions', 'requested', 'scheduled'),
('sessions', 'requested', 'declined'),
('sessions', 'requested', 'cancelled'),
('sessions', 'requested', 'expired'),
('sessions', 'scheduled', 'host_missed'),
('sessions', 'scheduled', 'completed'),
('sessions', 'scheduled', 'missed'),
('sessions', 'scheduled', 'cancelled');
create trigger _100_check_transition before update of status on public.sessions
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

insert into private.mail_templates (template, topic)
values ('session_scheduled', 'learning'), ('session_cancelled', 'learning');

create function private.mail_session_party(
    p_session public.sessions, p_template text, p_recipient_id uuid, p_details jsonb
)
returns void
language sql
security definer -- must read names and time zones that the caller may not read
set search_path = ''
as $$
    select private.enqueue_mail(
        p_recipient_id,
        p_template,
        jsonb_build_object(
            'course_title', coalesce(c.title, 'Coaching'),
            'other_name', o.display_name,
            'local_time', to_char(p_session.starts_at at time zone s.time_zone, 'FMDD Mon YYYY, HH24:MI'),
            'time_zone', s.time_zone
        ) || p_details,
        p_template || ':' || p_session.id || ':' || p_recipient_id
            || case when p_session.ics_sequence > 0 then ':' || p_session.ics_sequence else '' end
    )
    from public.user_settings as s
    join public.profiles as o
        on o.id = case p_recipient_id when p_session.host_id then p_session.student_id else p_session.host_id end
    left join public.courses as c on c.id = p_session.course_id
    where s.user_id = p_recipient_id
$$;
comment on function private.mail_session_party(public.sessions, text, uuid, jsonb) is
'Mails one of the two people of a session, with the time in their time zone and further details, once for each
template.';

create function private.schedule_session(
    p_enrolment_id uuid, p_starts_at timestamptz, p_duration_minutes integer default 60, p_time_zone text default null,
    p_topic text default null
)
returns public.sessions
language plpgsql
security definer -- clients may not write sessions and commitments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_enrolment public.enrolments;
    v_commitment_id uuid;
    v_session public.sessions;
begin
    -- The lock waits for a transaction that ends the place of the student or of the host.
    select e.* into v_enrolment from public.enrolments as e
    left join public.student_teachers as t on t.id = e.student_teacher_id and t.status = 'approved'
    where e.id = p_enrolment_id
        and ((e.creator_id = v_caller and (select private.has_role('teacher'))) or t.user_id = v_caller)
    for share of e;
    if not found then
        perform private.refuse('enrolment_not_found');
    elsif not exists (select from private.open_enrolments as e where e.id = v_enrolment.id) then
        perform private.refuse('enrolment_closed');
    elsif p_starts_at is null or p_starts_at not between now() and now() + interval '1 year' then
        perform private.refuse('session_time_invalid');
    elsif p_duration_minutes is null or p_duration_minutes not between 10 and 480 then
        perform private.refuse('session_time_invalid');
    end if;
    v_commitment_id := private.commit_time(
        v_caller, p_starts_at, p_starts_at + make_interval(mins => p_duration_minutes)
    );
    insert into public.sessions (
        course_id, enrolment_id, student_id, host_id, commitment_id, topic, starts_at, ends_at, time_zone
    )
    values (
        v_enrolment.course_id, v_enrolment.id, v_enrolment.student_id, v_caller, v_commitment_id, p_topic, p_starts_at,
        p_starts_at + make_interval(mins => p_duration_minutes),
        coalesce(p_time_zone, (select s.time_zone from public.user_settings as s where s.user_id = v_caller))
    )
    returning * into v_session;
    perform private.mail_session_party(
        v_session, 'session_scheduled', v_session.student_id, jsonb_build_object('topic', v_session.topic)
    );
    return v_session;
end
$$;
comment on function private.schedule_session(uuid, timestamptz, integer, text, text) is
'Schedules a session of the caller with a student, mails the student, and returns the session. starts_at: within a year;
duration_minutes: 10 to 480; time_zone: the IANA zone in which the people agreed, by default that of the caller. For the
creator of the course and the student-teacher of the enrolment. Raises enrolment_not_found (404), enrolment_closed or
host_busy (409), session_time_invalid or time_zone_invalid (422).';

create function private.require_own_session(p_session_id uuid) returns public.sessions
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_session public.sessions;
begin
    select s.* into v_session from public.sessions as s
    where s.id = p_session_id and (
            v_caller in (s.student_id, s.host_id)
            or s.course_id = any((select private.my_taught_course_ids())::uuid[])
            or (select private.has_role('admin'))
        )
    for no key update;
    if not found then
        perform private.refuse('session_not_found');
    end if;
    return v_session;
end
$$;
comment on function private.require_own_session(uuid) is
'Locks a session of the caller as its student, host or creator of the course, or any for an admin, until the transaction
ends, and returns it. Raises session_not_found (404).';

create function private.session_money_due(p_session public.sessions) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_function name;
begin
    for v_function in select f.name from private.registered_functions('session_money_due') as f (name) loop
        execute format('select private.%I($1, $2)', v_function) using p_session, p_session.returned_percent / 100.0;
    end loop;
end
$$;
comment on function private.session_money_due(public.sessions) is
'Calls the functions private.session_money_due__<what>(session public.sessions, fraction numeric) that domains
registered: this fraction of the price of the session is due back.';

create function private.returned_percent(p_session public.sessions) returns integer
language sql
stable
set search_path = ''
as $$
    select case
        when (select auth.uid()) = p_session.student_id and p_session.status = 'scheduled'
            and p_session.starts_at - make_interval(hours => p_session.cancellation_notice_hours) < now()
            then 100 - p_session.late_cancellation_percent
        else 100
    end
$$;
comment on function private.returned_percent(public.sessions) is
'The share of the price that is returned when the caller cancels now: all but for a student who is late.';

create function private.session_cancellation_terms(p_session_id uuid) returns jsonb
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_session public.sessions := private.require_own_session(p_session_id);
begin
    return jsonb_build_object(
        'can_cancel', v_session.status in ('held', 'requested', 'scheduled'),
        'deadline', v_session.starts_at - make_interval(hours => v_session.cancellation_notice_hours),
        'returned_percent', private.returned_percent(v_session)
    );
end
$$;
comment on function private.session_cancellation_terms(uuid) is
'What it costs the caller to cancel a session now: {can_cancel, deadline, returned_percent}. deadline is the instant
until which the student gets everything back; anybody else who cancels returns everything. Raises session_not_found
(404).';

create function private.cancel_session(p_session_id uuid, p_reason text default null) returns public.sessions
language plpgsql
security definer -- clients may not write sessions
set search_path = ''
as $$
declare
    v_session public.sessions := private.require_own_session(p_session_id);
begin
    if v_session.status = 'cancelled' then
        return v_session;
    end if;
    update public.sessions as s
    set status = 'cancelled', cancellation_reason = p_reason, returned_percent = private.returned_percent(v_session)
    where s.id = v_session.id
    returning s.* into v_session;
    perform private.release_time(v_session.commitment_id);
    perform private.session_money_due(v_session);
    perform private.mail_session_party(
        v_session, 'session_cancelled', r.id, jsonb_build_object('reason', v_session.cancellation_reason)
    )
    from unnest(array[v_session.student_id, v_session.host_id]) as r (id)
    where r.id <> (select auth.uid());
    return v_session;
end
$$;
comment on function private.cancel_session(uuid, text) is
'Cancels a session ahead at the terms of session_cancellation_terms, mails the other people of it, and returns it; a
cancelled one stays as it is. For its student, its host, the creator of the course and admins. Raises session_not_found (404), illegal_transition (409: it is
over).';

create function private.complete_session(p_session_id uuid, p_was_attended boolean default true) returns public.sessions
language plpgsql
security definer -- clients may not write sessions
set search_path = ''
as $$
declare
    v_session public.sessions := private.require_own_session(p_session_id);
begin
    if v_session.host_id <> (select auth.uid()) then
        perform private.refuse('host_required');
    elsif v_session.starts_at > now() then
        perform private.refuse('session_not_begun');
    end if;
    update public.sessions as s
    set status = case when p_was_attended is false then 'missed' else 'completed' end::public.session_status
    where s.id = v_session.id
    returning s.* into v_session;
    return v_session;
end
$$;
comment on function private.complete_session(uuid, boolean) is
'Completes a session that has begun, or with was_attended false marks it missed, and returns it. For its host. Raises
host_required (403), session_not_found (404), session_not_begun or illegal_transition (409).';

alter table public.user_stats
add column session_count integer not null default 0
constraint user_stats_session_count_check check (session_count >= 0);
comment on column public.user_stats.session_count is
'How many sessions the user has completed, as host and as student.';

create function private.recount_user_stats__sessions(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.user_stats as s
    set session_count = (
        select count(*) from public.sessions as e
        where p_user_id in (e.host_id, e.student_id) and e.status = 'completed'
    )
    where s.user_id = p_user_id
$$;
comment on function private.recount_user_stats__sessions(uuid) is 'Counts the completed sessions of the user.';

create function private.tg_sessions__count() returns trigger
language plpgsql
security definer -- clients may not write counts
set search_path = ''
as $$
begin
    perform private.lock_user_stats(array[new.host_id, new.student_id]);
    update public.user_stats as s set session_count = s.session_count + 1
    where s.user_id in (new.host_id, new.student_id);
    return null;
end
$$;
comment on function private.tg_sessions__count() is
'After a session is completed, which is final: counts it for the host and the student.';
create trigger _300_count after update of status on public.sessions
for each row when (new.status = 'completed' and old.status <> 'completed')
execute function private.tg_sessions__count();

create function private.cancel_sessions_ahead(p_session_ids uuid[], p_absent_id uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_session public.sessions;
begin
    for v_session in
        select s.* from public.sessions as s
        where s.id = any(p_session_ids) and s.status in ('held', 'requested', 'scheduled') and s.ends_at > now()
        order by s.id for no key update
    loop
        update public.sessions as s set status = 'cancelled', returned_percent = 100
        where s.id = v_session.id returning s.* into v_session;
        perform private.release_time(v_session.commitment_id);
        perform private.session_money_due(v_session);
        perform private.mail_session_party(
            v_session, 'session_cancelled', r.id, jsonb_build_object('reason', null)
        )
        from unnest(array[v_session.student_id, v_session.host_id]) as r (id)
        where r.id is distinct from p_absent_id;
    end loop;
end
$$;
comment on function private.cancel_sessions_ahead(uuid[], uuid) is
'Cancels those of these sessions that are not over, and mails both people but the one who is absent.';

create function private.account_stopped__400_sessions(p_user_id uuid, p_status public.account_status) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_status <> 'suspended' then
        perform private.cancel_sessions_ahead(
            array(select s.id from public.sessions as s where p_user_id in (s.host_id, s.student_id)), p_user_id
        );
    end if;
end
$$;
comment on function private.account_stopped__400_sessions(uuid, public.account_status) is
'Cancels the sessions of a user who is banned or deleted, and mails the other person.';

create function private.role_lost__400_sessions(p_user_id uuid, p_role public.app_role) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_role = 'teacher' then
        perform private.cancel_sessions_ahead(
            array(
                select s.id from public.sessions as s
                left join public.courses as c on c.id = s.course_id
                where s.host_id = p_user_id and (s.course_id is null or c.creator_id = s.host_id)
            ),
            null
        );
    end if;
end
$$;
comment on function private.role_lost__400_sessions(uuid, public.app_role) is
'Cancels the sessions that a former teacher would host as creator of a course, and mails both people.';

create function private.tg_student_teachers__cancel_sessions() returns trigger
language plpgsql
security definer -- clients may not write sessions
set search_path = ''
as $$
begin
    perform private.cancel_sessions_ahead(
        array(
            select s.id from public.sessions as s where s.host_id = new.user_id and s.course_id = new.course_id
        ),
        null
    );
    return null;
end
$$;
comment on function private.tg_student_teachers__cancel_sessions() is
'After a student-teacher withdrew or was revoked: cancels the sessions of the course that they would host, and mails
both people.';
create trigger _400_cancel_sessions after update of status on public.student_teachers
for each row when (old.status = 'approved' and new.status <> 'approved')
execute function private.tg_student_teachers__cancel_sessions();

create function private.tg_enrolments__cancel_sessions() returns trigger
language plpgsql
security definer -- clients may not write sessions
set search_path = ''
as $$
begin
    perform private.cancel_sessions_ahead(
        array(
            select s.id from public.sessions as s
            where s.enrolment_id = new.id
                and (
                    new.access <> 'open'
                    or (
                        old.student_teacher_id is distinct from new.student_teacher_id
                        and s.host_id = (
                            select t.user_id from public.student_teachers as t where t.id = old.student_teacher_id
                        )
                    )
                )
        ),
        null
    );
    return null;
end
$$;
comment on function private.tg_enrolments__cancel_sessions() is
'After an enrolment was cancelled or its access ended, by a refund or in time: cancels its sessions. After its
student-teacher changed: cancels those with the former one. Both people get a mail.';
create trigger _400_cancel_sessions
after update of status, access_until, access, student_teacher_id on public.enrolments
for each row when (
    (new.access <> 'open' and old.access = 'open')
    or old.student_teacher_id <> new.student_teacher_id
    or (old.student_teacher_id is not null and new.student_teacher_id is null)
)
execute function private.tg_enrolments__cancel_sessions();

create function private.dashboard__400_next_sessions(p_user_id uuid, p_role text) returns jsonb
language sql
stable
set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(n) order by n.starts_at, n.session_id), '[]')
    from (
        select
            s.id as session_id,
            s.course_id,
            c.title as course_title,
            s.student_id,
            p.display_name as student_name,
            s.host_id,
            h.display_name as host_name,
            s.topic,
            s.starts_at,
            s.ends_at,
            s.time_zone
        from public.sessions as s
        left join public.courses as c on c.id = s.course_id
        join public.profiles as p on p.id = s.student_id
        join public.profiles as h on h.id = s.host_id
        where s.status = 'scheduled' and s.ends_at > now()
            and case p_role
                when 'creator' then s.course_id = any(array(
                    select m.id from public.courses as m where m.creator_id = p_user_id and m.status <> 'deleted'
                ))
                else s.host_id = p_user_id
            end
        order by s.starts_at, s.id
        limit 10
    ) as n
$$;
comment on function private.dashboard__400_next_sessions(uuid, text) is
'The next 10 sessions: those of a creator''s courses, or those that a student-teacher hosts.';

create function private.tg_courses__cancel_sessions() returns trigger
language plpgsql
security definer -- clients may not write sessions
set search_path = ''
as $$
begin
    perform private.cancel_sessions_ahead(
        array(select s.id from public.sessions as s where s.course_id = new.id and s.host_id = old.creator_id),
        null
    );
    return null;
end
$$;
comment on function private.tg_courses__cancel_sessions() is
'After a course was transferred: cancels the sessions that its former creator would host, and mails both people.';
create trigger _400_cancel_sessions after update of creator_id on public.courses
for each row when (old.creator_id <> new.creator_id) execute function private.tg_courses__cancel_sessions();
