-- Catalog: the order of a curriculum. Whatever changes it does so under the lock of the course, so that the positions
-- of modules in their course, and of lessons in their module, are always 1, 2, 3 ...

create function private.take_curriculum_turn(p_teacher_id uuid) returns void
language sql
set search_path = ''
as $$
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('curriculum:' || p_teacher_id::text, 0))
$$;
comment on function private.take_curriculum_turn(uuid) is
'Waits until nobody else moves or deletes parts of this teacher''s courses, until the transaction ends. A statement that
deletes locks its rows before any trigger can lock the course: without turns, it and a reordering would wait for each
other.';

create function private.tg__take_curriculum_turn() returns trigger
language plpgsql
security definer -- the function that it calls is closed; the turn is the caller's own
set search_path = ''
as $$
begin
    -- Whoever has none, writes as the system.
    perform private.take_curriculum_turn((select auth.uid()));
    return null;
end
$$;
comment on function private.tg__take_curriculum_turn() is
'Before a statement that moves or deletes parts of a course: the caller''s turn. Only the creator deletes, and functions
take the creator''s turn for others.';

create function private.lock_curriculum(p_course_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.take_curriculum_turn((select c.creator_id from public.courses as c where c.id = p_course_id));
    perform from public.courses as c where c.id = p_course_id for no key update;
end
$$;
comment on function private.lock_curriculum(uuid) is
'Locks the order of a course until the transaction ends. For functions that change it.';

create function private.refuse_order() returns void
language plpgsql
set search_path = ''
as $$
begin
    raise sqlstate 'PT409' using
        message = 'order_incomplete',
        detail = 'The list must name everything that is there, each once, and nothing else.',
        hint = 'Read what is there again: somebody may have added or removed something.';
end
$$;
comment on function private.refuse_order() is
'Refuses a list that is no order of what there is. Raises PT409 order_incomplete.';

create function private.tg_modules__close_gaps() returns trigger
language plpgsql
security definer -- positions are no client's to write
set search_path = ''
as $$
begin
    perform from public.courses as c
    where c.id in (select g.course_id from gone as g)
    order by c.id for no key update;
    update public.modules as m set position = p.place
    from (
        select s.id, row_number() over (partition by s.course_id order by s.position) as place
        from public.modules as s
        where s.course_id in (select g.course_id from gone as g)
    ) as p
    where m.id = p.id and m.position <> p.place;
    return null;
end
$$;
comment on function private.tg_modules__close_gaps() is
'After modules are deleted: those that are left of their courses stand at 1, 2, 3 ...';
create trigger _010_take_turn before delete on public.modules
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__take_curriculum_turn();
-- What goes with its course leaves no gap behind.
create trigger _300_close_gaps after delete on public.modules
referencing old table as gone
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg_modules__close_gaps();

create function private.close_lesson_gaps(p_module_ids uuid[]) returns void
language sql
set search_path = ''
as $$
    update public.lessons as l set position = p.place
    from (
        select s.id, row_number() over (partition by s.module_id order by s.position) as place
        from public.lessons as s
        where s.module_id = any(p_module_ids)
    ) as p
    where l.id = p.id and l.position <> p.place
$$;
comment on function private.close_lesson_gaps(uuid[]) is
'Puts the lessons of these modules at 1, 2, 3 ... For triggers, which have locked the course.';

create function private.tg_lessons__close_gaps() returns trigger
language plpgsql
security definer -- positions are no client's to write
set search_path = ''
as $$
begin
    perform from public.courses as c
    where c.id in (select g.course_id from gone as g)
    order by c.id for no key update;
    perform private.close_lesson_gaps((select array_agg(distinct g.module_id) from gone as g));
    return null;
end
$$;
comment on function private.tg_lessons__close_gaps() is
'After lessons are deleted: those that are left of their modules stand at 1, 2, 3 ...';
create trigger _010_take_turn before delete or update of module_id on public.lessons
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__take_curriculum_turn();
create trigger _300_close_gaps after delete on public.lessons
referencing old table as gone
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg_lessons__close_gaps();

create function private.tg_lessons__close_gap() returns trigger
language plpgsql
security definer -- positions are no client's to write
set search_path = ''
as $$
begin
    perform private.close_lesson_gaps(array[old.module_id]);
    return null;
end
$$;
comment on function private.tg_lessons__close_gap() is
'After a lesson moved to another module, for which the course is locked: the one that it left has no gap.';
create trigger _310_close_gap after update of module_id on public.lessons
for each row when (old.module_id <> new.module_id) execute function private.tg_lessons__close_gap();

create function private.reorder_modules(p_course_id uuid, p_module_ids uuid[]) returns setof public.modules
language plpgsql
security definer -- positions are no client's to write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_course_owner(p_course_id);
    perform private.lock_curriculum(p_course_id);
    if (select array_agg(m.id order by m.id) from public.modules as m where m.course_id = p_course_id)
        is distinct from (select array_agg(o.id order by o.id) from unnest(p_module_ids) as o (id))
    then
        perform private.refuse_order();
    end if;
    update public.modules as m set position = o.place
    from unnest(p_module_ids) with ordinality as o (id, place)
    where m.id = o.id and m.position <> o.place;
    return query select m.* from public.modules as m where m.course_id = p_course_id order by m.position;
end
$$;
comment on function private.reorder_modules(uuid, uuid[]) is
'Puts the modules of a course into this order. Raises PT404 course_not_found, PT409 order_incomplete.';

create function public.reorder_modules(course_id uuid, module_ids uuid[]) returns setof public.modules
language sql
set search_path = ''
as $$
    select m.* from private.reorder_modules(reorder_modules.course_id, reorder_modules.module_ids) as m
$$;
comment on function public.reorder_modules(uuid, uuid[]) is
'Puts the modules of a course into an order, and answers them in it. module_ids: every module of the course, once. For
the course''s creator. Raises course_not_found (404), order_incomplete (409).';

create function private.reorder_lessons(p_module_id uuid, p_lesson_ids uuid[]) returns setof public.lessons
language plpgsql
security definer -- positions are no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_course_id uuid := (select m.course_id from public.modules as m where m.id = p_module_id);
begin
    perform private.require_course_owner(v_course_id);
    perform private.lock_curriculum(v_course_id);
    if exists (select from unnest(p_lesson_ids) as o (id) group by o.id having count(*) > 1)
        or exists (
            select from unnest(p_lesson_ids) as o (id)
            where not exists (select from public.lessons as l where l.id = o.id and l.course_id = v_course_id)
        )
        or exists (
            select from public.lessons as l
            where l.module_id = p_module_id and not exists (select from unnest(p_lesson_ids) as o (id) where o.id = l.id)
        )
    then
        perform private.refuse_order();
    end if;
    -- First those that come from other modules, whose place is then the last, so that their modules have no gap.
    update public.lessons as l set module_id = p_module_id where l.id = any(p_lesson_ids) and l.module_id <> p_module_id;
    update public.lessons as l set position = o.place
    from unnest(p_lesson_ids) with ordinality as o (id, place)
    where l.id = o.id and l.position <> o.place;
    return query select l.* from public.lessons as l where l.module_id = p_module_id order by l.position;
end
$$;
comment on function private.reorder_lessons(uuid, uuid[]) is
'Puts the lessons of a module into this order, with others of the course that come over. Raises PT404 course_not_found,
PT409 order_incomplete.';

create function public.reorder_lessons(module_id uuid, lesson_ids uuid[]) returns setof public.lessons
language sql
set search_path = ''
as $$
    select l.* from private.reorder_lessons(reorder_lessons.module_id, reorder_lessons.lesson_ids) as l
$$;
comment on function public.reorder_lessons(uuid, uuid[]) is
'Puts the lessons of a module into an order, and answers them in it. lesson_ids: every lesson of the module, once, and
with them any of the course''s other modules, which move here. For the course''s creator. Raises course_not_found (404),
order_incomplete (409).';
