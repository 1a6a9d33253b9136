-- Learning: when a course is completed, and the figures that follow from what people learn.

create function private.settle_completion(p_enrolment_id uuid) returns void
language sql
security definer -- enrolments are no client's to write
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
comment on function private.settle_completion(uuid) is
'Marks an active enrolment completed once every lesson is finished and the certifying quiz, if there is one, passed. It
stays completed when the course grows later. Called with the enrolment locked.';

create function private.settle_course(p_course_id uuid) returns void
language plpgsql
security definer -- enrolments are no client's to write
set search_path = ''
as $$
declare
    v_enrolment_id uuid;
begin
    perform private.lock_course_settling(p_course_id);
    -- Whoever is just finishing something has not seen what changed, and is waited for.
    perform from public.enrolments as e
    where e.course_id = p_course_id and e.status = 'active'
    order by e.id for no key update;
    for v_enrolment_id in
        select e.id from public.enrolments as e
        where e.course_id = p_course_id and e.status = 'active' and e.completed_lesson_count > 0
            and e.completed_lesson_count >= (select count(*) from public.lessons as l where l.course_id = p_course_id)
        order by e.student_id -- in which order figures are locked
    loop
        perform private.settle_completion(v_enrolment_id);
    end loop;
end
$$;
comment on function private.settle_course(uuid) is
'After a course asks less of its students: whoever has done all that is left, has completed it.';

create function private.tg_lessons__settle() returns trigger
language plpgsql
security definer -- enrolments are no client's to write
set search_path = ''
as $$
begin
    perform private.settle_course(c.course_id)
    from (select distinct g.course_id from gone as g order by g.course_id) as c;
    return null;
end
$$;
comment on function private.tg_lessons__settle() is
'After lessons are deleted: whoever has finished all the others has completed the course.';
create trigger _400_settle after delete on public.lessons
referencing old table as gone
for each statement execute function private.tg_lessons__settle();

create function private.tg_quizzes__settle() returns trigger
language plpgsql
security definer -- enrolments are no client's to write
set search_path = ''
as $$
begin
    perform private.settle_course(old.course_id);
    return null;
end
$$;
comment on function private.tg_quizzes__settle() is
'After a quiz certifies no more, or is deleted: whoever has finished all lessons has completed the course.';
create trigger _400_settle_deleted after delete on public.quizzes
for each row when (old.is_certifying) execute function private.tg_quizzes__settle();
create trigger _400_settle after update of is_certifying on public.quizzes
for each row when (old.is_certifying and not new.is_certifying) execute function private.tg_quizzes__settle();

create function private.tg_quiz_attempts__record_activity() returns trigger
language plpgsql
security definer -- enrolments are no client's to write
set search_path = ''
as $$
begin
    update public.enrolments as e
    set last_activity_at = now()
    where e.id = new.enrolment_id and e.last_activity_at < now() - interval '1 minute';
    return null;
end
$$;
comment on function private.tg_quiz_attempts__record_activity() is
'After an attempt is begun or handed in: when the student last did something in the course.';
create trigger _300_record_activity after insert or update of status on public.quiz_attempts
for each row execute function private.tg_quiz_attempts__record_activity();

create function private.recount_user_stats(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.lock_user_stats(array[p_user_id]); -- what is counted below, is counted after it
    update public.user_stats as s
    set
        follower_count = (select count(*) from public.follows as f where f.followee_id = s.user_id),
        following_count = (select count(*) from public.follows as f where f.follower_id = s.user_id),
        published_course_count = (
            select count(*) from public.courses as c where c.creator_id = s.user_id and c.status = 'published'
        ),
        student_count = (
            select count(distinct e.student_id)
            from public.courses as c
            join public.enrolments as e on e.course_id = c.id and e.status <> 'cancelled'
            where c.creator_id = s.user_id
        ),
        enrolment_count = (
            select count(*) from public.enrolments as e where e.student_id = s.user_id and e.status <> 'cancelled'
        ),
        completed_course_count = (
            select count(*) from public.enrolments as e where e.student_id = s.user_id and e.status = 'completed'
        ),
        certificate_count = (
            select count(*) from public.certificates as c where c.student_id = s.user_id and c.status = 'issued'
        ),
        verified_qualification_count = (
            select count(*) from public.user_qualifications as q where q.user_id = s.user_id and q.is_verified
        )
    where s.user_id = p_user_id;
end
$$;
comment on function private.recount_user_stats(uuid) is
'Counts what the triggers keep, anew: what user_stats must be at any time. For a course that changes hands, and for
operators.';

create function private.tg_courses__recount_creators() returns trigger
language plpgsql
security definer -- figures are no client's to write
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
'After a course changes hands: its students are the new creator''s, too, and perhaps the old one''s no more.';
create trigger _400_recount_creators after update of creator_id on public.courses
for each row when (old.creator_id <> new.creator_id) execute function private.tg_courses__recount_creators();
