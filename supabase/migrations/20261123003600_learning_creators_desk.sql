-- Learning: what the creator of a course sees of his students; moderators and admins see the same of all.

create view public.course_students with (security_invoker = true) as
select
    e.id as enrolment_id,
    e.course_id,
    e.creator_id,
    c.title as course_title,
    e.student_id,
    e.student_name,
    p.handle,
    p.avatar_path,
    e.status,
    e.source,
    e.enrolled_at,
    e.last_activity_at,
    e.completed_at,
    e.cancelled_at,
    e.access_until,
    e.student_teacher_id,
    e.completed_lesson_count,
    c.lesson_count,
    n.at_risk_reason,
    case when c.lesson_count > 0 then least(e.completed_lesson_count * 100 / c.lesson_count, 100) else 0 end
        as progress_percent,
    coalesce(n.is_at_risk, false) as is_at_risk
from public.enrolments as e
-- Left, so that a count looks at no more than it must.
left join public.courses as c on e.course_id = c.id
left join public.profiles as p on e.student_id = p.id
left join public.enrolment_notes as n on e.id = n.enrolment_id;
comment on view public.course_students is
'Enrolments with the student''s name and progress, as creators (creator_id=eq. or course_id=eq.), student-teachers
(student_teacher_id=eq.) and admins list, filter, sort and page them; search_students finds by name, export_students
and export_enrolments make a file. Of a student whose profile is hidden, handle and picture are null, but for
moderators. Of many rows, ask for Prefer: count=estimated.';
comment on column public.course_students.course_title is 'The course''s title.';
comment on column public.course_students.student_name is 'The name that people read.';
comment on column public.course_students.handle is 'The student''s name in web addresses.';
comment on column public.course_students.avatar_path is 'The picture''s path in the storage bucket `avatars`.';
comment on column public.course_students.source is 'How the student came by it.';
comment on column public.course_students.last_activity_at is 'When the student last did something in the course.';
comment on column public.course_students.cancelled_at is 'When it was cancelled; null where it is not.';
comment on column public.course_students.access_until is 'When the course closes to the student; null for never.';
comment on column public.course_students.completed_lesson_count is 'How many lessons the student has finished.';
comment on column public.course_students.lesson_count is 'How many lessons the course has now.';
comment on column public.course_students.progress_percent is
'How much of the lessons is finished, rounded down; a course that grew after it was completed is at less than 100.';
comment on column public.course_students.is_at_risk is
'Whether the creator fears for the student; false to whoever may not know.';
comment on column public.course_students.at_risk_reason is 'Why, in the creator''s words.';
create trigger _100_refuse_write instead of insert or update or delete on public.course_students
for each row execute function private.tg__refuse_write();

create function private.find_students(p_query text) returns table (enrolment_id uuid)
language plpgsql
stable
security definer -- what is searched is closed to clients
set search_path = ''
as $$
declare
    v_words text[] := private.words_of(p_query);
begin
    if (select private.has_role('moderator')) then
        return query
        select e.id from private.find_accounts(p_query) as f join public.enrolments as e on e.student_id = f.user_id;
        return;
    end if;
    perform private.require_role('teacher');
    return query
    select e.id
    from public.enrolments as e
    join public.profiles as p on p.id = e.student_id
    where e.course_id = any((select private.my_taught_course_ids())::uuid[])
        and v_words <> '{}'
        and not exists (
            select from unnest(v_words) as w (word)
            where not exists (
                select from private.search_terms as t
                where t.user_id = e.student_id and t.term >= w.word and t.term < w.word || chr(1114111)
                    and (p.is_public or not t.is_handle) -- of a hidden profile, the list shows the name alone
            )
        );
end
$$;
comment on function private.find_students(text) is
'The enrolments of whom the words of the query begin words of the name or the handle, in the caller''s courses; for
moderators, of whom find_accounts finds, by address too, in all. Raises what require_role raises.';

