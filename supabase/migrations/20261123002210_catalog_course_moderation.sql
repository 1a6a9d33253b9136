-- Catalog: deleting a course, and what moderators and admins do to one. The audit log records each action.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'course_not_published', 409,
    'Only a published course can be featured.',
    'Feature it when it is published.',
    null
),
(
    'reason_missing', 422,
    'The person concerned receives the reason, and none was given.',
    'Send a reason.',
    null
),
(
    'teacher_required', 422,
    'A course belongs to a teacher with an active account.',
    'Grant the role teacher first.',
    null
);

create function private.require_reason(p_reason text) returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if not private.is_visible(coalesce(p_reason, '')) then
        perform private.refuse('reason_missing');
    end if;
end
$$;
comment on function private.require_reason(text) is
'Requires a reason of which something is visible. Raises reason_missing (422).';

create function private.is_referred_to(p_table regclass, p_id uuid) returns boolean
language plpgsql
stable
set search_path = ''
as $$
declare
    v_key record;
    v_is_found boolean;
begin
    for v_key in
        select c.conrelid::regclass as referring, a.attname as name
        from pg_catalog.pg_constraint as c
        -- Of a key with several columns, the one that refers to `id`.
        join pg_catalog.pg_attribute as r on r.attrelid = c.confrelid and r.attname = 'id'
        join pg_catalog.pg_attribute as a
            on a.attrelid = c.conrelid and a.attnum = c.conkey[array_position(c.confkey, r.attnum)]
        where c.contype = 'f' and c.confrelid = p_table and c.confdeltype = 'r'
    loop
        execute format('select exists (select from %s as t where t.%I = $1)', v_key.referring, v_key.name)
        into v_is_found using p_id;
        if v_is_found then
            return true;
        end if;
    end loop;
    return false;
end
$$;
comment on function private.is_referred_to(regclass, uuid) is
'Whether a row refers to this one by a foreign key with ON DELETE RESTRICT, so that it cannot be deleted. Deleting it
and catching the error would lock rows in the order of the foreign keys.';

create function private.delete_course(p_course_id uuid) returns boolean
language plpgsql
security definer -- must see rows of others that refer to the course
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    perform private.require_course_owner(p_course_id);
    perform private.lock_teacher_curriculum((select c.creator_id from public.courses as c where c.id = p_course_id));
    v_course := private.require_own_course(p_course_id);
    if v_course.status = 'suspended' then
        perform private.refuse('illegal_transition', 'courses', 'suspended', 'deleted');
    elsif v_course.status = 'deleted' then
        return false;
    elsif private.is_referred_to('public.courses', p_course_id) then
        perform private.set_course_status(v_course, 'deleted', 'course.delete');
        return false;
    end if;
    perform from public.profiles as p where p.id = v_course.creator_id for share;
    perform private.lock_user_stats(array[v_course.creator_id]);
    delete from public.courses as c where c.id = p_course_id;
    perform private.audit_others_course('course.delete', v_course, null);
    return true;
end
$$;
comment on function private.delete_course(uuid) is
'Deletes a course. Returns true where nobody ever enrolled in it or bought it: the course and everything in it are gone.
Returns false where somebody did: its status becomes deleted for good, only its students keep it. For the creator of the
course and admins. Raises course_not_found (404), illegal_transition (409: it is suspended).';

create function private.require_moderated_course(p_course_id uuid, p_role public.app_role) returns public.courses
language plpgsql
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    perform private.require_role(p_role);
    v_course := private.lock_course(p_course_id);
    if v_course.status = 'deleted' then
        perform private.refuse('course_not_found');
    end if;
    return v_course;
end
$$;
comment on function private.require_moderated_course(uuid, public.app_role) is
'Requires the role, then locks a course that is not deleted, and returns it. Raises role_required (403),
course_not_found (404).';

create function private.set_course_featured(p_course public.courses, p_is_featured boolean) returns public.courses
language plpgsql
security definer -- clients may not write is_featured; the caller of it has checked who may
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    if p_course.is_featured = p_is_featured then
        return p_course;
    end if;
    update public.courses as c set is_featured = p_is_featured where c.id = p_course.id returning c.* into v_course;
    perform private.audit(
        case when p_is_featured then 'course.feature' else 'course.unfeature' end, 'courses', p_course.id::text,
        jsonb_build_object('is_featured', p_course.is_featured), jsonb_build_object('is_featured', p_is_featured)
    );
    return v_course;
end
$$;
comment on function private.set_course_featured(public.courses, boolean) is
'Features a course, which the caller has locked, or stops featuring it, and records it.';

create function private.feature_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- clients may not write is_featured
set search_path = ''
as $$
declare
    v_course public.courses := private.require_moderated_course(p_course_id, 'admin');
begin
    if v_course.status <> 'published' then
        perform private.refuse('course_not_published');
    end if;
    return private.set_course_featured(v_course, true);
end
$$;
comment on function private.feature_course(uuid) is
'Features a published course (is_featured), and returns it. Audited. For admins. Raises role_required (403),
course_not_found (404), course_not_published (409).';

create function private.unfeature_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- clients may not write is_featured
set search_path = ''
as $$
begin
    return private.set_course_featured(private.require_moderated_course(p_course_id, 'admin'), false);
end
$$;
comment on function private.unfeature_course(uuid) is
'Stops featuring a course, and returns it. Audited. For admins. Raises role_required (403), course_not_found (404).';

