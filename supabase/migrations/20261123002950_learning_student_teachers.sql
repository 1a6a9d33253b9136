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
    decided_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint student_teachers_user_id_fkey foreign key (user_id, is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade,
    constraint student_teachers_user_id_course_id_key unique (user_id, course_id),
    constraint student_teachers_id_course_id_key unique (id, course_id),
    constraint student_teachers_student_count_check check (student_count between 0 and max_students),
    constraint student_teachers_decided_at_check
    check (decided_at is not null or status in ('pending', 'withdrawn'))
);
comment on table public.student_teachers is
'Who helps, helped or asks to help the students of a course: one row a person and course. Everybody reads those approved
of people with a public profile; the person reads his own, the creator those of his courses, a student the one assigned.
Written by functions, but for what the person sets himself; gone with the user.';
comment on column public.student_teachers.is_public is 'Whether the person''s profile is public; the database keeps it.';
comment on column public.student_teachers.status is 'Decided by the course''s creator; never written by a client.';
comment on column public.student_teachers.statement is
'Why, and how he helps, in his words; shown with him once approved.';
comment on column public.student_teachers.is_available is 'Whether he takes students now; his own switch.';
comment on column public.student_teachers.max_students is
'How many students he takes at a time; his own to set, though not below student_count.';
comment on column public.student_teachers.student_count is
'How many students whose enrolment is active are assigned to him; kept by a trigger.';
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
