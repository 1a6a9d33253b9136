-- Live: introductory sessions, sessions that move, hosts who do not come, and credits for it.

insert into private.mail_templates (template, topic)
values ('session_requested', 'learning'), ('session_declined', 'learning'), ('session_moved', 'learning');

insert into private.errors (token, status, meaning, hint, detail)
values (
    'session_credited', 409,
    'A credit for this session exists.',
    'Read session_credits.',
    null
);

create table public.session_reschedules (
    id uuid not null default gen_random_uuid() constraint session_reschedules_pkey primary key,
    session_id uuid not null constraint session_reschedules_session_id_fkey
    references public.sessions (id) on delete cascade,
    moved_by uuid not null constraint session_reschedules_moved_by_fkey
    references public.profiles (id) on delete restrict,
    former_starts_at timestamptz not null,
    former_ends_at timestamptz not null,
    created_at timestamptz not null default now()
);
comment on table public.session_reschedules is
'The former times of sessions, one row each time that one was moved. Those who read the session read them;
reschedule_session writes them.';
comment on column public.session_reschedules.moved_by is 'Who moved it.';
comment on column public.session_reschedules.former_starts_at is 'When it was to begin before.';
comment on column public.session_reschedules.former_ends_at is 'When it was to end before.';
alter table public.session_reschedules enable row level security;
revoke all on public.session_reschedules from anon, authenticated, service_role;
create index session_reschedules_session_id_idx on public.session_reschedules (session_id, created_at);
comment on index public.session_reschedules_session_id_idx is
'The history of a session: session_id=eq.&order=created_at, and the foreign key';
create index session_reschedules_moved_by_idx on public.session_reschedules (moved_by);
comment on index public.session_reschedules_moved_by_idx is 'The foreign key';

create table public.session_credits (
    id uuid not null default gen_random_uuid() constraint session_credits_pkey primary key,
    session_id uuid not null constraint session_credits_session_id_key unique
    constraint session_credits_session_id_fkey references public.sessions (id) on delete restrict,
    student_id uuid not null constraint session_credits_student_id_fkey
    references public.profiles (id) on delete restrict,
    host_id uuid not null constraint session_credits_host_id_fkey
    references public.profiles (id) on delete restrict,
    minutes integer not null constraint session_credits_minutes_check check (minutes between 10 and 480),
    granted_by uuid not null constraint session_credits_granted_by_fkey
    references public.profiles (id) on delete restrict,
    reason text constraint session_credits_reason_check check (char_length(reason) <= 500),
    expires_at timestamptz not null default now() + interval '1 year',
    created_at timestamptz not null default now()
);
comment on table public.session_credits is
'Free sessions that students have in return for one that went wrong. The student, the host and moderators read them.
credit_session writes them.';
comment on column public.session_credits.session_id is 'The session that went wrong.';
comment on column public.session_credits.host_id is 'With which host.';
comment on column public.session_credits.minutes is 'How long the free session is, in minutes.';
comment on column public.session_credits.granted_by is 'The admin who granted it.';
comment on column public.session_credits.reason is 'Why, in the words of the admin; the student reads it.';
comment on column public.session_credits.expires_at is 'Until when the student can use it.';
alter table public.session_credits enable row level security;
revoke all on public.session_credits from anon, authenticated, service_role;
create index session_credits_student_id_idx on public.session_credits (student_id, created_at desc);
comment on index public.session_credits_student_id_idx is
'The credits of a student: student_id=eq.&order=created_at.desc, and the policies';
create index session_credits_host_id_idx on public.session_credits (host_id);
comment on index public.session_credits_host_id_idx is 'The credits with a host: host_id=eq., and the policies';
create index session_credits_granted_by_idx on public.session_credits (granted_by);
comment on index public.session_credits_granted_by_idx is 'The foreign key';

create function private.my_session_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of session_reschedules calls it
set search_path = ''
as $$
begin
    return array(
        select s.id from public.sessions as s
        where s.student_id = (select auth.uid()) or s.host_id = (select auth.uid())
            or s.course_id = any((select private.my_taught_course_ids())::uuid[])
    );
