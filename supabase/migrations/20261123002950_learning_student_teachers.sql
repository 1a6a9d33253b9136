-- Learning: student-teachers. Who earned a course's certificate may ask its creator to help others through it.

create type public.student_teacher_status as enum ('pending', 'approved', 'rejected', 'withdrawn', 'revoked');
comment on type public.student_teacher_status is
'pending: waits for the creator. approved: helps students of the course. rejected: may apply again after 30 days.
withdrawn: thought better of it. revoked: lost it, by the creator''s decision or with the certificate.';

create table public.student_teachers (
    id uuid not null default gen_random_uuid() constraint student_teachers_pkey primary key,
    course_id uuid not null
    constraint student_teachers_course_id_fkey references public.courses (id) on delete restrict,
    user_id uuid not null,
    is_public boolean not null,
    status public.student_teacher_status not null default 'pending',
    statement text not null constraint student_teachers_statement_check
    check (statement ~ '\S' and char_length(statement) <= 4000),
    is_available boolean not null default true,
    max_students integer not null default 5
    constraint student_teachers_max_students_check check (max_students between 1 and 1000),
    student_count integer not null default 0,
    is_open boolean not null
    generated always as (status = 'approved' and is_available and student_count < max_students) stored,
    decided_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint student_teachers_user_id_fkey foreign key (user_id, is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade,
    constraint student_teachers_user_id_course_id_key unique (user_id, course_id),
    constraint student_teachers_id_course_id_key unique (id, course_id),
    constraint student_teachers_id_course_id_user_id_key unique (id, course_id, user_id),
    constraint student_teachers_student_count_check check (student_count between 0 and max_students),
    constraint student_teachers_decided_at_check
    check (decided_at is not null or status in ('pending', 'withdrawn'))
);
comment on table public.student_teachers is
'Who helps, helped or asks to help the students of a course: one row a person and course. Everybody reads those
approved of people with a public profile; the person reads his own, the creator those of his courses, a student the one
assigned. Written by functions, but for what the person sets himself; gone with the user.';
comment on column public.student_teachers.is_public is
'Whether the person''s profile is public; the database keeps it.';
comment on column public.student_teachers.status is 'Decided by the course''s creator; never written by a client.';
comment on column public.student_teachers.statement is
'Why, and how he helps, in his words; shown with him once approved.';
comment on column public.student_teachers.is_available is 'Whether he takes students now; his own switch.';
comment on column public.student_teachers.max_students is
'How many students he takes at a time; his own to set, though not below student_count.';
comment on column public.student_teachers.student_count is
'How many students whose enrolment is active are assigned to him; kept by a trigger.';
comment on column public.student_teachers.is_open is
'Whether he can be chosen now: approved, available, and with a place left.';
comment on column public.student_teachers.decided_at is 'When it was last approved, rejected or revoked.';
alter table public.student_teachers enable row level security;
revoke all on public.student_teachers from anon, authenticated, service_role;
create index student_teachers_user_id_is_public_idx on public.student_teachers (user_id, is_public);
comment on index public.student_teachers_user_id_is_public_idx is
'One''s own: user_id=eq., the policies and the foreign key';
create index student_teachers_course_id_idx on public.student_teachers (course_id, created_at);
comment on index public.student_teachers_course_id_idx is
'A course''s: course_id=eq.&order=created_at, the policies and the foreign key';
create index student_teachers_approved_idx on public.student_teachers (created_at, id) where status = 'approved';
comment on index public.student_teachers_approved_idx is
'All who may be chosen: status=eq.approved&order=created_at,id';

insert into private.status_transitions (table_name, from_status, to_status)
values
('student_teachers', 'pending', 'approved'),
('student_teachers', 'pending', 'rejected'),
('student_teachers', 'pending', 'withdrawn'),
('student_teachers', 'pending', 'revoked'),
('student_teachers', 'approved', 'withdrawn'),
('student_teachers', 'approved', 'revoked'),
('student_teachers', 'rejected', 'pending'),
('student_teachers', 'withdrawn', 'pending'),
('student_teachers', 'revoked', 'pending');
create trigger _100_check_transition before update of status on public.student_teachers
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();
create trigger _100_copy_is_public before insert on public.student_teachers
for each row execute function private.tg__copy_is_public();
create trigger _200_set_updated_at before update on public.student_teachers
for each row execute function private.tg__set_updated_at();

create table public.student_teacher_decisions (
    id uuid not null default gen_random_uuid() constraint student_teacher_decisions_pkey primary key,
    student_teacher_id uuid not null,
    course_id uuid not null,
    user_id uuid not null,
    outcome public.student_teacher_status not null
    constraint student_teacher_decisions_outcome_check check (outcome in ('approved', 'rejected', 'revoked')),
    note text constraint student_teacher_decisions_note_check check (char_length(note) <= 2000),
    decided_by uuid not null constraint student_teacher_decisions_decided_by_fkey
    references public.profiles (id) on delete restrict,
    created_at timestamptz not null default now(),
    constraint student_teacher_decisions_student_teacher_id_fkey
    foreign key (student_teacher_id, course_id, user_id)
    references public.student_teachers (id, course_id, user_id) on delete cascade
);
comment on table public.student_teacher_decisions is
'What was decided about student-teachers, and why: a row a decision. The person reads those about himself, the creator
those of his courses, moderators all. Written by functions only, and never changed.';
comment on column public.student_teacher_decisions.user_id is 'Whom it is about.';
comment on column public.student_teacher_decisions.outcome is 'What it made of him.';
comment on column public.student_teacher_decisions.note is 'What was said to it; the person reads it.';
comment on column public.student_teacher_decisions.decided_by is 'The creator or admin.';
alter table public.student_teacher_decisions enable row level security;
revoke all on public.student_teacher_decisions from anon, authenticated, service_role;
create index student_teacher_decisions_student_teacher_id_idx
on public.student_teacher_decisions (student_teacher_id, course_id, user_id);
comment on index public.student_teacher_decisions_student_teacher_id_idx is
'Those about one: student_teacher_id=eq., and the foreign key';
create index student_teacher_decisions_course_id_idx on public.student_teacher_decisions (course_id);
comment on index public.student_teacher_decisions_course_id_idx is 'The policies, for creators';
create index student_teacher_decisions_user_id_idx on public.student_teacher_decisions (user_id);
comment on index public.student_teacher_decisions_user_id_idx is 'Those about oneself: user_id=eq., and the policies';
create index student_teacher_decisions_decided_by_idx on public.student_teacher_decisions (decided_by);
comment on index public.student_teacher_decisions_decided_by_idx is 'The foreign key';

insert into private.mail_templates (template, topic)
values
('student_teacher_approved', 'learning'),
('student_teacher_rejected', 'learning'),
('student_teacher_revoked', 'learning');

create function private.my_student_teacher_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of student_teachers itself would ask
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(t.id), '{}') from public.student_teachers as t
        where t.user_id = (select auth.uid()) and t.status = 'approved'
    );
