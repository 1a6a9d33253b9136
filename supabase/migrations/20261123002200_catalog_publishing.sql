-- Catalog: publishing, the one way in which a course gets its status from its creator.

create function private.publication_items(p_course_id uuid)
returns table (item text, is_required boolean, is_done boolean, missing_count bigint)
language plpgsql -- names what later domains add to a course
stable
security definer -- counts what the caller, who has been checked, need not be able to read
set search_path = ''
as $$
begin
    return query
    select i.item, i.is_required, i.missing = 0, i.missing
    from public.courses as c
    cross join lateral (
        values
        ('description', true, (coalesce(c.description, '') !~ '\S')::integer::bigint),
        ('module', true, (not exists (select from public.modules as m where m.course_id = c.id))::integer),
        ('lesson', true, (c.lesson_count = 0)::integer),
        ('lesson_content', true, (
            select count(*) from public.lessons as l
            where l.course_id = c.id
                and not exists (
                    select from public.lesson_contents as lc where lc.lesson_id = l.id and lc.body ~ '\S'
                )
        )),
        ('quiz_question', true, (
            select count(*) from public.quizzes as q
            where q.course_id = c.id and not exists (select from public.quiz_questions as i where i.quiz_id = q.id)
        )),
        ('category', false, (c.category_id is null)::integer),
        ('subtitle', false, (coalesce(c.subtitle, '') !~ '\S')::integer),
        ('objectives', false, (c.objectives = '{}')::integer),
        ('thumbnail', false, (c.thumbnail_path is null)::integer),
        ('intro_lesson', false, (
            not exists (select from public.lessons as l where l.course_id = c.id and l.is_intro)
        )::integer)
    ) as i (item, is_required, missing)
    where c.id = p_course_id;
end
$$;
comment on function private.publication_items(uuid) is
'What a course has of what a published one must have (is_required) or should have, and how many are missing of each.';

create function private.publication_checklist(p_course_id uuid)
returns table (item text, is_required boolean, is_done boolean, missing_count bigint)
language plpgsql
stable
security definer -- whose course it is, is checked below
set search_path = ''
as $$
begin
    perform private.require_course_owner(p_course_id);
    return query select i.* from private.publication_items(p_course_id) as i;
end
$$;
comment on function private.publication_checklist(uuid) is
'publication_items for the creator of the course. Raises what require_course_owner raises.';

create function public.publication_checklist(course_id uuid)
returns table (item text, is_required boolean, is_done boolean, missing_count bigint)
language sql
stable
set search_path = ''
as $$
    select c.* from private.publication_checklist(publication_checklist.course_id) as c
$$;
comment on function public.publication_checklist(uuid) is
'What a course has and lacks, item by item: description, module, lesson, lesson_content (of every lesson),
quiz_question (of every quiz), without which (is_required) publish_course refuses; category, subtitle, objectives,
thumbnail, intro_lesson, which help it to be found. missing_count: how many lessons lack content, quizzes questions.
For the course''s creator and admins. Raises course_not_found (404).';

create function private.audit_others_course(p_action text, p_before public.courses, p_after public.courses) returns void
language plpgsql
security definer -- the audit log is closed to clients
set search_path = ''
as $$
declare
    v_after jsonb := to_jsonb(p_after);
    v_changes jsonb;
    v_old jsonb;
begin
    if (select auth.uid()) = p_before.creator_id then
        return;
    end if;
    select jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, v_after -> o.key) into v_old, v_changes
    from jsonb_each(to_jsonb(p_before)) as o
    where v_after -> o.key is distinct from o.value and o.key not in ('search', 'updated_at');
    perform private.audit(p_action, 'courses', p_before.id::text, v_old, case when v_after is not null then v_changes end);
end
$$;
comment on function private.audit_others_course(text, public.courses, public.courses) is
'Records what somebody did to a course that is not his own: what of it changed, as it was and as it became.';

create function private.tg_courses__audit() returns trigger
language plpgsql
security definer -- the audit log is closed to clients
set search_path = ''
as $$
begin
    perform private.audit_others_course('course.update', old, new);
    return null;
