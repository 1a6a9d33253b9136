-- Catalog: what creators do with the status of a course.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'course_incomplete', 422,
    'The course lacks something that a published course must have: description, module, lesson, content, question.',
    'Add what details names, then publish again; publication_checklist shows it.',
    'The course still lacks: %s.'
),
(
    'course_published', 409,
    'A published course keeps what publishing requires: description, module, lesson, content, question.',
    'Add another first, or make the course a draft with unpublish_course.',
    'The published course would lack: %s.'
);

create function private.publication_items__catalog(p_course_id uuid)
returns table (item text, is_required boolean, is_done boolean, missing_count bigint)
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    select i.item, i.is_required, i.missing = 0, i.missing
    from public.courses as c
    cross join lateral (
        values
        ('description', true, (not private.is_visible(coalesce(c.description, '')))::integer::bigint),
        ('module', true, (not exists (select from public.modules as m where m.course_id = c.id))::integer),
        ('lesson', true, (c.lesson_count = 0)::integer),
        ('lesson_content', true, (
            select count(*) from public.lessons as l
            where l.course_id = c.id
                and not exists (
                    select from public.lesson_contents as lc where lc.lesson_id = l.id and private.is_visible(lc.body)
                )
        )),
        ('category', false, (c.category_id is null)::integer),
        ('subtitle', false, (not private.is_visible(coalesce(c.subtitle, '')))::integer),
        ('objectives', false, (c.objectives = '{}')::integer),
        ('thumbnail', false, (c.thumbnail_path is null)::integer),
        ('intro_lesson', false, (
            not exists (select from public.lessons as l where l.course_id = c.id and l.is_intro)
        )::integer)
    ) as i (item, is_required, missing)
    where c.id = p_course_id;
end
$$;
comment on function private.publication_items__catalog(uuid) is
'The items that a course itself has or lacks: description, module, lesson, lesson_content, category, subtitle,
objectives, thumbnail, intro_lesson.';

create function private.publication_items(p_course_id uuid)
returns table (item text, is_required boolean, is_done boolean, missing_count bigint)
language plpgsql
stable
security definer -- counts rows that the caller may not read; its callers check who may
set search_path = ''
as $$
declare
    v_function name;
    v_calls text[] := '{}';
begin
    for v_function in select f.name from private.registered_functions('publication_items') as f (name) loop
        v_calls := v_calls || format(
            'select %s as part, f.* from private.%I($1) with ordinality as f (item, is_required, is_done, missing_count, n)',
            cardinality(v_calls), v_function
        );
    end loop;
    return query execute format(
        'select i.item, i.is_required, i.is_done, i.missing_count from (%s) as i order by i.is_required desc, i.part, i.n',
        array_to_string(v_calls, ' union all ')
    ) using p_course_id;
end
$$;
comment on function private.publication_items(uuid) is
'What a published course must have (is_required) or should have, required items first: whether it has each, and how many
are missing. Each domain adds items by private.publication_items__<what>(course_id uuid), which returns the same
columns.';

create function private.publication_checklist(p_course_id uuid)
returns table (item text, is_required boolean, is_done boolean, missing_count bigint)
language plpgsql
stable
security definer -- clients may not execute publication_items, which checks no caller
set search_path = ''
as $$
begin
    perform private.require_course_owner(p_course_id);
    return query select i.* from private.publication_items(p_course_id) as i;
end
$$;
comment on function private.publication_checklist(uuid) is
'Lists what a course has and lacks, one row an item. publish_course refuses a course that lacks an item with
is_required: description, module, lesson, lesson_content (of every lesson), quiz_question (of every quiz). The others
help it to be found: category, subtitle, objectives, thumbnail, intro_lesson. missing_count is the number of lessons
without content or of quizzes without questions. For the creator of the course and admins. Raises course_not_found
(404).';

