-- Learning: what later domains add to dashboards, so that a page needs one call.

create function private.parts_of_dashboard(p_user_id uuid, p_role text) returns jsonb
language plpgsql
stable
security definer -- clients may execute no function that a domain registers
set search_path = ''
as $$
declare
    v_function name;
    v_part jsonb;
    v_parts jsonb := '{}';
begin
    for v_function in select f.name from private.registered_functions('dashboard') as f (name) loop
        execute format('select private.%I($1, $2)', v_function) into v_part using p_user_id, p_role;
        v_parts := v_parts || jsonb_build_object(regexp_replace(v_function, '^dashboard__([0-9]{3}_)?', ''), v_part);
    end loop;
    return v_parts;
end
$$;
comment on function private.parts_of_dashboard(uuid, text) is
'What the functions private.dashboard__<nnn>_<key>(user_id uuid, role text), which domains registered, add to the
dashboard of a user as creator or student_teacher (p_role): {<key>: <what it returns, jsonb>}.';

create function private.dashboard_parts(p_role text) returns jsonb
language plpgsql
stable
security definer -- dashboards run as their caller, who gets only what concerns them
set search_path = ''
as $$
begin
    return private.parts_of_dashboard((select auth.uid()), p_role);
end
$$;
comment on function private.dashboard_parts(text) is
'What other domains add to the dashboard of the caller as creator or student_teacher (p_role).';
