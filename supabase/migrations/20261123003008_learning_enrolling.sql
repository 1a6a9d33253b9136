-- Learning: enrolling in a course, and leaving it.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'enrolment_cancelled', 403,
    'An admin has cancelled or closed your enrolment in this course, or in a course of this offer.',
    'Ask support.',
    null
),
(
    'enrolment_completed', 409,
    'A completed enrolment stays on record.',
    'There is nothing to leave.',
    null
),
(
    'intro_limit_reached', 403,
    'You have taken as many intro courses as each member may; those that you left count.',
    'Take a course that is not an intro.',
    'Each member may take %s intro courses.'
),
(
    'payment_required', 402,
    'This course is not free.',
    'Buy it; the payment enrols you.',
    null
);

insert into private.mail_templates (template, topic) values ('enrolment_confirmed', 'learning');

create function private.is_barred(p_enrolment public.enrolments) returns boolean
language sql
immutable
set search_path = ''
as $$
    select coalesce(
        (p_enrolment.status = 'cancelled' and p_enrolment.cancelled_by <> p_enrolment.student_id)
        or (p_enrolment.access_until <= p_enrolment.access_decided_at),
        false
    )
$$;
comment on function private.is_barred(public.enrolments) is
'Whether an admin cancelled an enrolment, or closed it by setting access_until to a past instant. Neither the student
nor a payment opens it again: an admin does, by lift_enrolment_bar, enrol_student_manually or update_enrolment. False
for a null row.';

create function private.barred_course_ids(p_student_id uuid, p_course_ids uuid[]) returns uuid[]
language plpgsql
stable
security definer -- must read enrolments of others
set search_path = ''
as $$
begin
    return array(
        select e.course_id from public.enrolments as e
        where e.student_id = p_student_id and e.course_id = any(p_course_ids) and private.is_barred(e)
    );
end
$$;
comment on function private.barred_course_ids(uuid, uuid[]) is
'Those of these courses from which an admin barred the student.';

create function private.mail_enrolment(p_enrolment public.enrolments, p_idempotency_key text) returns void
language sql
security definer -- must read names that the caller may not read
set search_path = ''
as $$
    select private.enqueue_mail(
        p_enrolment.student_id,
        'enrolment_confirmed',
        jsonb_build_object(
            'course_title', c.title,
            'course_slug', c.slug,
            'creator_name', p.display_name,
            'access_until', p_enrolment.access_until
        ),
        p_idempotency_key
    )
    from public.courses as c
    join public.profiles as p on p.id = c.creator_id
    where c.id = p_enrolment.course_id
$$;
comment on function private.mail_enrolment(public.enrolments, text) is
'Enqueues the mail that confirms an enrolment, once for each key.';

create function private.lock_enrolling(p_course_id uuid, p_student_id uuid) returns public.courses
language plpgsql
security definer -- must read courses and profiles that the caller may not read
set search_path = ''
as $$
declare
    v_course public.courses;
begin
    select c.* into v_course from public.courses as c where c.id = p_course_id for share;
    perform from public.profiles as p where p.id = p_student_id for share;
    return v_course;
end
$$;
comment on function private.lock_enrolling(uuid, uuid) is
'Keeps a course, which it returns, and the profile of a student as they are until the transaction ends: price, status,
creator and names. Called before the enrolment is locked.';

create function private.enrol_student(
    p_course_id uuid, p_student_id uuid, p_source public.enrolment_source, p_access_until timestamptz
)
returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments; the caller of it has checked who may enrol
set search_path = ''
as $$
declare
    v_course public.courses := private.lock_enrolling(p_course_id, p_student_id);
    v_enrolment public.enrolments;
begin
    if v_course.creator_id = p_student_id then
        perform private.refuse('own_course');
    end if;
    insert into public.enrolments as e (course_id, student_id, source, access_until)
    values (p_course_id, p_student_id, p_source, p_access_until)
    on conflict (student_id, course_id) do update
    set
        status = case e.status when 'cancelled' then 'active' else e.status end,
        -- An enrolment that is open without end keeps its source, so that the end of a purchase does not end it.
        source = case when e.status <> 'cancelled' and e.access_until is null then e.source else excluded.source end,
        -- Enrolling again never shortens an open enrolment.
        access_until = case
            when e.status = 'cancelled' or e.access_until <= now() then excluded.access_until
            when e.access_until is not null and excluded.access_until is not null
                then greatest(e.access_until, excluded.access_until)
        end,
        -- What an admin decided about the access ends with it.
        access_decided_by = case
            when e.status <> 'cancelled' and (e.access_until is null or e.access_until > now()) then e.access_decided_by
        end,
        access_decided_at = case
            when e.status <> 'cancelled' and (e.access_until is null or e.access_until > now()) then e.access_decided_at
        end
    returning e.* into v_enrolment;
    perform private.mail_enrolment(v_enrolment, 'enrolment_confirmed:' || v_enrolment.id);
    -- A student who comes back may have finished everything.
    perform private.sync_completion(v_enrolment.id);
    select e.* into v_enrolment from public.enrolments as e where e.id = v_enrolment.id;
    return v_enrolment;
