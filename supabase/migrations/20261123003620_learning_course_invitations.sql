-- Learning: enrolling a list of people. An admin enrols those who have an account, and invites the others. A teacher
-- invites all to a free course, and learns of nobody whether they have an account: those who accept are enrolled.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'course_not_free', 422,
    'A teacher invites students to free courses only: to others they come by payment, or an admin enrols them.',
    'Set the price to 0, or sell an offer of the course.',
    null
),
(
    'invitation_not_found', 404,
    'There is no invitation to this course for you, or it is over.',
    'Read course_invitations with the address that was invited, confirmed.',
    null
),
(
    'list_too_long', 422,
    'The list is empty or too long.',
    'Send 1 to 500 people at a time; a course has at most 5,000 open invitations.',
    null
);

create table public.course_invitations (
    id uuid not null default gen_random_uuid() constraint course_invitations_pkey primary key,
    course_id uuid not null
    constraint course_invitations_course_id_fkey references public.courses (id) on delete cascade,
    recipient text not null constraint course_invitations_recipient_check check (char_length(recipient) <= 254),
    invited_by uuid not null
    constraint course_invitations_invited_by_fkey references public.profiles (id) on delete cascade,
    access_until timestamptz,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '90 days',
    accepted_at timestamptz,
    constraint course_invitations_course_id_recipient_key unique (course_id, recipient)
);
comment on table public.course_invitations is
'Invitations to courses, one a course and person. The inviter, the person and admins read them, as they have addresses,
and may delete one: to withdraw or decline it. enrol_list and accept_course_invitation write it. Rows go after 90 days.';
comment on column public.course_invitations.recipient is
'Who is invited, as the inviter wrote it: an address in lower case, or the id of a user. There need not be such an
account.';
comment on column public.course_invitations.invited_by is
'The creator of the course, or an admin. Their right to invite is asked again when it is accepted.';
comment on column public.course_invitations.access_until is
'When the course closes to the person, if an admin invites; null for never.';
comment on column public.course_invitations.expires_at is 'When it is over, 90 days after it was last made.';
comment on column public.course_invitations.accepted_at is 'When the person accepted it, or null.';
alter table public.course_invitations enable row level security;
revoke all on public.course_invitations from anon, authenticated, service_role;
create index course_invitations_recipient_idx on public.course_invitations (recipient);
comment on index public.course_invitations_recipient_idx is 'The invitations of a person, and the policies';
create index course_invitations_invited_by_idx on public.course_invitations (invited_by);
comment on index public.course_invitations_invited_by_idx is 'The foreign key';
create index course_invitations_expires_at_idx on public.course_invitations (expires_at);
comment on index public.course_invitations_expires_at_idx is 'purge__course_invitations';

insert into private.mail_templates (template, topic) values ('course_invitation', 'learning');

create function private.my_invitation_names() returns text[]
language plpgsql
stable
security definer -- the policies of course_invitations call it
set search_path = ''
as $$
begin
    return (
        select array_remove(array[
            a.user_id::text, case when a.email_confirmed_at is not null and not a.is_anonymous then lower(a.email) end
        ], null)
        from public.accounts as a
        where a.user_id = (select auth.uid()) and a.status <> 'deleted'
    );
end
$$;
comment on function private.my_invitation_names() is
'As whom the caller may be invited: their id, and their address once it is confirmed. Policies call it as
any((select private.my_invitation_names())::text[]).';

create function private.user_ids_of(p_recipients text[]) returns table (recipient text, user_id uuid)
language sql
stable
set search_path = ''
as $$
    select r.recipient, a.user_id
    from unnest(p_recipients) as r (recipient)
    join public.accounts as a on a.status in ('active', 'suspended') and not a.is_anonymous and (
            (a.email = r.recipient and a.email_confirmed_at is not null)
            or a.user_id = private.uuid_or_null(r.recipient)
        )
$$;
comment on function private.user_ids_of(text[]) is
'The accounts of these addresses, where they are confirmed, and ids.';

create function private.is_admin_account(p_user_id uuid) returns boolean
language sql
stable
set search_path = ''
as $$
    select private.is_account_active(p_user_id) and exists (
        select from public.user_roles as r where r.user_id = p_user_id and r.role >= 'admin'
    )
$$;
comment on function private.is_admin_account(uuid) is 'Whether this user is an admin now, with an active account.';

create function private.invite_students(p_course public.courses, p_recipients text[], p_access_until timestamptz)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_caller uuid := (select auth.uid());
    v_user_id uuid;