end
$$;
comment on function private.tg_courses__audit() is
'After somebody else than the creator, who can only be an admin, changed what the creator writes: the audit log says
it. What functions change, they record themselves.';
create trigger _500_audit after update of
category_id, slug, title, subtitle, description, level, language, objectives, includes, prerequisites, target_audience,
tags, thumbnail_path, price_amount, price_currency, is_intro
on public.courses
for each row when (auth.uid() <> old.creator_id) execute function private.tg_courses__audit();

create function private.set_course_status(
    p_course public.courses, p_status public.course_status, p_action text, p_reason text default null
)
returns public.courses
language plpgsql
security definer -- status is no client's to write; who calls it has checked who may
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    update public.courses as c
    set
        status = p_status,
        status_reason = p_reason,
        published_at = case p_status when 'published' then coalesce(c.published_at, now()) else c.published_at end,
        is_featured = c.is_featured and p_status not in ('suspended', 'deleted')
    where c.id = p_course.id
    returning c.* into v_course;
    perform private.audit_others_course(p_action, p_course, v_course);
    return v_course;
end
$$;
comment on function private.set_course_status(public.courses, public.course_status, text, text) is
'Gives a course, locked and as it is, another status; records it where it is not the caller''s own. Raises PT409
illegal_transition by a trigger.';

create function private.require_own_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- locks a row whose status is no client's to write
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    perform private.require_course_owner(p_course_id);
    select c.* into v_course from public.courses as c where c.id = p_course_id for update;
    -- It may have changed hands, or gone, while this waited.
    perform private.require_course_owner(p_course_id);
    return v_course;
end
$$;
comment on function private.require_own_course(uuid) is
'A course of the caller, or for admins any, locked until the transaction ends. Raises what require_course_owner
raises.';

create function private.publish_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- status is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_missing text[];
    v_course public.courses;
begin
    v_course := private.require_own_course(p_course_id);
    v_missing := array(select i.item from private.publication_items(p_course_id) as i where i.is_required and not i.is_done);
    if cardinality(v_missing) > 0 then
        raise sqlstate 'PT422' using
            message = 'course_incomplete',
            detail = 'The course still lacks: ' || array_to_string(v_missing, ', ') || '.',
            hint = 'Add what is missing, then publish again: publication_checklist shows it.';
    elsif v_course.status = 'published' then
        return v_course;
    end if;
    return private.set_course_status(v_course, 'published', 'course.publish');
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
'Publishes a course, or an archived one again, and answers it. For its creator and admins. Raises course_not_found
(404), illegal_transition (409: it is suspended or deleted), course_incomplete (422: details name what is missing;
publication_checklist tells it as data).';

create function private.unpublish_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- status is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    v_course := private.require_own_course(p_course_id);
    if v_course.status = 'draft' then
        return v_course;
    elsif v_course.status <> 'published' then
        raise sqlstate 'PT409' using
            message = 'illegal_transition',
            detail = format('courses: %s cannot become draft.', v_course.status),
            hint = 'Only a published course can be unpublished.';
    end if;
    return private.set_course_status(v_course, 'draft', 'course.unpublish');
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

create function private.archive_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- status is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    v_course := private.require_own_course(p_course_id);
    if v_course.status = 'archived' then
        return v_course;
    elsif v_course.status <> 'published' then
        raise sqlstate 'PT409' using
            message = 'illegal_transition',
            detail = format('courses: %s cannot become archived.', v_course.status),
            hint = 'Only a published course can be archived.';
    end if;
    return private.set_course_status(v_course, 'archived', 'course.archive');
end
$$;
comment on function private.archive_course(uuid) is
'Archives a published course of the caller. Raises PT404 course_not_found, PT409 illegal_transition.';

create function public.archive_course(course_id uuid) returns public.courses
language sql
set search_path = ''
as $$
    select private.archive_course(archive_course.course_id)
$$;
comment on function public.archive_course(uuid) is
'Takes a course out of the catalogue for good, and answers it; those who are enrolled keep it, and publish_course
brings it back. For its creator and admins. Raises course_not_found (404), illegal_transition (409).';

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