create function private.require_publishable(p_item text, p_course_ids uuid[]) returns void
language plpgsql
security definer -- must read courses of every status
set search_path = ''
as $$
begin
    if exists (
        select from public.courses as c
        -- A course that is paused or suspended returns to its status without another check.
        where c.id = any(p_course_ids) and coalesce(c.suspended_from, c.status) in ('published', 'paused')
    ) then
        perform private.refuse('course_published', p_item);
    end if;
end
$$;
comment on function private.require_publishable(text, uuid[]) is
'Refuses that these courses, which lack an item that publishing requires, are published. Raises course_published
(409).';

create function private.tg__keep_publishable() returns trigger
language plpgsql
security definer -- locks courses, and must read all of their parts
set search_path = ''
as $$
declare
    v_course_ids uuid[] := array(select distinct d.course_id from deleted_rows as d);
begin
    -- The lock waits for publish_course, or lets it see what is left.
    perform from public.courses as c where c.id = any(v_course_ids) order by c.id for share;
    perform private.require_publishable(tg_argv[0], array(
        select c.id
        from unnest(v_course_ids) as c (id)
        join private.publication_items__catalog(c.id) as i on i.item = tg_argv[0] and not i.is_done
    ));
    return null;
end
$$;
comment on function private.tg__keep_publishable() is
'After modules or lessons are deleted: refuses it where a published course keeps none. Raises course_published (409).';
create trigger _350_keep_publishable after delete on public.modules
referencing old table as deleted_rows
for each statement execute function private.tg__keep_publishable('module');
create trigger _350_keep_publishable after delete on public.lessons
referencing old table as deleted_rows
for each statement execute function private.tg__keep_publishable('lesson');

create function private.tg_lesson_contents__keep_publishable() returns trigger
language plpgsql
security definer -- locks courses, and must read all lessons
set search_path = ''
as $$
begin
    -- Not where the lesson is deleted, too.
    if exists (select from public.lessons as l where l.id = old.lesson_id) then
        perform from public.courses as c where c.id = old.course_id for share;
        perform private.require_publishable('lesson_content', array[old.course_id]);
    end if;
    return null;
end
$$;
comment on function private.tg_lesson_contents__keep_publishable() is
'After the content of a lesson is deleted or becomes blank: refuses it where the course is published. Raises
course_published (409).';
create trigger _010_lock_curriculum before delete or update of body on public.lesson_contents
for each statement when (pg_catalog.pg_trigger_depth() = 0) execute function private.tg__lock_teacher_curriculum();
create trigger _350_keep_publishable_deleted after delete on public.lesson_contents
for each row execute function private.tg_lesson_contents__keep_publishable();
create trigger _350_keep_publishable after update of body on public.lesson_contents
for each row when (old.body ~ '\S' and new.body !~ '\S')
execute function private.tg_lesson_contents__keep_publishable();

create function private.tg_courses__keep_publishable() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if coalesce(new.suspended_from, new.status) in ('published', 'paused') then
        perform private.refuse('course_published', 'description');
    end if;
    return new;
end
$$;
comment on function private.tg_courses__keep_publishable() is
'Before the description of a course becomes blank: refuses it where the course is published. Raises course_published
(409).';
create trigger _150_keep_publishable before update of description on public.courses
for each row when (coalesce(old.description, '') ~ '\S' and coalesce(new.description, '') !~ '\S')
execute function private.tg_courses__keep_publishable();

create function private.audit_others_course(p_action text, p_before public.courses, p_after public.courses) returns void
language plpgsql
security definer -- clients may not write the audit log
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
'Records an action on a course of somebody else: the columns that changed, before and after.';

create function private.tg_courses__audit() returns trigger
language plpgsql
security definer -- clients may not write the audit log
set search_path = ''
as $$
begin
    perform private.audit_others_course('course.update', old, new);
    return null;
end
$$;
comment on function private.tg_courses__audit() is
'After an admin changes columns that creators write, of a course of somebody else: records it. Functions record what
they change themselves.';
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
security definer -- clients may not write the status; the caller of it has checked who may
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
'Gives a course, which the caller has locked, another status, and records it where the course is somebody else''s.
Raises illegal_transition (409).';

