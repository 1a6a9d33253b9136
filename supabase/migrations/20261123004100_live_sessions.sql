-- Live: sessions of one host with one student of a course, at an agreed time.

create type public.session_status as enum ('scheduled', 'completed', 'missed', 'cancelled');
comment on type public.session_status is
'scheduled: agreed. completed: held. missed: the student did not come. cancelled: called off.';

create table public.sessions (
    id uuid not null default gen_random_uuid() constraint sessions_pkey primary key,
    course_id uuid not null constraint sessions_course_id_fkey references public.courses (id) on delete restrict,
    enrolment_id uuid not null,
    student_id uuid not null constraint sessions_student_id_fkey references public.profiles (id) on delete restrict,
    host_id uuid not null constraint sessions_host_id_fkey references public.profiles (id) on delete restrict,
    commitment_id uuid not null constraint sessions_commitment_id_key unique
    constraint sessions_commitment_id_fkey references private.commitments (id) on delete restrict,
    topic text constraint sessions_topic_check check (char_length(topic) <= 200),
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    time_zone text not null,
    status public.session_status not null default 'scheduled',
    cancellation_reason text
    constraint sessions_cancellation_reason_check check (char_length(cancellation_reason) <= 500),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint sessions_enrolment_id_fkey foreign key (enrolment_id, course_id, student_id)
    references public.enrolments (id, course_id, student_id) on delete restrict,
    constraint sessions_duration_check
    check (ends_at - starts_at between interval '10 minutes' and interval '8 hours'),
    constraint sessions_reason_only_cancelled_check check (status = 'cancelled' or cancellation_reason is null)
);
comment on table public.sessions is
'Lessons in person, of a host with one student: the student, the host and the course''s creator read them. Written by
schedule_session, cancel_session and complete_session only.';
comment on column public.sessions.host_id is 'Who holds it: the student-teacher of the enrolment, or the creator.';
comment on column public.sessions.commitment_id is 'What keeps the host''s time for it.';
comment on column public.sessions.topic is 'What it is about.';
comment on column public.sessions.starts_at is 'When it begins, an instant.';
comment on column public.sessions.ends_at is 'When it ends; 10 minutes to 8 hours later.';
comment on column public.sessions.time_zone is 'The IANA time zone in which the time was agreed.';
comment on column public.sessions.cancellation_reason is 'Why it was called off, in the words of who did.';
alter table public.sessions enable row level security;
revoke all on public.sessions from anon, authenticated, service_role;
create index sessions_host_id_idx on public.sessions (host_id, starts_at desc);
comment on index public.sessions_host_id_idx is 'What one teaches: host_id=eq.&order=starts_at.desc, and the policies';
create index sessions_student_id_idx on public.sessions (student_id, starts_at desc);
comment on index public.sessions_student_id_idx is
'What one attends: student_id=eq.&order=starts_at.desc, and the policies';
create index sessions_course_id_idx on public.sessions (course_id, starts_at desc);
comment on index public.sessions_course_id_idx is
'A course''s sessions: course_id=eq.&order=starts_at.desc, and the policies';
create index sessions_enrolment_id_course_id_student_id_idx
on public.sessions (enrolment_id, course_id, student_id);
comment on index public.sessions_enrolment_id_course_id_student_id_idx is
'An enrolment''s sessions: enrolment_id=eq., and the foreign key';
create trigger _200_set_updated_at before update on public.sessions
for each row execute function private.tg__set_updated_at();
create trigger _100_check_time_zone before insert on public.sessions
for each row execute function private.tg__check_time_zone();

insert into private.status_transitions (table_name, from_status, to_status)
values
('sessions', 'scheduled', 'completed'),
('sessions', 'scheduled', 'missed'),
('sessions', 'scheduled', 'cancelled');
create trigger _100_check_transition before update of status on public.sessions
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

insert into private.mail_templates (template, topic)
values ('session_scheduled', 'learning'), ('session_cancelled', 'learning');

