-- Learning: what creators see of their students. Moderators and admins see the same of all students.

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
    e.access,
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
-- Left joins, so that a count can leave these tables out.
left join public.courses as c on e.course_id = c.id
left join public.profiles as p on e.student_id = p.id
left join public.enrolment_notes as n on e.id = n.enrolment_id;
comment on view public.course_students is
'Enrolments with the name and progress of the student, for lists of creators (creator_id=eq. or course_id=eq.),
student-teachers (student_teacher_id=eq.) and moderators. search_students finds by name, export_students and
export_enrolments return a file. handle and avatar_path of hidden profiles are null, except for moderators. Count many
rows with Prefer: count=estimated.';
comment on column public.course_students.course_title is 'The title of the course.';
comment on column public.course_students.student_name is 'The name of the student.';
comment on column public.course_students.handle is 'The name of the student in web addresses.';
comment on column public.course_students.avatar_path is 'The path of the picture in the storage bucket `avatars`.';
comment on column public.course_students.access is
'open: the course is open to the student. ended or refunded: it is not any more.';
comment on column public.course_students.source is 'Where the enrolment comes from.';
comment on column public.course_students.last_activity_at is 'When the student was last active in the course.';
comment on column public.course_students.cancelled_at is 'When it was cancelled, or null.';
comment on column public.course_students.access_until is
'The instant at which the course closes to the student; null for never.';
comment on column public.course_students.completed_lesson_count is
'The number of lessons that the student has finished.';
comment on column public.course_students.lesson_count is 'The number of lessons that the course has now.';
comment on column public.course_students.progress_percent is
'The finished lessons in percent, rounded down; less than 100 for a completed course that grew later, or of which the
student took a lesson back.';
comment on column public.course_students.is_at_risk is
'Whether the student is at risk; false for callers who may not read the notes.';
comment on column public.course_students.at_risk_reason is 'Why the student is at risk.';
create trigger _100_refuse_write instead of insert or update or delete on public.course_students
for each row execute function private.tg__refuse_write();

create function private.find_students(p_query text) returns table (enrolment_id uuid)
language plpgsql
stable
security definer -- clients may not read the search terms
set search_path = ''
as $$
declare
    v_words text[] := private.words_of(p_query, true);
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
                    and (p.is_public or not t.is_handle) -- course_students shows only the name of a hidden profile
            )
        );
end
$$;
comment on function private.find_students(text) is
'Finds enrolments in the courses of the caller whose student has, for each word of the query, a word of the name or
handle that begins with it. For moderators, all enrolments of people whom find_accounts finds, by email address, too.
Raises what require_role raises.';

-- By hand: reads the rows that the search found as the caller, under row level security.
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
'Finds students of the courses of the caller by the beginnings of words of their names; moderators find all students, by
the beginning of the email address, too. Returns rows of course_students: filter, sort, page and embed them as those.
For teachers and moderators. Raises role_required (403).';

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
'The decisions that wait for the creator of a course: creator_id=eq.&order=created_at. Applications of student-teachers
(decide_student_teacher) and recommended certificates (issue_certificate, reject_certificate). Applicants read their
own, moderators all.';
comment on column public.pending_approvals.kind is 'student_teacher or certificate: the table of id.';
comment on column public.pending_approvals.course_title is 'The title of the course.';
comment on column public.pending_approvals.user_id is 'The person that it is about.';
comment on column public.pending_approvals.user_name is 'The name of that person.';
create trigger _100_refuse_write instead of insert or update or delete on public.pending_approvals
for each row execute function private.tg__refuse_write();

-- By hand: reads as the caller, under row level security, and needs no private function.
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
            'student_count', count(distinct e.student_id) filter (where e.access = 'open'),
            'active_count', count(*) filter (where e.status = 'active' and e.access = 'open'),
            'completed_count', count(*) filter (where e.status = 'completed' and e.access <> 'refunded'),
            'cancelled_count', count(*) filter (where e.status = 'cancelled'),
            'ended_count', count(*) filter (where e.access = 'ended' and e.status <> 'cancelled'),
            'refunded_count', count(*) filter (where e.access = 'refunded'),
            'completion_percent', coalesce(
                count(*) filter (where e.status = 'completed' and e.access <> 'refunded') * 100
                / nullif(count(*) filter (where e.status <> 'cancelled' and e.access <> 'refunded'), 0),
                0
            ),
            'at_risk_count', (
                select count(*)
                from public.enrolment_notes as n
                join public.enrolments as f
                    on f.id = n.enrolment_id and f.status = 'active' and f.access = 'open'
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
                        where f.course_id = any(v_course_ids) and f.access = 'open'
                        order by f.enrolled_at desc, f.id
                        limit 10
                    ) as newest
                    join public.course_students as s on s.enrolment_id = newest.id
                ) as r
            )
        ) || private.dashboard_parts('creator')
        from public.enrolments as e
        where e.course_id = any(v_course_ids)
    );
