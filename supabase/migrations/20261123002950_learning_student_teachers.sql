-- Learning: student-teachers. A holder of the certificate of a course can apply to its creator to help other students.

create type public.student_teacher_status as enum ('pending', 'approved', 'rejected', 'withdrawn', 'revoked');
comment on type public.student_teacher_status is
'pending: waits for the creator. approved: helps students of the course. rejected: may apply again after 30 days.
withdrawn: the person withdrew. revoked: the creator revoked it, or the certificate was revoked.';

create table public.student_teachers (
    id uuid not null default gen_random_uuid() constraint student_teachers_pkey primary key,
    course_id uuid not null
    constraint student_teachers_course_id_fkey references public.courses (id) on delete restrict,
    user_id uuid not null,
    is_public boolean not null,
    status public.student_teacher_status not null default 'pending',
    statement text not null constraint student_teachers_statement_check
    check (private.is_visible(statement) and char_length(statement) <= 4000),
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
'The student-teachers of courses and their applications: one row a person and course. Everybody reads approved ones with
a public profile; people read their own, creators those of their courses, students the one assigned to them. Functions
write it; people set is_available and max_students of their own. Deleted with the user.';
comment on column public.student_teachers.is_public is
'Whether the profile of the person is public; the database keeps it.';
comment on column public.student_teachers.status is 'The creator of the course decides it; clients cannot write it.';
comment on column public.student_teachers.statement is
'Why and how they help, in their own words; public once approved.';
comment on column public.student_teachers.is_available is 'Whether they accept students now; they set it.';
comment on column public.student_teachers.max_students is
'How many students they accept at a time, 1 to 1,000; they set it, not below student_count.';
comment on column public.student_teachers.student_count is
'The number of assigned students with an active enrolment; a trigger counts them.';
comment on column public.student_teachers.is_open is
'Whether students can choose them now: approved, available, and with a free place.';
comment on column public.student_teachers.decided_at is 'When it was last approved, rejected or revoked.';
comment on constraint student_teachers_max_students_check on public.student_teachers is
'A student-teacher accepts 1 to 1,000 students.';
comment on constraint student_teachers_student_count_check on public.student_teachers is
'A student-teacher cannot accept fewer students than they have.';
comment on constraint student_teachers_statement_check on public.student_teachers is
'A statement has 1 to 4,000 characters, of which some are visible.';
comment on constraint student_teachers_course_id_fkey on public.student_teachers is
'A course with student-teachers cannot be deleted; delete_course takes it out of the catalogue.';
alter table public.student_teachers enable row level security;
revoke all on public.student_teachers from anon, authenticated, service_role;
create index student_teachers_user_id_is_public_idx on public.student_teachers (user_id, is_public);
comment on index public.student_teachers_user_id_is_public_idx is
'Those of a person: user_id=eq., the policies and the foreign key';
create index student_teachers_course_id_idx on public.student_teachers (course_id, created_at);
comment on index public.student_teachers_course_id_idx is
'Those of a course: course_id=eq.&order=created_at, the policies and the foreign key';
create index student_teachers_approved_idx on public.student_teachers (created_at, id) where status = 'approved';
comment on index public.student_teachers_approved_idx is 'The approved ones: status=eq.approved&order=created_at,id';

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
'Decisions about student-teachers, one row a decision. People read those about themselves, creators those of their
courses, moderators all. Only functions write it, and nothing changes it.';
comment on column public.student_teacher_decisions.user_id is 'The person that it is about.';
comment on column public.student_teacher_decisions.outcome is 'The status that it gave.';
comment on column public.student_teacher_decisions.note is 'A note or the reason; the person reads it.';
comment on column public.student_teacher_decisions.decided_by is 'The creator or admin who decided.';
alter table public.student_teacher_decisions enable row level security;
revoke all on public.student_teacher_decisions from anon, authenticated, service_role;
create index student_teacher_decisions_student_teacher_id_idx
on public.student_teacher_decisions (student_teacher_id, course_id, user_id);
comment on index public.student_teacher_decisions_student_teacher_id_idx is
'Those about a student-teacher: student_teacher_id=eq., and the foreign key';
create index student_teacher_decisions_course_id_idx on public.student_teacher_decisions (course_id);
comment on index public.student_teacher_decisions_course_id_idx is 'The policies, for creators';
create index student_teacher_decisions_user_id_idx on public.student_teacher_decisions (user_id);
comment on index public.student_teacher_decisions_user_id_idx is 'Those about a person: user_id=eq., and the policies';
create index student_teacher_decisions_decided_by_idx on public.student_teacher_decisions (decided_by);
comment on index public.student_teacher_decisions_decided_by_idx is 'The foreign key';

create function private.my_student_teacher_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of student_teachers itself would call it
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
'The approved rows of the caller in student_teachers, one a course. Policies call it as any((select
private.my_student_teacher_ids())::uuid[]).';

create function private.owns_course(p_course_id uuid) returns boolean
language plpgsql
stable
security definer -- looks at courses that the caller may not read
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
'Whether the caller is an admin, or a teacher who created the course. require_course_owner as a condition, for functions
about something in a course whose refusal must not say that it exists.';
