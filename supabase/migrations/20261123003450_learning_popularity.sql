-- Learning: the number of students of each course, for lists.

create function private.tg_enrolments__count_in_course() returns trigger
language plpgsql
security definer -- clients may not write counts
set search_path = ''
as $$
begin
    update public.course_stats as s
    set
        student_count = s.student_count
        + coalesce((new.access = 'open')::integer, 0) - coalesce((old.access = 'open')::integer, 0)
    where s.course_id = coalesce(new.course_id, old.course_id)
        and coalesce(new.access = 'open', false) <> coalesce(old.access = 'open', false);
    return null;
end
$$;
comment on function private.tg_enrolments__count_in_course() is
'After an enrolment is inserted or deleted, ends or opens again: counts the students of the course. The last lock
of an enrolment, in the order of catalog_locks.';
create trigger _310_count_in_course
after insert or delete or update of status, access_until, access on public.enrolments
for each row execute function private.tg_enrolments__count_in_course();