end
$$;
comment on function private.my_session_ids() is
'The sessions of the caller as student, host or creator of the course.';

create function private.request_intro_session(
    p_course_id uuid, p_starts_at timestamptz, p_host_id uuid default null, p_topic text default null,
    p_time_zone text default null
)
returns public.sessions
language plpgsql
security definer -- clients may not write sessions and commitments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_confirmed_address();
    v_course public.courses;
    v_host_id uuid;
    v_session public.sessions;
begin
    select c.* into v_course from public.courses as c
    where c.id = p_course_id and c.status = 'published' for share;
    if not found then
        perform private.refuse('course_not_found');
    end if;
    v_host_id := coalesce(p_host_id, v_course.creator_id);
    if v_host_id = v_caller or not private.is_account_active(v_host_id) or not (
        v_host_id = v_course.creator_id and private.can_teach(v_host_id)
        or exists (
            select from public.student_teachers as t
            where t.course_id = v_course.id and t.user_id = v_host_id and t.status = 'approved'
        )
    ) then
        perform private.refuse('host_not_found');
    elsif p_starts_at is null or p_starts_at not between now() and now() + interval '1 year' then
        perform private.refuse('session_time_invalid');
    elsif exists (
        select from private.open_enrolments as e where e.student_id = v_caller and e.course_id = v_course.id
    ) then
        perform private.refuse('intro_session_exists');
    end if;
    begin
        insert into public.sessions (
            kind, status, course_id, student_id, host_id, commitment_id, topic, starts_at, ends_at, time_zone
        )
        values (
            'intro', 'requested', v_course.id, v_caller, v_host_id,
            private.commit_time(v_host_id, p_starts_at, p_starts_at + interval '30 minutes'),
            p_topic, p_starts_at, p_starts_at + interval '30 minutes',
            coalesce(p_time_zone, (select s.time_zone from public.user_settings as s where s.user_id = v_caller))
        )
        returning * into v_session;
    exception when unique_violation then
        perform private.refuse('intro_session_exists');
    end;
    perform private.mail_session_party(
        v_session, 'session_requested', v_host_id, jsonb_build_object('topic', v_session.topic)
    );
    return v_session;
end
$$;
comment on function private.request_intro_session(uuid, timestamptz, uuid, text, text) is
'Asks a host of a published course for a free introductory session of 30 minutes before enrolling, and mails the host;
the time is kept until the host answers or it begins. host_id: by default the creator. One ahead for each host and
course. Raises email_not_confirmed (403), course_not_found, host_not_found (404), host_busy, intro_session_exists (409),
session_time_invalid or time_zone_invalid (422).';

create function private.book_session(
    p_enrolment_id uuid, p_starts_at timestamptz, p_duration_minutes integer default null,
    p_topic text default null, p_time_zone text default null, p_schedule_id uuid default null
)
returns public.sessions
language plpgsql
security definer -- clients may not write sessions and commitments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_confirmed_address();
    v_enrolment public.enrolments;
    v_host_id uuid;
    v_schedule public.schedules;
    v_ends_at timestamptz;
    v_session public.sessions;
begin
    -- The lock waits for a transaction that ends the place of the student.
    select e.* into v_enrolment from public.enrolments as e
    where e.id = p_enrolment_id and e.student_id = v_caller for share;
    if not found then
        perform private.refuse('enrolment_not_found');
    elsif not exists (select from private.open_enrolments as e where e.id = v_enrolment.id) then
        perform private.refuse('enrolment_closed');
    end if;
    v_host_id := coalesce(
        (
            select t.user_id from public.student_teachers as t
            where t.id = v_enrolment.student_teacher_id and t.status = 'approved'
        ),
        v_enrolment.creator_id
    );
    v_schedule := private.require_bookable(v_host_id, p_schedule_id, p_starts_at, p_duration_minutes);
    v_ends_at := p_starts_at + make_interval(mins => coalesce(p_duration_minutes, v_schedule.slot_minutes[1]));
    insert into public.sessions (
        status, course_id, enrolment_id, student_id, host_id, commitment_id, topic, starts_at, ends_at, time_zone,
        cancellation_notice_hours, late_cancellation_percent
    )
    values (
        case when v_schedule.requires_acceptance then 'requested' else 'scheduled' end::public.session_status,
        v_enrolment.course_id, v_enrolment.id, v_caller, v_host_id,
        private.commit_time(
            v_host_id, p_starts_at, v_ends_at,
            make_interval(mins => v_schedule.buffer_before_minutes),
            make_interval(mins => v_schedule.buffer_after_minutes)
        ),
        p_topic, p_starts_at, v_ends_at,
        coalesce(p_time_zone, (select s.time_zone from public.user_settings as s where s.user_id = v_caller)),
        v_schedule.cancellation_notice_hours, v_schedule.late_cancellation_percent
    )
    returning * into v_session;
    perform private.mail_session_party(
        v_session,
        case v_session.status when 'requested' then 'session_requested' else 'session_scheduled' end,
        v_host_id, jsonb_build_object('topic', v_session.topic)
    );
    return v_session;