create function public.search_students(q text) returns setof public.course_students
language sql
stable
set search_path = ''
rows 50
as $$
    select s.*
    from private.find_students(search_students.q) as f
    join public.course_students as s on s.enrolment_id = f.enrolment_id
$$;
comment on function public.search_students(text) is
'Finds the students of one''s courses by the beginnings of words of their names; moderators find all students, by the
beginning of the address, too: rows of course_students, which are filtered, sorted, paged and embedded like those. For
teachers and moderators. Raises role_required (403).';

create view public.pending_approvals with (security_invoker = true) as
select
    'student_teacher' as kind,
    t.id,
    t.course_id,
    c.creator_id,
    c.title as course_title,
    t.user_id,
    e.student_name as user_name,
    t.created_at
from public.student_teachers as t
inner join public.courses as c on t.course_id = c.id
left join public.enrolments as e on t.user_id = e.student_id and t.course_id = e.course_id
where t.status = 'pending'
union all
select
    'certificate' as kind,
    t.id,
    t.course_id,
    c.creator_id,
    c.title as course_title,
    t.student_id as user_id,
    t.holder_name as user_name,
    t.created_at
from public.certificates as t
inner join public.courses as c on t.course_id = c.id
where t.status = 'pending';
comment on view public.pending_approvals is
'What waits for the creator of a course: creator_id=eq.&order=created_at. People who want to be student-teachers
(decide_student_teacher) and certificates that are recommended (issue_certificate, reject_certificate). Whoever asked
sees his own.';
comment on column public.pending_approvals.kind is 'student_teacher or certificate: of which of the two `id` is.';
comment on column public.pending_approvals.course_title is 'The course''s title.';
comment on column public.pending_approvals.user_id is 'Whom it is about.';
comment on column public.pending_approvals.user_name is 'That person''s name.';
create trigger _100_refuse_write instead of insert or update or delete on public.pending_approvals
for each row execute function private.tg__refuse_write();

create function public.creator_dashboard() returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller uuid := private.require_role('teacher');
    v_course_ids uuid[] := private.my_taught_course_ids();
begin
    return (
        select jsonb_build_object(
            'courses', (
                select jsonb_object_agg(s.status, n.courses)
                from unnest(array_remove(enum_range(null::public.course_status), 'deleted')) as s (status)
                cross join lateral (
                    select count(*) as courses from public.courses as c where c.creator_id = v_caller and c.status = s.status
                ) as n
            ),
            'student_count', count(distinct e.student_id) filter (where e.status <> 'cancelled'),
            'active_count', count(*) filter (where e.status = 'active'),
            'completed_count', count(*) filter (where e.status = 'completed'),
            'cancelled_count', count(*) filter (where e.status = 'cancelled'),
            'completion_percent', coalesce(
                count(*) filter (where e.status = 'completed') * 100
                / nullif(count(*) filter (where e.status <> 'cancelled'), 0),
                0
            ),
            'at_risk_count', (
                select count(*)
                from public.enrolment_notes as n
                join public.enrolments as f on f.id = n.enrolment_id and f.status = 'active'
                where n.course_id = any(v_course_ids) and n.is_at_risk
            ),
            'pending_approval_count', (
                select count(*) from public.pending_approvals as a where a.course_id = any(v_course_ids)
            ),
            'recent_enrolments', (
                select coalesce(jsonb_agg(to_jsonb(r) order by r.enrolled_at desc, r.enrolment_id), '[]')
                from (
                    select s.enrolment_id, s.course_id, s.course_title, s.student_id, s.student_name, s.enrolled_at
                    from (
                        select f.id from public.enrolments as f
                        where f.course_id = any(v_course_ids) and f.status <> 'cancelled'
                        order by f.enrolled_at desc, f.id
                        limit 10
                    ) as newest
                    join public.course_students as s on s.enrolment_id = newest.id
                ) as r
            )
        )
        from public.enrolments as e
        where e.course_id = any(v_course_ids)
    );