end
$$;
comment on function public.creator_dashboard() is
'What a creator sees first, of all courses of the caller: {courses: {<status>: count}, student_count (with open
access), active_count, completed_count (without refunded ones), cancelled_count, ended_count, refunded_count,
completion_percent (of enrolments that are neither cancelled nor refunded, rounded down), at_risk_count (active ones),
pending_approval_count, recent_enrolments (the 10 newest), next_sessions (the next 10 of the caller''s courses:
[{session_id, course_id, course_title, student_id, student_name, host_id, host_name, topic, starts_at, ends_at,
time_zone}]), money (of the caller''s sales, for each currency, in minor units: [{currency, month_amount (since the
month began in the caller''s time zone), lifetime_amount, pending_amount (cannot be paid out yet), sale_count, balance_amount
and in_transit_amount (as in balances), next_payout: {payout_id, status, amount, at} or null}])}. next_payout is the
oldest open payout, at the time when it was requested; else what can be requested (status payable), at the time when
enough of it can be paid out. For teachers. Raises role_required (403).';

create function private.student_csv_line(p_student public.course_students) returns text
language plpgsql -- a call costs a fifth of a call in SQL
stable
set search_path = ''
as $$
begin
    -- Only text that people typed needs quotes.
    return array_to_string(
        array[
            p_student.enrolment_id::text,
            p_student.course_id::text,
            private.csv_cell(p_student.course_title),
            p_student.student_id::text,
            private.csv_cell(p_student.student_name),
            p_student.handle,
            p_student.status::text,
            p_student.access::text,
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
comment on function private.student_csv_line(public.course_students) is 'An enrolment as a line of a CSV file.';

create function private.student_csv_file(p_name text, p_lines text[], p_more_columns text default '')
returns public."text/csv" -- noqa: RF05
language sql
set search_path = ''
as $$
    select private.csv_file(
        p_name,
        'enrolment_id,course_id,course_title,student_id,student_name,handle,status,access,source,progress_percent,is_at_risk,'
        || 'enrolled_at,last_activity_at,completed_at,cancelled_at,access_until' || p_more_columns,
        p_lines
    )
$$;
comment on function private.student_csv_file(text, text[], text) is
'A CSV file of these lines of enrolments, with a header, to which p_more_columns adds columns (",email").';

-- By hand: reads as the caller, under row level security.
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
    select coalesce(array_agg(private.student_csv_line(s) order by s.enrolled_at, s.enrolment_id), '{}') into v_lines
    from public.course_students as s
    where s.creator_id = v_caller
        and s.course_id = coalesce(export_students.course_id, s.course_id)
        and s.status = coalesce(export_students.status, s.status);
    return private.student_csv_file('students', v_lines);
end
$$;
comment on function public.export_students(uuid, public.enrolment_status) is
'The students of the courses of the caller as a CSV file (Accept: text/csv), all or those of one course or status.
Spreadsheets do not run text that people typed as a formula. For teachers. Raises role_required (403).';

create function private.send_enrolment_mail(p_course_id uuid, p_user_id uuid) returns void
language plpgsql
security definer -- clients may not write the mail outbox
set search_path = ''
as $$
declare
    v_enrolment public.enrolments;
begin
    perform private.require_course_owner(p_course_id);
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = p_user_id and e.course_id = p_course_id and e.access = 'open';
    if not found then
        perform private.refuse('enrolment_not_found');
    end if;
    perform private.mail_enrolment(
        v_enrolment, format('enrolment_confirmed:%s:%s', v_enrolment.id, (now() at time zone 'UTC')::date)
    );
end
$$;
comment on function private.send_enrolment_mail(uuid, uuid) is
'Mails a student the confirmation of the enrolment again, at most once a day (UTC). For the creator of the course and
admins. Raises course_not_found or enrolment_not_found (404).';