end
$$;
comment on function private.book_session(uuid, timestamptz, integer, text, text, uuid) is
'Books a free slot with the host of an enrolment of the caller, who is its student-teacher or the creator of the course,
mails the host, and returns the session: scheduled, or requested where the host''s schedule asks for acceptance.
duration_minutes: one of the schedule''s lengths, by default the first; schedule_id: by default the host''s default
schedule. The session keeps the schedule''s terms of cancelling. For students with a confirmed address. Raises
email_not_confirmed (403), enrolment_not_found, schedule_not_found (404), enrolment_closed, slot_unavailable, host_busy
(409), slot_minutes_invalid or time_zone_invalid (422).';

create function private.accept_session(p_session_id uuid) returns public.sessions
language plpgsql
security definer -- clients may not write sessions
set search_path = ''
as $$
declare
    v_session public.sessions := private.require_own_session(p_session_id);
begin
    if v_session.host_id <> (select auth.uid()) then
        perform private.refuse('host_required');
    elsif v_session.status = 'requested' and v_session.starts_at <= now() then
        perform private.refuse('session_time_invalid');
    elsif v_session.status <> 'requested' then
        perform private.refuse('illegal_transition', 'sessions', v_session.status::text, 'scheduled');
    end if;
    update public.sessions as s set status = 'scheduled' where s.id = v_session.id returning s.* into v_session;
    perform private.mail_session_party(
        v_session, 'session_scheduled', v_session.student_id, jsonb_build_object('topic', v_session.topic)
    );
    return v_session;
end
$$;
comment on function private.accept_session(uuid) is
'Accepts a requested session, mails the student, and returns it. For its host. Raises host_required (403),
session_not_found (404), illegal_transition (409), session_time_invalid (422: it would have begun).';

create function private.decline_session(p_session_id uuid, p_reason text default null) returns public.sessions
language plpgsql
security definer -- clients may not write sessions
set search_path = ''
as $$
declare
    v_session public.sessions := private.require_own_session(p_session_id);
begin
    if v_session.host_id <> (select auth.uid()) then
        perform private.refuse('host_required');
    end if;
    update public.sessions as s set status = 'declined', cancellation_reason = p_reason
    where s.id = v_session.id returning s.* into v_session;
    perform private.release_time(v_session.commitment_id);
    perform private.mail_session_party(
        v_session, 'session_declined', v_session.student_id, jsonb_build_object('reason', p_reason)
    );
    return v_session;
end
$$;
comment on function private.decline_session(uuid, text) is
'Declines a requested session, mails the student, and returns it; the time is free again. For its host. Raises
host_required (403), session_not_found (404), illegal_transition (409).';

create function private.reschedule_session(p_session_id uuid, p_starts_at timestamptz) returns public.sessions
language plpgsql
security definer -- clients may not write sessions
set search_path = ''
as $$
declare
    v_session public.sessions := private.require_own_session(p_session_id);