create function private.tell_of_session(
    p_session public.sessions, p_template text, p_recipient_id uuid, p_words jsonb
)
returns void
language sql
security definer -- names and time zones of others; only the functions below call it
set search_path = ''
as $$
    select private.enqueue_mail(
        p_recipient_id,
        p_template,
        jsonb_build_object(
            'course_title', c.title,
            'other_name', o.display_name,
            'local_time', to_char(p_session.starts_at at time zone s.time_zone, 'FMDD Mon YYYY, HH24:MI'),
            'time_zone', s.time_zone
        ) || p_words,
        p_template || ':' || p_session.id || ':' || p_recipient_id
    )
    from public.courses as c
    join public.user_settings as s on s.user_id = p_recipient_id
    join public.profiles as o
        on o.id = case p_recipient_id when p_session.host_id then p_session.student_id else p_session.host_id end
    where c.id = p_session.course_id
$$;
comment on function private.tell_of_session(public.sessions, text, uuid, jsonb) is
'Enqueues the mail that tells one of the two of a session, in the recipient''s own time zone and with
these words more; once.';

create function private.schedule_session(
    p_enrolment_id uuid, p_starts_at timestamptz, p_duration_minutes integer, p_time_zone text, p_topic text
)
returns public.sessions
language plpgsql
security definer -- takes the host's time, and reads an enrolment that is not the caller's own
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_enrolment public.enrolments;
    v_commitment_id uuid;
    v_session public.sessions;
begin
    select e.* into v_enrolment from public.enrolments as e
    join public.courses as c on c.id = e.course_id
    left join public.student_teachers as t on t.id = e.student_teacher_id and t.status = 'approved'
    where e.id = p_enrolment_id
        and ((c.creator_id = v_caller and (select private.has_role('teacher'))) or t.user_id = v_caller)
    for key share of e;
    if not found then
        raise sqlstate 'PT404' using
            message = 'enrolment_not_found',
            detail = 'There is no such enrolment, or you do not teach it.',
            hint = 'Look it up among your students.';
    elsif v_enrolment.status = 'cancelled' or v_enrolment.access_until <= now() then
        raise sqlstate 'PT409' using
            message = 'enrolment_closed',
            detail = 'The student is no longer enrolled.',
            hint = 'Enrol the student again first.';
    elsif p_starts_at is null or p_starts_at not between now() and now() + interval '1 year' then
        raise sqlstate 'PT422' using
            message = 'session_time_invalid',
            detail = 'A session begins in the future, and within a year.',
            hint = 'Send starts_at as an instant, such as 2030-05-01T14:00:00Z.';
    elsif p_duration_minutes is null or p_duration_minutes not between 10 and 480 then
        raise sqlstate 'PT422' using
            message = 'session_time_invalid',
            detail = 'A session lasts 10 to 480 minutes.',
            hint = 'Send duration_minutes within these.';
    end if;
    begin
        insert into private.commitments (host_id, busy)
        values (v_caller, tstzrange(p_starts_at, p_starts_at + make_interval(mins => p_duration_minutes)))
        returning id into v_commitment_id;
    exception when exclusion_violation then
        raise sqlstate 'PT409' using
            message = 'host_busy',
            detail = 'You have another session at that time.',
            hint = 'Choose another time, or cancel the other session.';
    end;
    insert into public.sessions (
        course_id, enrolment_id, student_id, host_id, commitment_id, topic, starts_at, ends_at, time_zone
    )
    values (
        v_enrolment.course_id, v_enrolment.id, v_enrolment.student_id, v_caller, v_commitment_id, p_topic, p_starts_at,
        p_starts_at + make_interval(mins => p_duration_minutes),
        coalesce(p_time_zone, (select s.time_zone from public.user_settings as s where s.user_id = v_caller))
    )
    returning * into v_session;
    perform private.tell_of_session(
        v_session, 'session_scheduled', v_session.student_id, jsonb_build_object('topic', v_session.topic)
    );
    return v_session;
end
$$;
comment on function private.schedule_session(uuid, timestamptz, integer, text, text) is
'Schedules a session of the caller, who created the course or is the approved student-teacher of the enrolment, takes
the
caller''s time for it, and writes to the student. Raises PT404 enrolment_not_found, PT409 enrolment_closed or host_busy,
PT422 session_time_invalid or time_zone_invalid.';

