-- Foundation: arguments that functions of several domains check.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'decision_missing', 422,
    'A decision is true or false, not null.',
    'Send true or false.',
    null
);

create function private.require_decision(p_decision boolean) returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_decision is null then
        perform private.refuse('decision_missing');
    end if;
end
$$;
comment on function private.require_decision(boolean) is
'Raises PT422 decision_missing where the decision is null.';
