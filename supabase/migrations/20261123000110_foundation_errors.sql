-- Foundation: errors are data. A migration that raises an error inserts its row; private.refuse raises it.

create table private.errors (
    token text constraint errors_pkey primary key
    constraint errors_token_check check (token ~ '^[a-z][a-z0-9_]{2,62}$'),
    status smallint not null constraint errors_status_check check (status between 400 and 599),
    meaning text not null constraint errors_meaning_check check (char_length(meaning) between 1 and 300),
    hint text not null constraint errors_hint_check check (char_length(hint) between 1 and 300),
    detail text constraint errors_detail_check check (detail like '%\%s%')
);
comment on table private.errors is
'Every error that a function or trigger raises, once. error_catalogue shows it to clients; docs/errors.md is generated
from it.';
comment on column private.errors.token is 'The stable word for programs: `message` of the answer. Part of the API.';
comment on column private.errors.status is 'The HTTP status of the answer.';
comment on column private.errors.meaning is
'When the error is raised, as a sentence for people: `details` of the answer, unless `detail` says more.';
comment on column private.errors.hint is 'What the caller can do: `hint` of the answer.';
comment on column private.errors.detail is
'The sentence with a %s for each argument of private.refuse, where the answer names values; null where it names none.';
alter table private.errors enable row level security;

create function private.refuse(p_token text, variadic p_arguments text[] default '{}') returns void
language plpgsql
stable
security definer -- the catalogue is closed to the roles whose statements are refused
set search_path = ''
as $$
declare
    v_error private.errors;
begin
    select e.* into strict v_error from private.errors as e where e.token = p_token;
    raise exception using
        errcode = 'PT' || v_error.status,
        message = v_error.token,
        detail = coalesce(format(v_error.detail, variadic p_arguments), v_error.meaning),
        hint = v_error.hint;
end
$$;
comment on function private.refuse(text, text[]) is
'Raises an error of private.errors: SQLSTATE PT and the status, which PostgREST turns into the HTTP status, the token as
message, and the detail filled in with the arguments, in their order. Every function and trigger that refuses calls
it.';

create function private.error_of(p_token text) returns private.errors
language sql
stable
security definer -- the catalogue is closed to the roles whose requests are refused
set search_path = ''
as $$
    select e from private.errors as e where e.token = p_token
$$;
comment on function private.error_of(text) is 'The row of an error, for a refusal that also sets response headers.';

create function private.error_catalogue()
returns table (token text, status smallint, meaning text, hint text, kind text)
language sql
stable
security definer -- private.errors is closed; clients may read what it says
set search_path = ''
as $$
    select e.token, e.status, e.meaning, e.hint, 'error' from private.errors as e
    union all
    select
        o.conname,
        -- The statuses of PostgREST for SQLSTATE 23505 and 23503, and for the rest of class 23.
        case when o.contype in ('p', 'u', 'f') then 409 else 400 end,
        d.description,
        case
            when o.contype in ('p', 'u') then 'Choose another value, or change the row that has it.'
            when o.contype = 'f' then 'Read again the row that this one refers to, or those that refer to it.'
            else 'Send a value that meets the condition.'
        end,
        'constraint'
    from pg_catalog.pg_constraint as o
    join pg_catalog.pg_description as d on d.objoid = o.oid and d.classoid = 'pg_catalog.pg_constraint'::regclass
    where o.connamespace = 'public'::regnamespace
    order by 1
$$;
comment on function private.error_catalogue() is
'What the database refuses. kind `error`: a function or trigger raises it, and the answer has the token as its
`message`. kind `constraint`: a write to a table breaks the constraint named by the token, and Postgres''s own `message`
contains that name in double quotes. meaning and hint are sentences for people. For everybody. GET /functions/v1/errors
lists the errors of the edge.';
