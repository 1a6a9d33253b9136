-- Catalog: publishing, the one way in which a course gets its status from its creator.

create function private.missing_for_publication(p_course_id uuid) returns text[]
language sql
stable
set search_path = ''
as $$
    select array_remove(array[
        case when coalesce(c.description, '') !~ '\S' then 'description' end,
        case when not exists (select from public.modules as m where m.course_id = c.id) then 'module' end,
        case when not exists (select from public.lessons as l where l.course_id = c.id) then 'lesson' end,
        case when exists (
            select from public.lessons as l
            where l.course_id = c.id
                and not exists (
                    select from public.lesson_contents as lc where lc.lesson_id = l.id and lc.body ~ '\S'
                )
        ) then 'lesson_content' end
    ], null)
    from public.courses as c
    where c.id = p_course_id
$$;
comment on function private.missing_for_publication(uuid) is
'What a course lacks before it can be published: of description, module, lesson, lesson_content; empty when it is
ready.';

create function private.publish_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- status is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_missing text[];
    v_course public.courses;
begin
    perform private.require_course_owner(p_course_id);
    perform from public.courses as c where c.id = p_course_id for update;
    v_missing := private.missing_for_publication(p_course_id);
    if cardinality(v_missing) > 0 then
        raise sqlstate 'PT422' using
            message = 'course_incomplete',
            detail = 'The course still lacks: ' || array_to_string(v_missing, ', ') || '.',
            hint = 'Add what is missing, then publish again.';
    end if;
    update public.courses as c
    set status = 'published', published_at = coalesce(c.published_at, now())
    where c.id = p_course_id and c.status <> 'published';
    select c.* into v_course from public.courses as c where c.id = p_course_id;
    return v_course;
end
$$;
comment on function private.publish_course(uuid) is
'Publishes a complete course of the caller. Raises PT404 course_not_found, PT409 illegal_transition, PT422
course_incomplete.';

create function public.publish_course(course_id uuid) returns public.courses
language sql
set search_path = ''
as $$
    select private.publish_course(publish_course.course_id)
$$;
comment on function public.publish_course(uuid) is
'Publishes a course, and answers it. For its creator. Raises course_not_found (404), illegal_transition (409: it is
suspended), course_incomplete (422: details name what is missing).';

create function private.unpublish_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- status is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    perform private.require_course_owner(p_course_id);
    -- A suspended course may become a draft, but by the moderators' hand.
    update public.courses as c set status = 'draft' where c.id = p_course_id and c.status = 'published';
    select c.* into v_course from public.courses as c where c.id = p_course_id;
    if v_course.status <> 'draft' then
        raise sqlstate 'PT409' using
            message = 'illegal_transition',
            detail = format('courses: %s cannot become draft.', v_course.status),
            hint = 'Only a published course can be unpublished.';
    end if;
    return v_course;
end
$$;
comment on function private.unpublish_course(uuid) is
'Makes a published course of the caller a draft again. Raises PT404 course_not_found, PT409 illegal_transition.';

create function public.unpublish_course(course_id uuid) returns public.courses
language sql
set search_path = ''
as $$
    select private.unpublish_course(unpublish_course.course_id)
$$;
comment on function public.unpublish_course(uuid) is
'Takes a course out of the catalogue, and answers it; those who are enrolled keep it. For its creator. Raises
course_not_found (404), illegal_transition (409).';

create function private.tg_courses__count_published() returns trigger
language plpgsql
security definer -- figures are no client's to write
set search_path = ''
as $$
begin
    perform private.lock_user_stats(array[old.creator_id, new.creator_id]);
    update public.user_stats as s
    set published_course_count = s.published_course_count + d.change
    from (
        select e.user_id, sum(e.change) as change
        from (
            values
            (old.creator_id, -(old.status = 'published')::integer), (new.creator_id, (new.status = 'published')::integer)
        ) as e (user_id, change)
        group by e.user_id
    ) as d
    where s.user_id = d.user_id and d.change <> 0;
    return null;
end
$$;
comment on function private.tg_courses__count_published() is
'After a course comes, goes, changes its status or its creator: how many published ones each has.';
create trigger _300_count_published after insert or delete or update of status, creator_id on public.courses
for each row execute function private.tg_courses__count_published();