end
$$;
comment on function public.creator_dashboard() is
'Figures of all of one''s courses: {courses: {<status>: n}, student_count, active_count, completed_count,
cancelled_count, completion_percent (of those not cancelled, rounded down), at_risk_count (active and flagged),
pending_approval_count, recent_enrolments: the ten newest}. For teachers. Raises role_required (403).';

create function private.csv_line(p_student public.course_students) returns text
language plpgsql -- of which a call costs a fifth of one of sql
stable
set search_path = ''
as $$
begin
    -- Only what people typed can be anything.
    return array_to_string(
        array[
            p_student.enrolment_id::text,
            p_student.course_id::text,
            private.csv_cell(p_student.course_title),
            p_student.student_id::text,
            private.csv_cell(p_student.student_name),
            p_student.handle,
            p_student.status::text,
            p_student.source::text,
            p_student.progress_percent::text,
            p_student.is_at_risk::text,
            to_char(p_student.enrolled_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            to_char(p_student.last_activity_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            to_char(p_student.completed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            to_char(p_student.cancelled_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            to_char(p_student.access_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        ],
        ',', ''
    );
end
$$;
comment on function private.csv_line(public.course_students) is 'An enrolment as a line of the file.';

create function private.csv_students(p_name text, p_lines text[]) returns public."text/csv" -- noqa: RF05
language sql
set search_path = ''
as $$
    select private.csv_file(
        p_name,
        'enrolment_id,course_id,course_title,student_id,student_name,handle,status,source,progress_percent,is_at_risk,'
        || 'enrolled_at,last_activity_at,completed_at,cancelled_at,access_until',
        p_lines
    )
$$;
comment on function private.csv_students(text, text[]) is 'Lines of enrolments under their header, as a file.';

create function public.export_students(course_id uuid default null, status public.enrolment_status default null)
returns public."text/csv" -- noqa: RF05
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller uuid := private.require_role('teacher');
    v_lines text[];
begin
    select coalesce(array_agg(private.csv_line(s) order by s.enrolled_at, s.enrolment_id), '{}') into v_lines
    from public.course_students as s
    where s.creator_id = v_caller
        and s.course_id = coalesce(export_students.course_id, s.course_id)
        and s.status = coalesce(export_students.status, s.status);
    return private.csv_students('students', v_lines);
end
$$;
comment on function public.export_students(uuid, public.enrolment_status) is
'The students of one''s courses as a file for a spreadsheet, however many (Accept: text/csv): of one course
or of one status. What people typed cannot become a formula. For teachers. Raises role_required (403).';

create function private.send_enrolment_mail(p_course_id uuid, p_user_id uuid) returns void
language plpgsql
security definer -- the outbox is closed; the checks below decide
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    perform private.require_course_owner(p_course_id);
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = p_user_id and e.course_id = p_course_id and e.status <> 'cancelled';
    if not found then
        raise sqlstate 'PT404' using
            message = 'enrolment_not_found',
            detail = 'This person does not take the course.',
            hint = 'Look it up among the students of the course.';
    end if;
    perform private.mail_enrolment(
        v_enrolment, format('enrolment_confirmed:%s:%s', v_enrolment.id, (now() at time zone 'UTC')::date)
    );
end
$$;
comment on function private.send_enrolment_mail(uuid, uuid) is
'Enqueues the mail of an enrolment again, at most once a day. Raises PT404 course_not_found or enrolment_not_found.';

create function public.send_enrolment_mail(course_id uuid, user_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.send_enrolment_mail(send_enrolment_mail.course_id, send_enrolment_mail.user_id)
$$;
comment on function public.send_enrolment_mail(uuid, uuid) is
'Has a student sent the mail about the enrolment again, which enrolling has sent already; asked more than once a day
(UTC), it goes out once. For the course''s creator and admins. Raises course_not_found or enrolment_not_found (404).';
