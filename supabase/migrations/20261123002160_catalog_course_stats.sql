-- Catalog: how many lessons a course has and how long they take, counted with every change of them.

create function private.tg_lessons__count() returns trigger
language plpgsql
security definer -- clients may not write counts
set search_path = ''
as $$
declare
    v_sign constant integer := case tg_op when 'INSERT' then 1 else -1 end;
begin
    perform from public.courses as c
    where c.id in (select r.course_id from changed_rows as r)
    order by c.id for no key update;
    update public.courses as c
    set lesson_count = c.lesson_count + v_sign * n.lessons, duration_seconds = c.duration_seconds + v_sign * n.seconds
    from (
        select r.course_id, count(*) as lessons, coalesce(sum(r.duration_seconds), 0) as seconds
        from changed_rows as r
        group by r.course_id
    ) as n
    where c.id = n.course_id;
    return null;
end
$$;
comment on function private.tg_lessons__count() is
'After lessons are inserted or deleted: counts them in their courses, and sums their durations.';
create trigger _300_count_inserted after insert on public.lessons
referencing new table as changed_rows
for each statement execute function private.tg_lessons__count();
create trigger _300_count_deleted after delete on public.lessons
referencing old table as changed_rows
for each statement execute function private.tg_lessons__count();

create function private.tg_lessons__sum_durations() returns trigger
language plpgsql
security definer -- clients may not write sums
set search_path = ''
as $$
begin
    update public.courses as c
    set
        duration_seconds = c.duration_seconds
        + coalesce(new.duration_seconds, 0) - coalesce(old.duration_seconds, 0)
    where c.id = new.course_id;
    return null;
end
$$;
comment on function private.tg_lessons__sum_durations() is
'After the duration of a lesson changes: sums it in its course.';
create trigger _300_sum_durations after update of duration_seconds on public.lessons
for each row when (old.duration_seconds is distinct from new.duration_seconds)
execute function private.tg_lessons__sum_durations();
create trigger _010_lock_curriculum_to_sum before update of duration_seconds on public.lessons
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__lock_teacher_curriculum();
