-- Catalog: the order of a curriculum. The modules of a course and the lessons of a module stand at the positions 1, 2,
-- 3 ... Whatever changes a position has locked the course.

create function private.tg_modules__close_gaps() returns trigger
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
begin
    perform from public.courses as c
    where c.id in (select d.course_id from deleted_rows as d)
    order by c.id for no key update;
    perform private.close_position_gaps(
        'public.modules', 'course_id', array(select distinct d.course_id from deleted_rows as d)
    );
    return null;
end
$$;
comment on function private.tg_modules__close_gaps() is
'After modules are deleted: moves the other modules of their courses up.';
create trigger _010_lock_curriculum before delete on public.modules
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__lock_teacher_curriculum();
-- Modules that are deleted with their course leave no gap.
create trigger _300_close_gaps after delete on public.modules
referencing old table as deleted_rows
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg_modules__close_gaps();

create function private.tg_lessons__close_gaps() returns trigger
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
begin
    perform from public.courses as c
    where c.id in (select d.course_id from deleted_rows as d)
    order by c.id for no key update;
    perform private.close_position_gaps(
        'public.lessons', 'module_id', array(select distinct d.module_id from deleted_rows as d)
    );
    return null;
end
$$;
comment on function private.tg_lessons__close_gaps() is
'After lessons are deleted: moves the other lessons of their modules up.';
create trigger _010_lock_curriculum before insert or delete or update of module_id on public.lessons
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__lock_teacher_curriculum();
create trigger _300_close_gaps after delete on public.lessons
referencing old table as deleted_rows
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg_lessons__close_gaps();

create function private.tg_lessons__close_gap() returns trigger
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
begin
    perform private.close_position_gaps('public.lessons', 'module_id', array[old.module_id]);
    return null;
end
$$;
comment on function private.tg_lessons__close_gap() is
'After a lesson moves to another module: moves the lessons after it in the first module up. tg_lessons__set_position has
locked the course.';
create trigger _310_close_gap after update of module_id on public.lessons
for each row when (old.module_id <> new.module_id) execute function private.tg_lessons__close_gap();

create function private.reorder_modules(p_course_id uuid, p_module_ids uuid[]) returns setof public.modules
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
begin
    perform private.require_course_owner(p_course_id);
    perform private.lock_curriculum(p_course_id);
    perform private.require_same_ids(
        array(select m.id from public.modules as m where m.course_id = p_course_id), p_module_ids
    );
    perform private.set_positions('public.modules', p_module_ids);
    return query select m.* from public.modules as m where m.course_id = p_course_id order by m.position;
end
$$;
comment on function private.reorder_modules(uuid, uuid[]) is
'Puts the modules of a course into the order of module_ids, which lists each of them once, and returns them in it. For
the creator of the course and admins. Raises course_not_found (404), sequence_incomplete (409).';

create function private.reorder_lessons(p_module_id uuid, p_lesson_ids uuid[]) returns setof public.lessons
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
declare
    v_course_id uuid := (select m.course_id from public.modules as m where m.id = p_module_id);
begin
    perform private.require_course_owner(v_course_id);
    perform private.lock_curriculum(v_course_id);
    perform private.require_same_ids(
        array(
            select l.id from public.lessons as l
            where l.course_id = v_course_id and (l.module_id = p_module_id or l.id = any(p_lesson_ids))
        ),
        p_lesson_ids
    );
    -- First the lessons of other modules move to the end of this one, so that their modules close the gaps.
    update public.lessons as l set module_id = p_module_id where l.id = any(p_lesson_ids) and l.module_id <> p_module_id;
    perform private.set_positions('public.lessons', p_lesson_ids);
    return query select l.* from public.lessons as l where l.module_id = p_module_id order by l.position;
end
$$;
comment on function private.reorder_lessons(uuid, uuid[]) is
'Puts the lessons of a module into the order of lesson_ids, and returns them in it. lesson_ids lists every lesson of the
module once; lessons of other modules of the course that it lists move to this module. For the creator of the course and
admins. Raises course_not_found (404), sequence_incomplete (409).';
