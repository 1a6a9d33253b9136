-- Catalog: locks of courses, and the one order in which every transaction locks.
--
-- A transaction that takes several of these locks takes them from top to bottom, and rows of one table by their primary
-- key. Otherwise two transactions can each wait for a lock of the other, and Postgres ends one of them with 40P01,
-- deadlock detected. tests/learning/test_lock_order.py runs the writers of a course against each other.
--
--   1. The account of a person: lock_user and require_account. Then advisory locks of one person: a student who enrols,
--      a buyer, a student-teacher (lock_student_teacher).
--   2. Advisory lock of the curricula of a teacher: lock_teacher_curriculum. A statement that deletes or updates parts
--      of a course locks those rows before any trigger can lock the course; so a trigger before the statement takes
--      this lock.
--   3. Advisory lock of the categories (lock_categories), then rows of categories.
--   4. Rows of courses: lock_course, or FOR SHARE to keep a course as it was read.
--   5. Parts of courses: modules, lessons, quizzes, questions, gates.
--   6. Rows of profiles: FOR SHARE to keep a name or is_public as it was read.
--   7. Rows of course_search.
--   8. Advisory lock of the completion of a course (lock_course_completion), then rows of enrolments.
--   9. Rows of student_teachers, then of certificates.
--  10. Rows of user_stats: lock_user_stats.
--  11. Advisory lock of the placement of a creator (lock_placement), then rows of course_stats.
--  12. Seats: rows of group sessions and seminars, their slots and hosts, the advisory lock of a place (lock_place_of),
--      pools (lock_pool), places, commitments.
--  13. Offers, orders and what follows from a payment.

create function private.lock_teacher_curriculum(p_teacher_id uuid) returns void
language sql
set search_path = ''
as $$
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('curriculum:' || p_teacher_id::text, 0))
$$;
comment on function private.lock_teacher_curriculum(uuid) is
'Waits until nobody else adds, moves or deletes parts of this teacher''s courses, and keeps others waiting until the
transaction ends.';

create function private.tg__lock_teacher_curriculum() returns trigger
language plpgsql
security definer -- clients may not execute the function that it calls
set search_path = ''
as $$
begin
    -- Does nothing without a signed-in user, for the system.
    perform private.lock_teacher_curriculum((select auth.uid()));
    return null;
end
$$;
comment on function private.tg__lock_teacher_curriculum() is
'Before a statement that adds, moves or deletes parts of a course: takes the curriculum lock of the caller. Only
creators run such statements; functions take the lock of the creator for admins.';

create function private.lock_categories(p_is_shared boolean) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_key constant integer := pg_catalog.hashtext('categories');
begin
    if p_is_shared then
        perform pg_catalog.pg_advisory_xact_lock_shared(v_key);
    else
        perform pg_catalog.pg_advisory_xact_lock(v_key);
    end if;
end
$$;
comment on function private.lock_categories(boolean) is
'Keeps the categories as they are until the transaction ends. Shared, for transactions that change courses; exclusive,
for those that change categories. Deleting a category updates its courses, and changing a course locks its category:
without this lock the two deadlock.';

create function private.tg_courses__lock_categories() returns trigger
language plpgsql
security definer -- clients may not execute the function that it calls
set search_path = ''
as $$
begin
    perform private.lock_categories(true);
    return null;
end
$$;
comment on function private.tg_courses__lock_categories() is
'Before a statement that changes what depends on the category of a course: takes the shared lock of the categories.';
-- The columns by which courses are found, but not lesson_count and duration_seconds: the course is locked already when
-- those change.
create trigger _010_lock_categories
before insert or update of status, creator_id, category_id, title, subtitle, description, objectives, tags
on public.courses
for each statement execute function private.tg_courses__lock_categories();
-- Deleting a course deletes its parts.
create trigger _010_lock_curriculum before delete on public.courses
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__lock_teacher_curriculum();

create function private.lock_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- locks a row that only functions may write; the caller of it has checked who may
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    perform private.lock_categories(true);
    select c.* into v_course from public.courses as c where c.id = p_course_id for no key update;
    if not found then
        perform private.refuse('course_not_found');
    end if;
    return v_course;
end
$$;
comment on function private.lock_course(uuid) is
'Locks a course until the transaction ends, and returns it. Rows that refer to the course can still be inserted. Raises
course_not_found (404).';

create function private.lock_creator(p_course_id uuid) returns void
language sql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
    select from public.accounts as a
    where a.user_id = (select c.creator_id from public.courses as c where c.id = p_course_id) for share
$$;
comment on function private.lock_creator(uuid) is
'Keeps the status and the roles of a course''s creator until the transaction ends; called before the course is locked,
by functions that put the course into the catalogue.';

create function private.lock_curriculum(p_course_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.lock_teacher_curriculum((select c.creator_id from public.courses as c where c.id = p_course_id));
    perform from public.courses as c where c.id = p_course_id for no key update;
end
$$;
comment on function private.lock_curriculum(uuid) is
'Locks the parts of a course until the transaction ends. For functions that add, move or delete parts.';

create function private.require_own_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- locks a row that only functions may write
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    perform private.require_course_owner(p_course_id);
    v_course := private.lock_course(p_course_id);
    -- Another admin may have transferred or deleted it meanwhile.
    perform private.require_course_owner(p_course_id);
    return v_course;
end
$$;
comment on function private.require_own_course(uuid) is
'Locks a course of the caller, or any course for an admin, until the transaction ends, and returns it. Raises what
require_course_owner raises.';
