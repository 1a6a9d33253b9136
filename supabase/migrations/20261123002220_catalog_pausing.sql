-- Catalog: courses of a creator who cannot teach now, because the account was suspended, banned or deleted, or the role
-- was lost. They leave the catalogue and take no new students; those who have them keep them. Suspension and loss of
-- the role are undone by their end; what the creator or an admin decided about a course meanwhile stays.

create function private.pause_courses(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.lock_categories(true);
    perform from public.courses as c where c.creator_id = p_user_id and c.status = 'published'
    order by c.id for no key update;
    -- In the order of catalog_locks: a deletion changes the profile after the statistics that follow the courses.
    perform from public.profiles as p where p.id = p_user_id for no key update;
    update public.courses as c set status = 'paused' where c.creator_id = p_user_id and c.status = 'published';
end
$$;
comment on function private.pause_courses(uuid) is
'Takes the published courses of a creator out of the catalogue, until resume_courses.';

create function private.resume_courses(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    if not private.can_teach(p_user_id) then
        return;
    end if;
    perform private.lock_categories(true);
    perform from public.courses as c where c.creator_id = p_user_id and c.status = 'paused'
    order by c.id for no key update;
    update public.courses as c set status = 'published' where c.creator_id = p_user_id and c.status = 'paused';
end
$$;
comment on function private.resume_courses(uuid) is
'Publishes the paused courses of a creator again, unless they still cannot teach for another reason.';

create function private.account_stopped__200_courses(p_user_id uuid, p_status public.account_status) returns void
language sql
set search_path = ''
as $$
    select private.pause_courses(p_user_id)
$$;
comment on function private.account_stopped__200_courses(uuid, public.account_status) is
'The courses of the user leave the catalogue.';

create function private.account_resumed__200_courses(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    select private.resume_courses(p_user_id)
$$;
comment on function private.account_resumed__200_courses(uuid) is
'The courses of the user return to the catalogue.';

create function private.role_lost__200_courses(p_user_id uuid, p_role public.app_role) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_role = 'teacher' then
        perform private.pause_courses(p_user_id);
    end if;
end
$$;
comment on function private.role_lost__200_courses(uuid, public.app_role) is
'The courses of a former teacher leave the catalogue.';

create function private.role_gained__200_courses(p_user_id uuid, p_role public.app_role) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_role = 'teacher' then
        perform private.resume_courses(p_user_id);
    end if;
end
$$;
comment on function private.role_gained__200_courses(uuid, public.app_role) is
'The courses of somebody who is a teacher again return to the catalogue.';
