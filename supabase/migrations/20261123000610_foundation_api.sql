-- Foundation: the API. policies/<domain>/functions.sql exposes each function that clients may call, one a line.

create table private.api_functions (
    name text constraint api_functions_pkey primary key,
    tier text not null constraint api_functions_tier_fkey references private.rate_limits (tier) on delete restrict
);
comment on table private.api_functions is
'The functions of the API, each with its tier of rate limits. private.expose writes it.';
alter table private.api_functions enable row level security;
create index api_functions_tier_idx on private.api_functions (tier);
comment on index private.api_functions_tier_idx is 'The foreign key';

create function private.expose(p_function regprocedure, p_roles text[], p_tier text, p_name text default null)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_function pg_catalog.pg_proc;
    v_arguments text[] := '{}';
    v_values text[] := '{}';
    v_name text;
    v_face text;
    v_role text;
begin
    select p.* into v_function from pg_catalog.pg_proc as p where p.oid = p_function;
    v_name := coalesce(p_name, v_function.proname);
    v_face := format('public.%I(%s)', v_name, oidvectortypes(v_function.proargtypes));
    if v_function.pronamespace = 'private'::regnamespace then
        for v_number in 1 .. v_function.pronargs loop
            v_arguments := v_arguments || concat_ws(
                ' ',
                quote_ident(regexp_replace(v_function.proargnames[v_number], '^p_', '')),
                format_type(v_function.proargtypes[v_number - 1], null),
                'default ' || pg_get_function_arg_default(p_function, v_number)
            );
            v_values := v_values || format(
                '%I.%I', v_name, regexp_replace(v_function.proargnames[v_number], '^p_', '')
            );
        end loop;
        execute format(
            'create or replace function public.%I(%s) returns %s language sql %s%s set search_path = %L as %L',
            v_name,
            array_to_string(v_arguments, ', '),
            pg_get_function_result(p_function),
            case v_function.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
            case when v_function.proretset then format(' rows %s', v_function.prorows) end,
            '',
            format(
                case when v_function.proretset then 'select * from private.%I(%s)' else 'select private.%I(%s)' end,
                v_function.proname, array_to_string(v_values, ', ')
            )
        );
        execute format('comment on function %s is %L', v_face, obj_description(p_function, 'pg_proc'));
    end if;
    foreach v_role in array p_roles loop
        execute format('grant execute on function %s to %I', p_function, v_role);
        execute format('grant execute on function %s to %I', v_face, v_role);
    end loop;
    insert into private.api_functions (name, tier) values (v_name, p_tier)
    on conflict (name) do update set tier = excluded.tier;
end
$$;
comment on function private.expose(regprocedure, text[], text, text) is
'Makes a private function a function of the API, for these roles and at this tier of rate limits: public.<name> has the
same arguments without their p_, the same defaults, result, volatility and comment, and runs as its caller. A function
that stands in public already, because it does more than pass on, gets the grants and the tier only. For
policies/<domain>/functions.sql.';
