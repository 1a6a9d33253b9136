-- Catalog: copying a course as a draft. Each domain copies its parts of a course by a function that it registers.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'course_too_large', 422,
    'The course is too large to be copied at once.',
    'Make the new course in parts.',
    'At most %s can be copied.'
),
(
    'course_under_suspension', 409,
    'A moderator has suspended the course; a copy would evade that.',
    'Ask a moderator.',
    null
);

create function private.copied_id(p_id uuid, p_copy_id uuid) returns uuid
language sql
immutable
parallel safe
set search_path = ''
as $$
    select overlay(overlay(
        encode(substr(sha256(uuid_send(p_id) || uuid_send(p_copy_id)), 1, 16), 'hex') placing '8' from 13 for 1
    ) placing 'a' from 17 for 1)::uuid
$$;
comment on function private.copied_id(uuid, uuid) is
'The id that a part of a course has in a copy of this id: a UUID of version 8. So the parts of the copy refer to each
other as those of the original do, and no domain hands a list of ids to another.';

create function private.copy_course__100_curriculum(p_course_id uuid, p_copy_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    if (select count(*) from public.lessons as l where l.course_id = p_course_id) > 2000 then
        perform private.refuse('course_too_large', '2,000 lessons');
    elsif (
        select sum(octet_length(t.body)) from public.lesson_contents as t where t.course_id = p_course_id
    ) > 10000000 then
        perform private.refuse('course_too_large', '10,000,000 bytes of content');
    end if;
    -- Triggers number modules and lessons in the order in which they are inserted.
    insert into public.modules (id, course_id, title, description)
    select private.copied_id(m.id, p_copy_id), p_copy_id, m.title, m.description
    from public.modules as m
    where m.course_id = p_course_id
    order by m.position;
    insert into public.lessons (id, module_id, title, summary, duration_seconds, is_intro)
    select private.copied_id(l.id, p_copy_id), private.copied_id(l.module_id, p_copy_id), l.title, l.summary,
        l.duration_seconds, l.is_intro
    from public.lessons as l
    join public.modules as m on m.id = l.module_id
    where l.course_id = p_course_id
    order by m.position, l.position;
    insert into public.lesson_contents (lesson_id, body)
    select private.copied_id(t.lesson_id, p_copy_id), t.body
    from public.lesson_contents as t
    where t.course_id = p_course_id;
end
$$;
comment on function private.copy_course__100_curriculum(uuid, uuid) is
'Copies modules, lessons and their contents. Raises course_too_large (422).';

create function private.copy_parts(p_course_id uuid, p_copy_id uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_function name;
begin
    for v_function in select f.name from private.registered_functions('copy_course') as f (name) loop
        execute format('select private.%I($1, $2)', v_function) using p_course_id, p_copy_id;
    end loop;
end
$$;
comment on function private.copy_parts(uuid, uuid) is
'Copies the parts of a course to an empty one: calls private.copy_course__<nnn>_<what>(course_id uuid, copy_id uuid) of
every domain, in the order of their names. Parts get the ids of private.copied_id. Raises course_too_large (422).';

create function private.copy_course(p_course_id uuid, p_title text default null) returns public.courses
language plpgsql
security definer -- the functions that domains register are closed to clients
set search_path = ''
as $$
declare
    v_caller uuid := private.require_course_owner(p_course_id);
    v_course public.courses;
    v_copy public.courses;
begin
    perform private.lock_teacher_curriculum(v_caller);
    v_course := private.require_own_course(p_course_id);
    -- Not for admins: the copy would be theirs, and what the course says is not.
    if v_course.creator_id <> v_caller then
        perform private.refuse('course_not_found');
    elsif not private.can_teach(v_caller) then
        perform private.refuse('teacher_required');
    elsif v_course.status = 'suspended' then
        perform private.refuse('course_under_suspension');
    end if;
    insert into public.courses as c (
        creator_id, category_id, title, subtitle, description, level, language, objectives, includes, prerequisites,
        target_audience, tags, price_amount, price_currency, is_intro
    )
    values (
        v_caller, v_course.category_id, coalesce(p_title, left(v_course.title, 153) || ' (copy)'), v_course.subtitle,
        v_course.description, v_course.level, v_course.language, v_course.objectives, v_course.includes,
        v_course.prerequisites, v_course.target_audience, v_course.tags, v_course.price_amount,
        v_course.price_currency, v_course.is_intro
    )
    returning c.* into v_copy;
    perform private.copy_parts(p_course_id, v_copy.id);
    select c.* into v_copy from public.courses as c where c.id = v_copy.id;
    return v_copy;
end
$$;
comment on function private.copy_course(uuid, text) is
'Copies a course as a draft with a slug of its own, and returns the copy: description, price, modules, lessons and their
contents, gates, quizzes and their questions with keys. Without title, " (copy)" follows the title. Not copied: students,
offers, sales, figures, certificates; and files, because SQL cannot copy bytes: copy the thumbnail in storage to the
folder of the copy, and set thumbnail_path. At most 2,000 lessons, 10,000,000 bytes of content and 10,000 questions. For
the creator of the course. Raises account_inactive (403), course_not_found (404), course_under_suspension (409),
course_too_large or teacher_required (422).';