end
$$;
comment on function private.enrol_student(uuid, uuid, public.enrolment_source, timestamptz) is
'Makes every enrolment: inserts it, or opens one again that was cancelled or has ended, with all progress and attempts;
an open one stays open until the later of both ends. Mails the student the first time. Its callers check that the
student may enrol. Raises own_course (409).';

create function private.count_intro_courses(p_student_id uuid) returns integer
language sql
stable
security definer -- must read enrolments of others
set search_path = ''
as $$
    select count(*)::integer from public.enrolments as e where e.student_id = p_student_id and e.source = 'intro'
$$;
comment on function private.count_intro_courses(uuid) is
'How many intro courses somebody has taken. Those that they left count, or everybody could take all of them in turn.';

create function private.enrolment_blocker(
    p_course public.courses, p_enrolment public.enrolments, p_student_id uuid
)
returns text
language plpgsql
stable
security definer -- must read enrolments of others
set search_path = ''
as $$
begin
    return case
        when p_course.status <> 'published' then 'not_published'
        when p_course.creator_id = p_student_id then 'creator'
        when private.is_barred(p_enrolment) then 'cancelled'
        -- Students who left come back to what they had, whatever the course costs now.
        when p_enrolment.status = 'cancelled' and p_enrolment.cancelled_by = p_student_id
            and (p_enrolment.access_until is null or p_enrolment.access_until > now())
            then null
        when p_course.price_amount > 0 then 'payment_required'
        when p_course.is_intro and p_enrolment.source is distinct from 'intro'
            and private.count_intro_courses(p_student_id) >= private.intro_course_limit()
            then 'intro_limit_reached'
    end;
end
$$;
comment on function private.enrolment_blocker(public.courses, public.enrolments, uuid) is
'Why a student with this enrolment (null for none) cannot call enrol for the course: not_published, creator, cancelled
(or closed, by an admin), payment_required, intro_limit_reached; null where they can.';

create function private.enrol(p_course_id uuid) returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_course public.courses;
    v_enrolment public.enrolments;
begin
    -- One at a time for each student: two at once could both be the last intro course.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('enrolments.enrol:' || v_caller));
    v_course := private.lock_enrolling(p_course_id, v_caller);
    if v_course.status is distinct from 'published' then
        perform private.refuse('course_not_found');
    end if;
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = v_caller and e.course_id = p_course_id for no key update;
    if exists (select from private.open_enrolments as e where e.id = v_enrolment.id) then
        return v_enrolment;
    end if;
    case private.enrolment_blocker(v_course, v_enrolment, v_caller)
        when 'cancelled' then
            perform private.refuse('enrolment_cancelled');
        when 'payment_required' then
            perform private.refuse('payment_required');
        when 'intro_limit_reached' then
            perform private.refuse('intro_limit_reached', private.intro_course_limit()::text);
        else
            null; -- enrol_student refuses the creator
    end case;
    if v_enrolment.cancelled_by = v_caller and (v_enrolment.access_until is null or v_enrolment.access_until > now()) then
        return private.enrol_student(p_course_id, v_caller, v_enrolment.source, v_enrolment.access_until);
    end if;
    return private.enrol_student(
        p_course_id, v_caller, case when v_course.is_intro then 'intro' else 'free' end::public.enrolment_source, null
    );
end
$$;
comment on function private.enrol(uuid) is
'Enrols the caller in a free published course, and returns the enrolment; the same one when called again. Each person
may take only so many intro courses (intro_courses_taken); those that they left count. A student who left a course comes
back to what they had, progress and paid courses too. For members. Raises payment_required (402), account_inactive,
enrolment_cancelled (or closed, by an admin) or intro_limit_reached (403), course_not_found (404), own_course (409).';

create function private.leave_course(p_course_id uuid) returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_enrolment public.enrolments;
begin
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = v_caller and e.course_id = p_course_id and e.status <> 'cancelled' for no key update;
    if not found then
        perform private.refuse('not_enrolled');
    elsif v_enrolment.status = 'completed' then
        perform private.refuse('enrolment_completed');
    end if;
    update public.enrolments as e
    set status = 'cancelled', cancelled_by = v_caller
    where e.id = v_enrolment.id
    returning e.* into v_enrolment;
    return v_enrolment;
end
$$;
comment on function private.leave_course(uuid) is
'Cancels the enrolment of the caller in a course, which closes, and returns the enrolment. Progress and attempts stay,
and enrol brings them back while the course is published, without another payment. An intro course that was left still
counts. For students of the course who have not completed it. Raises account_inactive or not_enrolled (403),
enrolment_completed (409).';