end
$$;
comment on function private.my_student_teacher_ids() is
'As what the caller is an approved student-teacher: one id a course. Policies call it as any((select
private.my_student_teacher_ids())::uuid[]).';

create function private.owns_course(p_course_id uuid) returns boolean
language plpgsql
stable
security definer -- asks of courses that the caller may not see
set search_path = ''
as $$
begin
    return exists (
        select from public.courses as c
        where c.id = p_course_id and (
                (c.creator_id = (select auth.uid()) and (select private.has_role('teacher')))
                or (select private.has_role('admin'))
            )
    );
end
$$;
comment on function private.owns_course(uuid) is
'Whether the caller created the course and is a teacher still, or is an admin: require_course_owner as a question, for
functions that are asked about something in a course and must not tell that it exists.';

create function private.apply_as_student_teacher(p_course_id uuid, p_statement text) returns public.student_teachers
language plpgsql
security definer -- applications are no client's to write; who may apply is checked below
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_student_teacher public.student_teachers;
begin
    if not exists (
        select from public.certificates as c
        where c.student_id = v_caller and c.course_id = p_course_id and c.status = 'issued'
    ) then
        raise sqlstate 'PT403' using
            message = 'certificate_required',
            detail = 'Only who holds an issued certificate of the course can do this.',
            hint = 'Earn it first.';
    elsif exists (select from public.courses as c where c.id = p_course_id and c.creator_id = v_caller) then
        raise sqlstate 'PT409' using
            message = 'own_course',
            detail = 'A creator is no student-teacher of the own course.',
            hint = 'Nothing is to be done: the course is yours.';
    end if;
    insert into public.student_teachers as t (course_id, user_id, statement)
    values (p_course_id, v_caller, p_statement)
    on conflict (user_id, course_id) do update
    set status = 'pending', statement = excluded.statement, is_available = true
    where t.status in ('withdrawn', 'revoked')
        or (t.status = 'rejected' and t.decided_at <= now() - interval '30 days')
    returning t.* into v_student_teacher;
    if found then
        return v_student_teacher;
    end if;
    select t.* into v_student_teacher from public.student_teachers as t
    where t.user_id = v_caller and t.course_id = p_course_id;
    if v_student_teacher.status = 'rejected' then
        raise sqlstate 'PT409' using
            message = 'application_too_soon',
            detail = format('An application was rejected on %s.', v_student_teacher.decided_at::date),
            hint = format('Apply again from %s on.', (v_student_teacher.decided_at + interval '30 days')::date);
    elsif v_student_teacher.status = 'approved' then
        raise sqlstate 'PT409' using
            message = 'already_student_teacher',
            detail = 'You are a student-teacher of this course already.',
            hint = 'Set is_available to take students.';
    end if;
    raise sqlstate 'PT409' using
        message = 'application_pending',
        detail = 'You have an application that waits for its answer.',
        hint = 'Wait, or withdraw it first.';
