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
    'host_busy', 409,
    'You have another session at that time.',
    'Choose another time, or cancel the other session.',
    null
),
(
    'host_required', 403,
    'Only the host of the session can do this.',
    'Ask the host.',
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

create type public.session_status as enum ('scheduled', 'completed', 'missed', 'cancelled');
comment on type public.session_status is
'scheduled: it will take place. completed: it took place. missed: the student did not come. cancelled: it will not take
place.';

create table public.sessions (
    id uuid not null default gen_random_uuid() constraint sessions_pkey primary key,
    course_id uuid not null constraint sessions_course_id_fkey references public.courses (id) on delete restrict,
    enrolment_id uuid not null,
    student_id uuid not null constraint sessions_student_id_fkey references public.profiles (id) on delete restrict,
    host_id uuid not null constraint sessions_host_id_fkey references public.profiles (id) on delete restrict,
    commitment_id uuid not null constraint sessions_commitment_id_key unique
    constraint sessions_commitment_id_fkey references private.commitments (id) on delete restrict,
    topic text constraint sessions_topic_check check (private.is_line(topic, 200)),
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
'Sessions of a host with one student. The student, the host, the creator of the course and moderators read them.
schedule_session, cancel_session and complete_session write them.';
comment on column public.sessions.host_id is
'The host: the student-teacher of the enrolment, or the creator of the course.';
comment on column public.sessions.commitment_id is 'The commitment that keeps the time of the host.';
comment on column public.sessions.topic is 'What it is about.';
comment on column public.sessions.starts_at is 'When it begins.';
comment on column public.sessions.ends_at is 'When it ends, 10 minutes to 8 hours after starts_at.';
comment on column public.sessions.time_zone is 'The IANA time zone in which the people agreed on the time.';
comment on column public.sessions.cancellation_reason is
'Why it was cancelled, in the words of the person who cancelled it.';
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
            'course_title', c.title,
            'other_name', o.display_name,
            'local_time', to_char(p_session.starts_at at time zone s.time_zone, 'FMDD Mon YYYY, HH24:MI'),
            'time_zone', s.time_zone
        ) || p_details,
        p_template || ':' || p_session.id || ':' || p_recipient_id
    )
    from public.courses as c
    join public.user_settings as s on s.user_id = p_recipient_id
    join public.profiles as o
        on o.id = case p_recipient_id when p_session.host_id then p_session.student_id else p_session.host_id end
    where c.id = p_session.course_id
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
    begin
        insert into private.commitments (host_id, busy)
        values (v_caller, tstzrange(p_starts_at, p_starts_at + make_interval(mins => p_duration_minutes)))
        returning id into v_commitment_id;
    exception when exclusion_violation then
        perform private.refuse('host_busy');
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
    set status = 'cancelled', cancellation_reason = p_reason
    where s.id = v_session.id
    returning s.* into v_session;
    update private.commitments as c set is_live = false where c.id = v_session.commitment_id;
    perform private.mail_session_party(
        v_session, 'session_cancelled', r.id, jsonb_build_object('reason', v_session.cancellation_reason)
    )
    from unnest(array[v_session.student_id, v_session.host_id]) as r (id)
    where r.id <> (select auth.uid());
    return v_session;
end
$$;
comment on function private.cancel_session(uuid, text) is
'Cancels a scheduled session, mails the other people of it, and returns it; a cancelled one stays as it is. For its
student, its host, the creator of the course and admins. Raises session_not_found (404), illegal_transition (409: it is
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
        where s.id = any(p_session_ids) and s.status = 'scheduled' and s.ends_at > now()
        order by s.id for no key update
    loop
        update public.sessions as s set status = 'cancelled' where s.id = v_session.id;
        update private.commitments as c set is_live = false where c.id = v_session.commitment_id;
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
                join public.courses as c on c.id = s.course_id and c.creator_id = s.host_id
                where s.host_id = p_user_id
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
            e.student_name,
            s.host_id,
            h.display_name as host_name,
            s.topic,
            s.starts_at,
            s.ends_at,
            s.time_zone
        from public.sessions as s
        join public.courses as c on c.id = s.course_id
        join public.enrolments as e on e.id = s.enrolment_id
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
