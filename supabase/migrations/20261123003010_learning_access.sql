-- Learning: whether a course is open to somebody, and why or why not.

create function private.free_courses_consumed() returns jsonb
language plpgsql
stable
security definer -- reads a setting, which is closed to clients; whose courses are counted, is taken from the token
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
begin
    if v_caller is null then
        raise sqlstate 'PT401' using
            message = 'sign_in_required',
            detail = 'Only a signed-in person can do this.',
            hint = 'Send the access token of a user in the Authorization header.';
    end if;
    return jsonb_build_object(
        'consumed', private.count_intro_courses(v_caller), 'free_course_limit', private.free_course_limit()
    );
end
$$;
comment on function private.free_courses_consumed() is
'How many intro courses the caller has taken, and may take. Raises PT401 sign_in_required.';

create function public.free_courses_consumed() returns jsonb
language sql
stable
set search_path = ''
as $$
    select private.free_courses_consumed()
$$;
comment on function public.free_courses_consumed() is
'How many intro courses one has taken, those left included, and how many everybody may take: {consumed,
free_course_limit}. Raises sign_in_required (401).';

create function private.course_access(p_course_id uuid) returns jsonb
language plpgsql
stable
security definer -- must tell why a course is closed to the caller, who may not read the course then
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
    v_course public.courses;
    v_enrolment public.enrolments;
    v_obstacle text;
    v_reason text;
    v_has_access boolean;
begin
    if v_caller is null then
        raise sqlstate 'PT401' using
            message = 'sign_in_required',
            detail = 'Only a signed-in person can do this.',
            hint = 'Send the access token of a user in the Authorization header.';
    end if;
    select c.* into v_course from public.courses as c where c.id = p_course_id;
    select e.* into v_enrolment from public.enrolments as e where e.student_id = v_caller and e.course_id = p_course_id;
    if v_course.id is null or not (
        v_course.status = 'published'
        or v_course.id = any((select private.my_taught_course_ids())::uuid[])
        or v_enrolment.id is not null
        or (select private.has_role('moderator'))
    ) then
        raise sqlstate 'PT404' using
            message = 'course_not_found',
            detail = 'There is no such course, or it is not for you to see.',
            hint = 'Look it up in the catalogue.';
    end if;
    v_obstacle := private.obstacle_to_enrolling(v_course, v_enrolment, v_caller);
    v_reason := case
        when v_course.id = any((select private.my_taught_course_ids())::uuid[]) then 'creator'
        when v_course.id = any((select private.my_course_ids())::uuid[])
            then case v_enrolment.status when 'completed' then 'completed' else 'enrolled' end
        when (select private.has_role('moderator')) then 'moderator'
        when v_course.status = 'suspended' then 'course_suspended'
        when v_enrolment.status = 'cancelled' then 'cancelled'
        when v_enrolment.id is not null then 'expired'
        when not (select private.is_active()) then 'account_inactive'
        else coalesce(v_obstacle, 'not_enrolled')
    end;
    v_has_access := v_reason in ('creator', 'enrolled', 'completed', 'moderator');
    return jsonb_build_object(
        'course_id', v_course.id,
        'has_access', v_has_access,
        'reason', v_reason,
        'can_enrol', v_obstacle is null and v_reason not in ('enrolled', 'completed') and (select private.is_active()),
        'enrolment_id', v_enrolment.id,
        'access_until', v_enrolment.access_until,
        'price_amount', v_course.price_amount,
        'price_currency', v_course.price_currency,
        'is_intro', v_course.is_intro
    ) || private.free_courses_consumed();
end
$$;
comment on function private.course_access(uuid) is
'Whether a course is open to the caller, and why or why not. Raises PT401 sign_in_required, PT404 course_not_found.';

create function public.course_access(course_id uuid) returns jsonb
language sql
stable
set search_path = ''
as $$
    select private.course_access(course_access.course_id)
$$;
comment on function public.course_access(uuid) is
'Whether a course is open to the caller, why or why not, and whether he can enrol himself: {course_id, has_access,
reason, can_enrol, enrolment_id, access_until, price_amount, price_currency, is_intro, consumed, free_course_limit}.
reason, where it is open: creator, enrolled, completed, moderator. Where it is not: course_suspended; cancelled or
expired (the enrolment); account_inactive; not_published, payment_required, free_limit_reached (what hinders
enrolling); not_enrolled (nothing does). Raises sign_in_required (401), course_not_found (404).';