end
$$;
comment on function private.apply_as_student_teacher(uuid, text) is
'Asks to be a student-teacher of a course. Raises PT403 certificate_required, PT409 own_course, already_student_teacher,
application_pending or application_too_soon.';

create function public.apply_as_student_teacher(course_id uuid, statement text) returns public.student_teachers
language sql
set search_path = ''
as $$
    select private.apply_as_student_teacher(apply_as_student_teacher.course_id, apply_as_student_teacher.statement)
$$;
comment on function public.apply_as_student_teacher(uuid, text) is
'Asks the creator of a course to be a student-teacher of it, and answers the application; again after a withdrawal or a
revocation, and 30 days after a rejection at the earliest. Takes a statement of at most 4,000 characters, which
everybody reads once it is approved. For who holds the course''s certificate. Raises account_inactive or
certificate_required (403), own_course, already_student_teacher, application_pending or application_too_soon (409).';

create function private.require_student_teacher(p_student_teacher_id uuid) returns void
language plpgsql
stable
security definer -- must tell one who is missing from another's, and says the same of both
set search_path = ''
as $$
begin
    perform private.require_active();
    if not exists (
        select from public.student_teachers as t
        where t.id = p_student_teacher_id and private.owns_course(t.course_id)
    ) then
        raise sqlstate 'PT404' using
            message = 'student_teacher_not_found',
            detail = 'There is no such student-teacher, or it is not for you to decide.',
            hint = 'List those of your courses to find the id.';
    end if;
end
$$;
comment on function private.require_student_teacher(uuid) is
'That this is a student-teacher, whatever the status, of a course that the caller owns. Raises what require_active
raises, or PT404 student_teacher_not_found.';

create function private.record_student_teacher_decision(p_student_teacher public.student_teachers, p_note text)
returns void
language plpgsql
security definer -- the record is no client's to write; who calls it has decided
set search_path = ''
as $$
declare
    v_id uuid;