insert into private.mail_templates (template, topic)
values ('course_suspended', 'account'), ('course_unsuspended', 'account');

create function private.set_course_suspended(p_before public.courses, p_is_suspended boolean, p_reason text)
returns public.courses
language plpgsql
security definer -- clients may not write the status; the caller of it has checked who may
set search_path = ''
as $$
declare
    v_status constant public.course_status := case
        when p_is_suspended then 'suspended'
        when p_before.suspended_from in ('published', 'paused') then
            case when private.can_teach(p_before.creator_id) then 'published' else 'paused' end::public.course_status
        else coalesce(p_before.suspended_from, 'draft')
    end;
    v_course public.courses;
begin
    if p_before.creator_id = (select auth.uid()) then
        perform private.refuse('target_protected');
    elsif p_is_suspended = (p_before.status = 'suspended') then
        perform private.refuse(
            'illegal_transition', 'courses', p_before.status::text, case when p_is_suspended then 'suspended' else 'draft' end
        );
    end if;
    update public.courses as c
    set status = v_status, status_reason = p_reason, is_featured = false
    where c.id = p_before.id
    returning c.* into v_course;
    perform private.audit(
        case when p_is_suspended then 'course.suspend' else 'course.unsuspend' end, 'courses', v_course.id::text,
        jsonb_build_object('status', p_before.status, 'reason', p_before.status_reason),
        jsonb_build_object('status', v_course.status, 'reason', v_course.status_reason)
    );
    perform private.enqueue_mail(
        v_course.creator_id,
        case when p_is_suspended then 'course_suspended' else 'course_unsuspended' end,
        jsonb_build_object('course_title', v_course.title)
        || case
            when p_is_suspended then jsonb_build_object('reason', p_reason)
            else jsonb_build_object('is_published', v_course.status = 'published')
        end,
        format('course_status:%s:%s', v_course.id, extract(epoch from clock_timestamp()))
    );
    return v_course;
end
$$;
comment on function private.set_course_suspended(public.courses, boolean, text) is
'Suspends a course, which its caller has locked, or gives it back the status before, records it, and mails the creator.
Raises target_protected (403), illegal_transition (409).';

create function private.suspend_course(p_course_id uuid, p_reason text) returns public.courses
language plpgsql
security definer -- clients may not write the status
set search_path = ''
as $$
begin
    perform private.require_role('moderator');
    perform private.require_reason(p_reason);
    return private.set_course_suspended(private.require_moderated_course(p_course_id, 'moderator'), true, p_reason);
end
$$;
comment on function private.suspend_course(uuid, text) is
'Suspends a course, and returns it: only its creator, who gets a mail with the reason, and moderators see it; its
students keep its row with the reason, and nothing that is in it. Audited. For moderators. Raises role_required or target_protected (403: the course is the caller''s own), course_not_found (404),
illegal_transition (409), reason_missing (422).';

create function private.unsuspend_course(p_course_id uuid) returns public.courses
language plpgsql
security definer -- clients may not write the status
set search_path = ''
as $$
begin
    perform private.require_role('moderator');
    perform private.lock_creator(p_course_id);
    return private.set_course_suspended(private.require_moderated_course(p_course_id, 'moderator'), false, null);
end
$$;
comment on function private.unsuspend_course(uuid) is
'Gives a suspended course the status that it had before (paused instead of published while its creator cannot teach),
mails its creator, and returns it. Students have it again at once. Audited. For moderators. Raises role_required or target_protected (403: the course is the
caller''s own), course_not_found (404), illegal_transition (409).';

create function private.report_course_transfer(p_course_id uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_function name;
begin
    for v_function in select f.name from private.registered_functions('course_transfer_begun') as f (name) loop
        execute format('select private.%I($1)', v_function) using p_course_id;
    end loop;
end
$$;
comment on function private.report_course_transfer(uuid) is
'Calls private.course_transfer_begun__<what>(course_id uuid) of every domain, before the course is locked.';

create function private.transfer_course(p_course_id uuid, p_creator_id uuid) returns public.courses
language plpgsql
security definer -- clients may not write creator_id
set search_path = ''
as $$
declare
    v_before public.courses;
    v_course public.courses;
begin
    perform private.require_role('admin');
    -- The lock waits for a suspension of the account, or a loss of the role, that is not committed yet.
    perform from public.accounts as a where a.user_id = p_creator_id for share;
    perform private.report_course_transfer(p_course_id);
    v_before := private.require_moderated_course(p_course_id, 'admin');
    if not private.can_teach(p_creator_id) then
        perform private.refuse('teacher_required');
    elsif v_before.creator_id = p_creator_id then
        return v_before;
    end if;
    update public.courses as c
    set creator_id = p_creator_id, status = case c.status when 'paused' then 'published' else c.status end
    where c.id = p_course_id
    returning c.* into v_course;
    perform private.audit(
        'course.transfer', 'courses', p_course_id::text,
        jsonb_build_object('creator_id', v_before.creator_id), jsonb_build_object('creator_id', p_creator_id)
    );
    return v_course;
end
$$;
comment on function private.transfer_course(uuid, uuid) is
'Makes another teacher the creator of a course and everything in it, and returns it; students keep it, and one that was
paused with its creator is published again. Unpaid orders of it are cancelled. Audited. For admins. Raises role_required (403), course_not_found (404), own_course (409: the teacher is enrolled in it),
teacher_required (422).';