begin
    if v_session.host_id <> (select auth.uid()) then
        perform private.refuse('host_required');
    elsif v_session.status <> 'scheduled' or v_session.starts_at <= now() then
        perform private.refuse('illegal_transition', 'sessions', v_session.status::text, 'scheduled');
    elsif p_starts_at is null or p_starts_at not between now() and now() + interval '1 year' then
        perform private.refuse('session_time_invalid');
    elsif p_starts_at = v_session.starts_at then
        return v_session;
    end if;
    perform private.release_time(v_session.commitment_id);
    insert into public.session_reschedules (session_id, moved_by, former_starts_at, former_ends_at)
    values (v_session.id, (select auth.uid()), v_session.starts_at, v_session.ends_at);
    update public.sessions as s
    set
        commitment_id = private.commit_time(
            s.host_id, p_starts_at, p_starts_at + (s.ends_at - s.starts_at)
        ),
        starts_at = p_starts_at,
        ends_at = p_starts_at + (s.ends_at - s.starts_at),
        ics_sequence = s.ics_sequence + 1
    where s.id = v_session.id
    returning s.* into v_session;
    perform private.mail_session_party(
        v_session, 'session_moved', v_session.student_id, jsonb_build_object('topic', v_session.topic)
    );
    return v_session;
end
$$;
comment on function private.reschedule_session(uuid, timestamptz) is
'Moves a scheduled session that has not begun, keeps its former time in session_reschedules, mails the student, and
returns it. For its host. Raises host_required (403), session_not_found (404), host_busy, illegal_transition (409),
session_time_invalid (422).';

create function private.report_host_missed(p_session_id uuid) returns public.sessions
language plpgsql
security definer -- clients may not write sessions
set search_path = ''
as $$
declare
    v_session public.sessions := private.require_own_session(p_session_id);
begin
    if v_session.student_id <> (select auth.uid()) then
        perform private.refuse('session_not_found');
    elsif v_session.starts_at > now() then
        perform private.refuse('session_not_begun');
    end if;
    update public.sessions as s set status = 'host_missed', returned_percent = 100
    where s.id = v_session.id returning s.* into v_session;
    perform private.session_money_due(v_session);
    return v_session;
end
$$;
comment on function private.report_host_missed(uuid) is
'Marks a session that has begun as one to which the host did not come, and returns it; its price is returned. For its
student. Raises session_not_found (404), session_not_begun or illegal_transition (409).';

create function private.credit_session(p_session_id uuid, p_reason text default null) returns public.session_credits
language plpgsql
security definer -- clients may not write credits
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_credit public.session_credits;
begin
    perform private.require_role('admin');
    insert into public.session_credits (session_id, student_id, host_id, minutes, granted_by, reason)
    select s.id, s.student_id, s.host_id, extract(epoch from s.ends_at - s.starts_at)::integer / 60, v_caller, p_reason
    from public.sessions as s where s.id = p_session_id
    on conflict (session_id) do nothing
    returning * into v_credit;
    if found then
        return v_credit;
    elsif exists (select from public.sessions as s where s.id = p_session_id) then
        perform private.refuse('session_credited');
    end if;
    perform private.refuse('session_not_found');
    return null;
end
$$;
comment on function private.credit_session(uuid, text) is
'Grants the student of a session a free one of the same length with the same host, within a year, and returns the
credit. For admins. Raises role_required (403), session_not_found (404), session_credited (409).';

create function private.lapse__session_requests() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_session public.sessions;
    v_count bigint := 0;
begin
    for v_session in
        select s.* from public.sessions as s
        where s.status = 'requested' and s.starts_at <= now()
        order by s.starts_at limit 50 for no key update skip locked
    loop
        update public.sessions as s set status = 'expired' where s.id = v_session.id;
        perform private.release_time(v_session.commitment_id);
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;
comment on function private.lapse__session_requests() is
'Ends requests that no host answered before the session would begin. Returns the number.';

create function private.lapse__finished_sessions() returns bigint
language sql
set search_path = ''
as $$
    with ended as (
        update public.sessions as s set status = 'completed'
        where s.id in (
            select e.id from public.sessions as e
            where e.status = 'scheduled' and e.ends_at < now() - interval '1 day'
            order by e.ends_at limit 50 for no key update skip locked
        )
        returning s.id
    )
    select count(*) from ended
$$;
comment on function private.lapse__finished_sessions() is
'Completes sessions that ended a day ago and of which nobody said otherwise. Returns the number.';
