-- Learning: when a course is completed, and the figures that follow from what people learn.

create function private.settle_completion(p_enrolment_id uuid) returns void
language sql
security definer -- enrolments are no client's to write
set search_path = ''
as $$
    update public.enrolments as e
    set status = 'completed', completed_at = now()
    where e.id = p_enrolment_id
        and e.status = 'active'
        and exists (select from public.lessons as l where l.course_id = e.course_id)
        and not exists (
            select from public.lessons as l
            where l.course_id = e.course_id and not exists (
                select from public.lesson_progress as p
                where p.enrolment_id = e.id and p.lesson_id = l.id and p.completed_at is not null
            )
        )
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
stays completed when the course grows later.';

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