begin
    insert into public.student_teacher_decisions (
        student_teacher_id, course_id, user_id, outcome, note, decided_by
    )
    values (
        p_student_teacher.id, p_student_teacher.course_id, p_student_teacher.user_id, p_student_teacher.status, p_note,
        (select auth.uid())
    )
    returning id into v_id;
    perform private.enqueue_mail(
        p_student_teacher.user_id,
        'student_teacher_' || p_student_teacher.status::text,
        jsonb_build_object(
            'course_title', (select c.title from public.courses as c where c.id = p_student_teacher.course_id),
            'note', p_note
        ),
        'student_teacher_decision:' || v_id
    );
end
$$;
comment on function private.record_student_teacher_decision(public.student_teachers, text) is
'After a decision: its record, and the mail that tells the person.';

create function private.decide_student_teacher(p_student_teacher_id uuid, p_is_approved boolean, p_note text)
returns public.student_teachers
language plpgsql
security definer -- applications are no client's to write; the checks below decide
set search_path = ''
as $$
declare
    v_student_teacher public.student_teachers;
begin
    perform private.require_student_teacher(p_student_teacher_id);
    select t.* into v_student_teacher from public.student_teachers as t
    where t.id = p_student_teacher_id for no key update;
    if p_is_approved is null then
        raise sqlstate 'PT422' using
            message = 'decision_missing',
            detail = 'A decision is yes or no.',
            hint = 'Send is_approved.';
    elsif v_student_teacher.status <> 'pending' then
        raise sqlstate 'PT409' using
            message = 'application_decided',
            detail = format('The application is %s.', v_student_teacher.status),
            hint = 'Read it again.';
    end if;
    -- Whoever revokes the certificate comes before, or waits and finds him approved.
    perform from public.certificates as c
    where c.student_id = v_student_teacher.user_id and c.course_id = v_student_teacher.course_id
        and c.status = 'issued'
    for share;
    if p_is_approved and not found then
        raise sqlstate 'PT409' using
            message = 'certificate_not_issued',
            detail = 'The applicant holds no certificate of the course that stands.',
            hint = 'Reject the application.';
    end if;
    update public.student_teachers as t
    set
        status = case when p_is_approved then 'approved' else 'rejected' end::public.student_teacher_status,
        decided_at = now()
    where t.id = p_student_teacher_id
    returning t.* into v_student_teacher;
    perform private.record_student_teacher_decision(v_student_teacher, p_note);
    perform private.audit(
        case when p_is_approved then 'student_teacher.approve' else 'student_teacher.reject' end,
        'student_teachers', p_student_teacher_id::text,
        jsonb_build_object('status', 'pending'),
        jsonb_build_object('status', v_student_teacher.status, 'user_id', v_student_teacher.user_id)
    );
    return v_student_teacher;
end
$$;
comment on function private.decide_student_teacher(uuid, boolean, text) is
'Approves or rejects an application, records it, and writes to the applicant. Raises PT404 student_teacher_not_found,
PT409 application_decided or certificate_not_issued, PT422 decision_missing.';

create function public.decide_student_teacher(student_teacher_id uuid, is_approved boolean, note text default null)
returns public.student_teachers
language sql
set search_path = ''
as $$
    select private.decide_student_teacher(
        decide_student_teacher.student_teacher_id, decide_student_teacher.is_approved, decide_student_teacher.note
    )
$$;
comment on function public.decide_student_teacher(uuid, boolean, text) is
'Approves or rejects an application to be a student-teacher, perhaps with a note to the applicant, who gets a mail;
answers it. For the course''s creator and admins. Raises student_teacher_not_found (404), application_decided or
certificate_not_issued (409), decision_missing (422).';