create function private.publish_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- clients may not write the status
set search_path = ''
as $$
declare
    v_course public.courses;
    v_missing text[];
begin
    perform private.lock_creator(p_course_id);
    v_course := private.require_own_course(p_course_id);
    if not private.can_teach(v_course.creator_id) then
        perform private.refuse('teacher_required');
    end if;
    v_missing := array(select i.item from private.publication_items(p_course_id) as i where i.is_required and not i.is_done);
    if cardinality(v_missing) > 0 then
        perform private.refuse('course_incomplete', array_to_string(v_missing, ', '));
    elsif v_course.status = 'published' then
        return v_course;
    elsif v_course.status = 'suspended' then
        -- Only unsuspend_course makes this transition.
        perform private.refuse('illegal_transition', 'courses', 'suspended', 'published');
    end if;
    return private.set_course_status(v_course, 'published', 'course.publish');
end
$$;
comment on function private.publish_course(uuid) is
'Publishes a draft or an archived course, and returns it; a published one stays as it is. For the creator of the course
and admins. Raises course_not_found (404), illegal_transition (409: it is suspended or deleted), teacher_required (422:
an admin publishes the course of a creator who cannot teach now), course_incomplete (422: details names what is missing,
publication_checklist lists it).';

create function private.withdraw_course(p_course public.courses, p_status public.course_status, p_action text)
returns public.courses
language plpgsql
set search_path = ''
as $$
begin
    if p_course.status = p_status then
        return p_course;
    elsif p_course.status not in ('published', 'paused') then
        perform private.refuse('illegal_transition', 'courses', p_course.status::text, p_status::text);
    end if;
    return private.set_course_status(p_course, p_status, p_action);
end
$$;
comment on function private.withdraw_course(public.courses, public.course_status, text) is
'Takes a published or paused course, which its caller has locked, out of the catalogue; one that has the status already
stays as it is. Raises illegal_transition (409).';

create function private.unpublish_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- clients may not write the status
set search_path = ''
as $$
begin
    return private.withdraw_course(private.require_own_course(p_course_id), 'draft', 'course.unpublish');
end
$$;
comment on function private.unpublish_course(uuid) is
'Makes a published course a draft again, and returns it; students keep it. For the creator of the course and admins.
Raises course_not_found (404), illegal_transition (409: it is archived, suspended or deleted).';

create function private.archive_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- clients may not write the status
set search_path = ''
as $$
begin
    return private.withdraw_course(private.require_own_course(p_course_id), 'archived', 'course.archive');
end
$$;
comment on function private.archive_course(uuid) is
'Takes a published course out of the catalogue for good, and returns it; students keep it, and publish_course brings it
back. For the creator of the course and admins. Raises course_not_found (404), illegal_transition (409: it is a draft,
suspended or deleted).';

alter table public.user_stats
add column published_course_count integer not null default 0
constraint user_stats_published_course_count_check check (published_course_count >= 0),
add column student_count integer not null default 0
constraint user_stats_student_count_check check (student_count >= 0);
comment on column public.user_stats.published_course_count is 'How many published courses the user has created.';
comment on column public.user_stats.student_count is
'How many users take, or took, a course of the user. learning counts them; lists of creators sort by it.';

create function private.recount_user_stats__courses(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.user_stats as s
    set published_course_count = (
        select count(*) from public.courses as c where c.creator_id = s.user_id and c.status = 'published'
    )
    where s.user_id = p_user_id
$$;
comment on function private.recount_user_stats__courses(uuid) is 'Counts published courses.';

create function private.tg_courses__count_published() returns trigger
language plpgsql
security definer -- clients may not write counts
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
'After a course is inserted or deleted, or changes its status or creator: counts the published courses of its
creators.';
create trigger _300_count_published after insert or delete or update of status, creator_id on public.courses
for each row execute function private.tg_courses__count_published();
