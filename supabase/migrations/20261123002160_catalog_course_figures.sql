-- Catalog: how many lessons a course has and how long they take, counted with every change of them.

create function private.tg_lessons__count_inserted() returns trigger
language plpgsql
security definer -- figures are no client's to write
set search_path = ''
as $$
begin
    perform from public.courses as c where c.id in (select i.course_id from inserted as i) order by c.id for no key update;
    update public.courses as c
    set lesson_count = c.lesson_count + n.lessons, duration_seconds = c.duration_seconds + n.seconds
    from (
        select i.course_id, count(*) as lessons, coalesce(sum(i.duration_seconds), 0) as seconds from inserted as i
        group by i.course_id
    ) as n
    where c.id = n.course_id;
    return null;
end
$$;
comment on function private.tg_lessons__count_inserted() is 'After lessons come: their course has more.';
create trigger _300_count_inserted after insert on public.lessons
referencing new table as inserted
for each statement execute function private.tg_lessons__count_inserted();

create function private.tg_lessons__count_deleted() returns trigger
language plpgsql
security definer -- figures are no client's to write
set search_path = ''
as $$
begin
    perform from public.courses as c where c.id in (select d.course_id from deleted as d) order by c.id for no key update;
    update public.courses as c
    set lesson_count = c.lesson_count - n.lessons, duration_seconds = c.duration_seconds - n.seconds
    from (
        select d.course_id, count(*) as lessons, coalesce(sum(d.duration_seconds), 0) as seconds from deleted as d
        group by d.course_id
    ) as n
    where c.id = n.course_id;
    return null;
end
$$;
comment on function private.tg_lessons__count_deleted() is
'After lessons go: their course has fewer, where it has not gone itself.';
create trigger _300_count_deleted after delete on public.lessons
referencing old table as deleted
for each statement execute function private.tg_lessons__count_deleted();

create function private.tg_lessons__sum_durations() returns trigger
language plpgsql
security definer -- figures are no client's to write
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
'After a lesson takes longer or shorter; it stays in its course.';
create trigger _300_sum_durations after update of duration_seconds on public.lessons
for each row when (old.duration_seconds is distinct from new.duration_seconds)
execute function private.tg_lessons__sum_durations();
-- It locks the lesson before the course, and whoever reorders a curriculum the course before the lessons.
create trigger _010_take_turn_to_sum before update of duration_seconds on public.lessons
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__take_curriculum_turn();