begin
    insert into public.course_invitations as i (course_id, recipient, invited_by, access_until)
    select p_course.id, r.recipient, v_caller, p_access_until
    from unnest(p_recipients) as r (recipient)
    order by r.recipient
    -- An open invitation begins anew. One that was accepted stays.
    on conflict (course_id, recipient) do update
    set invited_by = excluded.invited_by, access_until = excluded.access_until, expires_at = excluded.expires_at
    where i.accepted_at is null
        -- What an admin grants is more than what a teacher may.
        and (private.is_admin_account(v_caller) or not private.is_admin_account(i.invited_by));
    if (
        select count(*) from public.course_invitations as i where i.course_id = p_course.id and i.accepted_at is null
    ) > 5000 then
        perform private.refuse('list_too_long');
    end if;
    for v_user_id in
        select u.user_id from private.user_ids_of(p_recipients) as u
        -- However many courses invite somebody: three mails a day.
        where (
            select count(*) from private.mail_outbox as m
            where m.user_id = u.user_id and m.template = 'course_invitation' and m.params <> '{}'
                and m.created_at > now() - interval '1 day'
        ) < 3
        order by u.user_id
    loop
        perform private.enqueue_mail(
            v_user_id, 'course_invitation',
            jsonb_build_object(
                'course_title', p_course.title, 'course_slug', p_course.slug,
                'inviter_name', (select p.display_name from public.profiles as p where p.id = v_caller)
            ),
            format('course_invitation:%s:%s', p_course.id, v_user_id)
        );
    end loop;
end
$$;
comment on function private.invite_students(public.courses, text[], timestamptz) is
'Invites these people to a course, and mails those with an account: once for each course, and three invitations a day.
Raises list_too_long (422).';

create function private.enrol_list(
    p_course_id uuid, p_recipients text[], p_access_until timestamptz default null
)
returns table (recipient text, outcome text)
language plpgsql
security definer -- clients may not write enrolments and invitations, nor look accounts up
set search_path = ''
as $$
declare
    v_is_admin boolean;
    v_course public.courses;
    v_recipients text[];
    v_valid text[];
    v_user_ids uuid[] := '{}';
    v_enrolled uuid[] := '{}';
    v_open uuid[];
    v_barred uuid[];
    v_user_id uuid;
    v_before public.enrolments;
begin
    perform private.require_course_owner(p_course_id);
    v_is_admin := private.has_role('admin');
    v_recipients := array(
        select distinct lower(btrim(r.recipient)) from unnest(p_recipients) as r (recipient) where r.recipient ~ '\S'
    );
    if cardinality(v_recipients) not between 1 and 500 then
        perform private.refuse('list_too_long');
    end if;
    v_valid := array(
        select r.recipient from unnest(v_recipients) as r (recipient)
        where char_length(r.recipient) <= 254 and (
                r.recipient ~ '^[^@[:space:][:cntrl:]]{1,64}@[^@[:space:][:cntrl:].]+(\.[^@[:space:][:cntrl:].]+)+$'
                or private.uuid_or_null(r.recipient) is not null
            )
    );
    if v_is_admin then
        -- All locks in their order before the first enrolment, as catalog_locks has it.
        v_user_ids := array(select distinct u.user_id from private.user_ids_of(v_valid) as u order by u.user_id);
        perform from public.accounts as a where a.user_id = any(v_user_ids) order by a.user_id for no key update;
        foreach v_user_id in array v_user_ids loop
            perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('enrolments.enrol:' || v_user_id));
        end loop;
    end if;
    select c.* into v_course from public.courses as c where c.id = p_course_id for share;
    if v_course.status in ('suspended', 'deleted') then
        perform private.refuse('course_closed', v_course.status::text);
    elsif not v_is_admin and v_course.price_amount > 0 then
        perform private.refuse('course_not_free');
    end if;
    if v_is_admin then
        -- The profile of the creator, too: each enrolment after the first comes when user_stats are locked.
        perform from public.profiles as p
        where p.id = any(v_user_ids || v_course.creator_id) order by p.id for share;
        perform from public.enrolments as e
        where e.course_id = p_course_id and e.student_id = any(v_user_ids) order by e.id for no key update;
        v_open := array(
            select e.student_id from private.open_enrolments as e
            where e.course_id = p_course_id and e.student_id = any(v_user_ids)
        );
        v_barred := array(
            select e.student_id from public.enrolments as e
            where e.course_id = p_course_id and e.student_id = any(v_user_ids) and private.is_barred(e)
        );
        perform private.lock_user_stats(v_user_ids || v_course.creator_id);
        foreach v_user_id in array v_user_ids loop
            if v_user_id <> all(v_open || v_barred || v_course.creator_id) then
                select e.* into v_before from public.enrolments as e
                where e.course_id = p_course_id and e.student_id = v_user_id;
                perform private.enrol_by_decision(v_before, p_course_id, v_user_id, p_access_until);
                v_enrolled := v_enrolled || v_user_id;
            end if;
        end loop;
    end if;
    perform private.invite_students(
        v_course,
        array(
            select r.recipient from unnest(v_valid) as r (recipient)
            where not v_is_admin or (
                    r.recipient like '%@%'
                    and r.recipient not in (select u.recipient from private.user_ids_of(v_valid) as u)
                )
        ),
        case when v_is_admin then p_access_until end
    );
    return query
    select r.recipient, case
        when r.recipient <> all(v_valid) then 'invalid'
        when not v_is_admin then 'invited'
        when u.user_id = any(v_enrolled) then 'enrolled'
        when u.user_id = any(v_open) then 'already_enrolled'
        when u.user_id = any(v_barred) then 'barred'
        when u.user_id = v_course.creator_id then 'own_course'
        when r.recipient like '%@%' then 'invited'
        else 'not_found'
    end
    from unnest(v_recipients) as r (recipient)
    left join private.user_ids_of(v_valid) as u on u.recipient = r.recipient
    order by r.recipient;