create function private.revoke_student_teacher(p_student_teacher_id uuid, p_reason text)
returns public.student_teachers
language plpgsql
security definer -- the standing is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_student_teacher public.student_teachers;
begin
    perform private.require_student_teacher(p_student_teacher_id);
    perform private.require_reason(p_reason);
    perform private.unassign_students(p_student_teacher_id);
    select t.* into v_student_teacher from public.student_teachers as t
    where t.id = p_student_teacher_id for no key update;
    if v_student_teacher.status <> 'approved' then
        raise sqlstate 'PT409' using
            message = 'illegal_transition',
            detail = format('student_teachers: %s cannot become revoked.', v_student_teacher.status),
            hint = 'Only an approved student-teacher can be revoked.';
    end if;
    update public.student_teachers as t set status = 'revoked', decided_at = now()
    where t.id = p_student_teacher_id
    returning t.* into v_student_teacher;
    perform private.record_student_teacher_decision(v_student_teacher, p_reason);
    perform private.audit(
        'student_teacher.revoke', 'student_teachers', p_student_teacher_id::text,
        jsonb_build_object('status', 'approved'),
        jsonb_build_object('status', 'revoked', 'user_id', v_student_teacher.user_id)
    );
    return v_student_teacher;
end
$$;
comment on function private.revoke_student_teacher(uuid, text) is
'Ends somebody''s standing as a student-teacher: his students have none from then on. Raises PT404
student_teacher_not_found, PT409 illegal_transition, PT422 reason_missing.';

create function public.revoke_student_teacher(student_teacher_id uuid, reason text) returns public.student_teachers
language sql
set search_path = ''
as $$
    select private.revoke_student_teacher(revoke_student_teacher.student_teacher_id, revoke_student_teacher.reason)
$$;
comment on function public.revoke_student_teacher(uuid, text) is
'Takes the standing from an approved student-teacher, who gets a mail with the reason, and loses his students; answers
it. For the course''s creator and admins. Raises student_teacher_not_found (404), illegal_transition (409),
reason_missing (422).';

create function private.withdraw_as_student_teacher(p_course_id uuid) returns public.student_teachers
language plpgsql
security definer -- the standing is no client's to write; whose it is, is taken from the token
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_student_teacher public.student_teachers;
begin
    perform private.unassign_students(t.id) from public.student_teachers as t
    where t.user_id = v_caller and t.course_id = p_course_id;
    update public.student_teachers as t set status = 'withdrawn'
    where t.user_id = v_caller and t.course_id = p_course_id and t.status in ('pending', 'approved')
    returning t.* into v_student_teacher;
    if not found then
        raise sqlstate 'PT404' using
            message = 'student_teacher_not_found',
            detail = 'You are no student-teacher of this course, and have not applied.',
            hint = 'It may be decided, or withdrawn, by now.';
    end if;
    return v_student_teacher;
end
$$;
comment on function private.withdraw_as_student_teacher(uuid) is
'Takes back the caller''s application, or ends his standing: his students have none from then on. Raises PT404
student_teacher_not_found.';

create function public.withdraw_as_student_teacher(course_id uuid) returns public.student_teachers
language sql
set search_path = ''
as $$
    select private.withdraw_as_student_teacher(withdraw_as_student_teacher.course_id)
$$;
comment on function public.withdraw_as_student_teacher(uuid) is
'Takes the caller''s application for a course back, or gives up being its student-teacher, and with it the students;
answers it. Raises student_teacher_not_found (404).';

create function private.tg_users__bury_student_teachers() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    perform private.unassign_students(t.id) from public.student_teachers as t where t.user_id = old.id order by t.id;
    delete from public.student_teachers as t where t.user_id = old.id;
    return null;
end
$$;
comment on function private.tg_users__bury_student_teachers() is
'After a user is deleted in auth, softly or for good: he teaches nobody any more, and what he wrote goes.';
create trigger guildhall_bury_student_teachers after delete on auth.users
for each row execute function private.tg_users__bury_student_teachers();
create trigger guildhall_bury_soft_deleted_student_teachers after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__bury_student_teachers();
