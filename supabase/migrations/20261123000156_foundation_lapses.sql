-- Foundation: what the worker ends each minute because its time is up. A state that ends is a state: lists and counts
-- filter by a column, and not by a comparison with the present.

create function private.lapses() returns setof name
language sql
stable
security definer -- the worker may execute no function that a domain registers
set search_path = ''
as $$
    select f.name from private.registered_functions('lapse') as f (name)
$$;
comment on function private.lapses() is
'The names of the functions private.lapse__<what>() that domains registered: each ends a few rows whose time is up, and
returns how many (bigint), 0 where none is left. Where one row can fail, it does not begin with the same one again and
again. For the worker.';

create function private.lapse(p_function name) returns bigint
language plpgsql
security definer -- the worker may execute no function that a domain registers
set search_path = ''
as $$
declare
    v_rows bigint;
begin
    if p_function in (select f.name from private.registered_functions('lapse') as f (name)) then
        execute format('select private.%I()', p_function) into v_rows;
    end if;
    return coalesce(v_rows, 0);
end
$$;
comment on function private.lapse(name) is
'Calls one function that private.lapses names, and returns how many rows it ended; 0 where there is no such function.
For the worker, which calls each until nothing is left, every time in a transaction of its own.';
