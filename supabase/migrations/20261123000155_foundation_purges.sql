-- Foundation: what the worker deletes every night because it has been kept long enough.

create function private.purges() returns setof name
language sql
stable
security definer -- the worker may execute no function that a domain registers
set search_path = ''
as $$
    select f.name from private.registered_functions('purge') as f (name)
$$;
comment on function private.purges() is
'The names of the functions private.purge__<what>() that domains registered: each deletes or empties rows that are old
enough, and returns how many (bigint). For the worker.';

create function private.purge(p_function name) returns bigint
language plpgsql
security definer -- the worker may execute no function that a domain registers
set search_path = ''
as $$
declare
    v_rows bigint;
begin
    if p_function in (select f.name from private.registered_functions('purge') as f (name)) then
        execute format('select private.%I()', p_function) into v_rows;
    end if;
    return v_rows;
end
$$;
comment on function private.purge(name) is
'Calls one function that private.purges names, and returns how many rows it purged; null where there is no such
function. For the worker, which calls each in a transaction of its own, so that one neither holds the locks of another
nor undoes it.';
