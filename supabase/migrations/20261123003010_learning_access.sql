-- Learning: whether a course is open to somebody, and why or why not.

create function private.intro_courses_taken() returns jsonb
language plpgsql
stable
security definer -- clients may not read settings
set search_path = ''
as $$
declare
    v_caller uuid := private.require_signed_in();
begin
    return jsonb_build_object(
        'intro_courses_taken', private.count_intro_courses(v_caller),
        'intro_course_limit', private.intro_course_limit()
    );
end
$$;
comment on function private.intro_courses_taken() is
'How many intro courses the caller has taken, those that they left included, and how many each person may take:
{intro_courses_taken, intro_course_limit}. For members. Raises sign_in_required (401).';

create function private.course_access(p_course_id uuid) returns jsonb
language plpgsql
stable
security definer -- must say why a course is closed, which the caller may not read then
set search_path = ''
as $$
declare
    v_caller uuid := private.require_signed_in();
    v_course public.courses;
    v_enrolment public.enrolments;
    v_blocker text;
    v_reason text;
    v_has_access boolean;
begin
    select c.* into v_course from public.courses as c where c.id = p_course_id;
    select e.* into v_enrolment from public.enrolments as e where e.student_id = v_caller and e.course_id = p_course_id;
    if v_course.id is null or not (
        v_course.status = 'published'
        or v_course.id = any((select private.my_taught_course_ids())::uuid[])
        or v_enrolment.id is not null
        or (select private.has_role('moderator'))
    ) then
        perform private.refuse('course_not_found');
    end if;
    v_blocker := private.enrolment_blocker(v_course, v_enrolment, v_caller);
    v_reason := case
        when v_course.id = any((select private.my_taught_course_ids())::uuid[]) then 'creator'
        when v_course.id = any((select private.my_course_ids())::uuid[])
            then case v_enrolment.status when 'completed' then 'completed' else 'enrolled' end
        when (select private.has_role('moderator')) then 'moderator'
        when v_course.status = 'suspended' then 'course_suspended'
        when v_enrolment.status = 'cancelled' then 'cancelled'
        when v_enrolment.access = 'refunded' then 'refunded'
        when v_enrolment.id is not null then 'expired'
        when not (select private.is_active()) then 'account_inactive'
        else coalesce(v_blocker, 'not_enrolled')
    end;
    v_has_access := v_reason in ('creator', 'enrolled', 'completed', 'moderator');
    return jsonb_build_object(
        'course_id', v_course.id,
        'has_access', v_has_access,
        'reason', v_reason,
        'can_enrol', v_blocker is null and v_reason not in ('enrolled', 'completed') and (select private.is_active()),
        'enrolment_id', v_enrolment.id,
        'access_until', v_enrolment.access_until,
        'price_amount', v_course.price_amount,
        'price_currency', v_course.price_currency,
        'is_intro', v_course.is_intro
    ) || private.intro_courses_taken();
end
$$;
comment on function private.course_access(uuid) is
'Whether a course is open to the caller, why or why not, and whether they can enrol: {course_id, has_access, reason,
can_enrol, enrolment_id, access_until, price_amount (minor units), price_currency, is_intro, intro_courses_taken,
intro_course_limit}. reason, if it is open: creator, enrolled, completed, moderator. If it is closed:
course_suspended; cancelled, refunded or expired (the enrolment); account_inactive; not_published, payment_required,
intro_limit_reached (why enrol would refuse); not_enrolled (enrol would work). For members. Raises sign_in_required
(401), course_not_found (404).';
