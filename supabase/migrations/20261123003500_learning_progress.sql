-- Learning: the progress of students by module, and the lesson at which to resume.

create view public.module_progress with (security_invoker = true) as
select
    e.id as enrolment_id,
    e.student_id,
    m.course_id,
    m.id as module_id,
    m.title,
    m.position,
    n.lesson_count,
    n.completed_lesson_count,
    n.last_activity_at,
    n.lesson_count > 0 and n.completed_lesson_count = n.lesson_count as is_completed
from public.enrolments as e
inner join public.modules as m on e.course_id = m.course_id
cross join lateral (
    select
        count(*)::integer as lesson_count,
        count(p.completed_at)::integer as completed_lesson_count,
        max(p.updated_at) as last_activity_at
    from public.lessons as l
    left join public.lesson_progress as p on l.id = p.lesson_id and e.id = p.enrolment_id
    where l.module_id = m.id
) as n;
comment on view public.module_progress is
'The progress of students in modules: enrolment_id=eq.&order=position, or student_id=eq. Students read their own,
creators and assigned student-teachers those of their students, moderators all.';
comment on column public.module_progress.position is 'The position of the module in its course, from 1.';
comment on column public.module_progress.lesson_count is 'The number of its lessons.';
comment on column public.module_progress.completed_lesson_count is
'The number of lessons that the student has finished.';
comment on column public.module_progress.is_completed is
'Whether the student has finished all of its lessons; an empty module is not completed.';
comment on column public.module_progress.last_activity_at is
'When the student was last active in one of its lessons; null for never.';
create trigger _100_refuse_write instead of insert or update or delete on public.module_progress
for each row execute function private.tg__refuse_write();

-- By hand: reads as the caller, under row level security, and needs no private function.
create function public.resume_point(course_id uuid)
returns table (lesson_id uuid, module_id uuid, title text, position_seconds integer, is_begun boolean)
language sql
stable
set search_path = ''
rows 1
as $$
    select l.id, l.module_id, l.title, coalesce(p.position_seconds, 0), p.lesson_id is not null
    from public.enrolments as e
    join public.lessons as l on l.course_id = e.course_id
    join public.modules as m on m.id = l.module_id
    left join public.lesson_progress as p on p.enrolment_id = e.id and p.lesson_id = l.id
    where e.student_id = (select auth.uid())
        and e.course_id = resume_point.course_id
        and e.course_id = any((select private.my_course_ids())::uuid[])
        and p.completed_at is null
        -- The policy hides the contents of locked lessons.
        and exists (select from public.lesson_contents as lc where lc.lesson_id = l.id)
    order by p.updated_at desc nulls last, m.position, l.position
    limit 1
$$;
comment on function public.resume_point(uuid) is
'The lesson at which the caller resumes a course, with the position in seconds: the unfinished lesson of their last
activity, else the first open lesson that they have not begun. No row where every open lesson is finished, or the course
is closed to the caller. For students of the course.';