create function public.schedule_session(
    enrolment_id uuid,
    starts_at timestamptz,
    duration_minutes integer default 60,
    time_zone text default null,
    topic text default null
)
returns public.sessions
language sql
set search_path = ''
as $$
    select private.schedule_session(
        schedule_session.enrolment_id, schedule_session.starts_at, schedule_session.duration_minutes,
        schedule_session.time_zone, schedule_session.topic
    )
$$;
comment on function public.schedule_session(uuid, timestamptz, integer, text, text) is
'Schedules a session with a student, and answers it; the student gets a mail. For the course''s creator and the
enrolment''s student-teacher. starts_at is an instant; time_zone (IANA) is that in which it was agreed, else the
caller''s
own. Raises enrolment_not_found (404), enrolment_closed or host_busy (409), session_time_invalid or time_zone_invalid
(422).';

create function private.require_session(p_session_id uuid) returns public.sessions
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
        raise sqlstate 'PT404' using
            message = 'session_not_found',
            detail = 'There is no such session, or you have no part in it.',
            hint = 'Read sessions again.';
    end if;
    return v_session;
end
$$;
comment on function private.require_session(uuid) is
'A session in which the caller has a part (student, host, creator of the course, admin), locked until the transaction
ends. Raises PT404 session_not_found.';

create function private.cancel_session(p_session_id uuid, p_reason text) returns public.sessions
language plpgsql
security definer -- sessions are no client's to write; require_session checks the caller
set search_path = ''
as $$
declare
    v_session public.sessions := private.require_session(p_session_id);
begin
    if v_session.status = 'cancelled' then
        return v_session;
    end if;
    update public.sessions as s
    set status = 'cancelled', cancellation_reason = p_reason
    where s.id = v_session.id
    returning s.* into v_session;
    update private.commitments as c set is_live = false where c.id = v_session.commitment_id;
    perform private.tell_of_session(
        v_session, 'session_cancelled', r.id, jsonb_build_object('reason', v_session.cancellation_reason)
    )
    from unnest(array[v_session.student_id, v_session.host_id]) as r (id)
    where r.id <> (select auth.uid());
    return v_session;
end
$$;
comment on function private.cancel_session(uuid, text) is
'Calls off a scheduled session, once, frees the host''s time, and writes to the others. Raises PT404 session_not_found,
and PT409 illegal_transition by a trigger.';

create function public.cancel_session(session_id uuid, reason text default null) returns public.sessions
language sql
set search_path = ''
as $$
    select private.cancel_session(cancel_session.session_id, cancel_session.reason)
$$;
comment on function public.cancel_session(uuid, text) is
'Calls off a scheduled session, and answers it; the others get a mail. For its student, its host, the course''s creator
and admins; once, however often it is called. Raises session_not_found (404), illegal_transition (409: it is over).';

create function private.complete_session(p_session_id uuid, p_was_attended boolean) returns public.sessions
language plpgsql
security definer -- sessions are no client's to write; only the host concludes, as checked below
set search_path = ''
as $$
declare
    v_session public.sessions := private.require_session(p_session_id);
begin
    if v_session.host_id <> (select auth.uid()) then
        raise sqlstate 'PT403' using
            message = 'host_required',
            detail = 'Only who holds a session says how it went.',
            hint = 'Ask the host.';
    elsif v_session.starts_at > now() then
        raise sqlstate 'PT409' using
            message = 'session_not_begun',
            detail = 'This session lies in the future.',
            hint = 'Cancel it, or wait until it begins.';
    end if;
    update public.sessions as s
    set status = case when p_was_attended is false then 'missed' else 'completed' end::public.session_status
    where s.id = v_session.id
    returning s.* into v_session;
    return v_session;
end
$$;
comment on function private.complete_session(uuid, boolean) is
'Says that a session was held, or that the student did not come. Raises PT403 host_required, PT404 session_not_found,
PT409 session_not_begun, and illegal_transition by a trigger.';

create function public.complete_session(session_id uuid, was_attended boolean default true) returns public.sessions
language sql
set search_path = ''
as $$
    select private.complete_session(complete_session.session_id, complete_session.was_attended)
$$;
comment on function public.complete_session(uuid, boolean) is
'Says that a session was held, or with was_attended false that the student did not come; answers it. For its host, once
it has begun. Raises host_required (403), session_not_found (404), session_not_begun or illegal_transition (409).';