end
$$;
comment on function private.enrol_list(uuid, text[], timestamptz) is
'Enrols a list of up to 500 people in a course: addresses, or ids of users. Returns {recipient, outcome} for each; the
same list again changes nothing. An admin enrols those who have an account with that address confirmed, in any course
and until access_until: enrolled, already_enrolled, barred (an admin cancelled the enrolment: decide on them by
enrol_student_manually), own_course; the others are invited (addresses) or not_found (ids). A teacher invites everybody
to a free course of theirs, and each outcome is invited, whether there is an account or not: who accepts by
accept_course_invitation is enrolled. invalid: neither an address nor an id. For the creator of the course and admins.
Raises account_inactive (403), course_not_found (404), course_closed (409: it is suspended or deleted), course_not_free
or list_too_long (422).';

create function private.accept_course_invitation(p_course_id uuid) returns public.enrolments
language plpgsql
security definer -- clients may not write enrolments
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_course public.courses;
    v_invitation public.course_invitations;
    v_enrolment public.enrolments;
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('enrolments.enrol:' || v_caller));
    v_course := private.lock_enrolling(p_course_id, v_caller);
    select i.* into v_invitation from public.course_invitations as i
    where i.course_id = p_course_id and i.recipient = any(private.my_invitation_names())
        and i.accepted_at is null and i.expires_at > now()
    -- To both the address and the id: the one of an admin first.
    order by private.is_admin_account(i.invited_by) desc, i.id limit 1;
    if not found then
        perform private.refuse('invitation_not_found');
    end if;
    select e.* into v_enrolment from public.enrolments as e
    where e.student_id = v_caller and e.course_id = p_course_id for no key update;
    if exists (select from private.open_enrolments as e where e.id = v_enrolment.id) then
        null;
    elsif private.is_admin_account(v_invitation.invited_by) then
        if v_course.status in ('suspended', 'deleted') then
            perform private.refuse('course_closed', v_course.status::text);
        elsif private.is_barred(v_enrolment) then
            perform private.refuse('enrolment_cancelled');
        elsif v_invitation.access_until <= now() then
            perform private.refuse('invitation_not_found');
        end if;
        v_enrolment := private.enrol_student(p_course_id, v_caller, 'manual', v_invitation.access_until);
        update public.enrolments as e
        set access_decided_by = v_invitation.invited_by, access_decided_at = now()
        where e.id = v_enrolment.id
        returning e.* into v_enrolment;
    elsif v_course.creator_id = v_invitation.invited_by and private.can_teach(v_invitation.invited_by) then
        v_enrolment := private.enrol(p_course_id);
    else
        perform private.refuse('invitation_not_found');
    end if;
    update public.course_invitations as i set accepted_at = now()
    where i.course_id = p_course_id and i.recipient = any(private.my_invitation_names());
    return v_enrolment;
end
$$;
comment on function private.accept_course_invitation(uuid) is
'Accepts the invitation of the caller to a course, and returns the enrolment. That of a teacher enrols as enrol does,
while the course is published, free and theirs; that of an admin, in any course, while they are one. For members whose
confirmed address, or id, was invited. Raises payment_required (402), account_inactive, enrolment_cancelled or
intro_limit_reached (403), course_not_found or invitation_not_found (404), course_closed or own_course (409).';

create function private.purge__course_invitations() returns bigint
language sql
set search_path = ''
as $$
    with purged as (
        delete from public.course_invitations as i where i.expires_at < now()
        returning i.id
    )
    select count(*) from purged
$$;
comment on function private.purge__course_invitations() is 'Deletes invitations that are over; returns how many.';

create function private.account_ended__258_course_invitations(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    delete from public.course_invitations as i where i.invited_by = p_user_id or i.recipient = p_user_id::text
$$;
comment on function private.account_ended__258_course_invitations(uuid) is
'Deletes the invitations that a deleted user made, and those to their id. Those to their address, of which nobody knows
that it was theirs, go when they are over.';
