-- Learning: how many take each course, for lists.

create function private.tg_enrolments__count_in_course() returns trigger
language plpgsql
security definer -- figures are no client's to write
set search_path = ''
as $$
begin
    update public.course_stats as s
    set
        student_count = s.student_count
        + coalesce((new.status <> 'cancelled')::integer, 0) - coalesce((old.status <> 'cancelled')::integer, 0)
    where s.course_id = coalesce(new.course_id, old.course_id)
        and coalesce(new.status <> 'cancelled', false) <> coalesce(old.status <> 'cancelled', false);
    return null;
end
$$;
comment on function private.tg_enrolments__count_in_course() is
'After an enrolment comes, goes, is cancelled or opened again: how many take the course. The last lock that an
enrolment takes.';
create trigger _310_count_in_course after insert or delete or update of status on public.enrolments
for each row execute function private.tg_enrolments__count_in_course();
