-- Learning: completion of courses.

create function private.sync_completion(p_enrolment_id uuid) returns void
language sql
security definer -- clients may not write enrolments
set search_path = ''
as $$
    update public.enrolments as e
    set status = 'completed'
    where e.id = p_enrolment_id
        and e.status = 'active'
        and e.completed_lesson_count > 0
        and e.completed_lesson_count >= (select count(*) from public.lessons as l where l.course_id = e.course_id)
        and not exists (
            select from public.quizzes as q
            where q.course_id = e.course_id and q.is_certifying and not exists (
                select from public.quiz_attempts as a
                where a.enrolment_id = e.id and a.quiz_id = q.id and a.is_passed
            )
        )
$$;
comment on function private.sync_completion(uuid) is
'Completes an active enrolment once every lesson is finished and the certifying quiz, if there is one, is passed. It
stays completed when the course grows later. Its callers have locked the enrolment.';

create function private.sync_course_completion(p_course_id uuid) returns void
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_enrolment_id uuid;
begin
    perform private.lock_course_completion(p_course_id);
    -- The locks wait for students who finish something now and do not see the change of the course.
    perform from public.enrolments as e
    where e.course_id = p_course_id and e.status = 'active'
    order by e.id for no key update;
    for v_enrolment_id in
        select e.id from public.enrolments as e
        where e.course_id = p_course_id and e.status = 'active' and e.completed_lesson_count > 0
            and e.completed_lesson_count >= (select count(*) from public.lessons as l where l.course_id = p_course_id)
        order by e.student_id -- the order of locks of user_stats
    loop
        perform private.sync_completion(v_enrolment_id);
    end loop;
end
$$;
comment on function private.sync_course_completion(uuid) is
'After a course requires less: completes the enrolments of students who have finished the rest.';

create function private.tg_lessons__sync_completion() returns trigger
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
begin
    perform private.sync_course_completion(c.course_id)
    from (select distinct d.course_id from deleted_rows as d order by d.course_id) as c;
    return null;
end
$$;
comment on function private.tg_lessons__sync_completion() is
'After lessons are deleted: completes the enrolments of students who have finished all others.';
create trigger _400_sync_completion after delete on public.lessons
referencing old table as deleted_rows
for each statement execute function private.tg_lessons__sync_completion();

create function private.tg_quizzes__sync_completion() returns trigger
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
begin
    perform private.sync_course_completion(old.course_id);
    return null;
end
$$;
comment on function private.tg_quizzes__sync_completion() is
'After the certifying quiz is deleted or stops certifying: completes the enrolments of students who have finished all
lessons.';
create trigger _400_sync_completion_deleted after delete on public.quizzes
for each row when (old.is_certifying) execute function private.tg_quizzes__sync_completion();
create trigger _400_sync_completion after update of is_certifying on public.quizzes
for each row when (old.is_certifying and not new.is_certifying) execute function private.tg_quizzes__sync_completion();

create function private.tg_quiz_attempts__record_activity() returns trigger
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
begin
    update public.enrolments as e
    set last_activity_at = now()
    where e.id = new.enrolment_id and new.status <> 'expired' and e.last_activity_at < now() - interval '1 minute';
    return null;
end
$$;
comment on function private.tg_quiz_attempts__record_activity() is
'After an attempt begins, is submitted, or has answers saved: writes the instant of the activity to the enrolment. What
the clock hands in is no activity.';
create trigger _300_record_activity after insert or update of status, saved_at on public.quiz_attempts
for each row execute function private.tg_quiz_attempts__record_activity();

create function private.tg_courses__recount_creators() returns trigger
language plpgsql
security definer -- clients may not write counts
set search_path = ''
as $$
begin
    perform private.lock_user_stats(array[old.creator_id, new.creator_id]);
    perform private.recount_user_stats(old.creator_id);
    perform private.recount_user_stats(new.creator_id);
    return null;
end
$$;
comment on function private.tg_courses__recount_creators() is
'After a course is transferred: counts the students of both creators again.';
create trigger _400_recount_creators after update of creator_id on public.courses
for each row when (old.creator_id <> new.creator_id) execute function private.tg_courses__recount_creators();
