-- Foundation: how a domain adds to what all domains share, without editing it.

create function private.registered_functions(p_point text) returns setof name
language sql
stable
set search_path = ''
as $$
    select p.proname from pg_catalog.pg_proc as p
    where p.pronamespace = 'private'::regnamespace and starts_with(p.proname, p_point || '__')
    order by p.proname
$$;
comment on function private.registered_functions(text) is
'The functions that domains registered at a shared point, in the order of their names: private.<point>__<what>. Creating
such a function registers it; where the order matters, <what> begins with three digits. The function that owns the point
calls each of them by its name, and its comment says which arguments they take and what they return.';
