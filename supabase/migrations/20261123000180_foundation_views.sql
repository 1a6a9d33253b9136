-- Foundation: views of the API.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'view_read_only', 405,
    'This view is read-only.',
    'Write the tables that it shows.',
    '%s is read-only.'
);

create function private.tg__refuse_write() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform private.refuse('view_read_only', tg_table_name::text);
end
$$;
comment on function private.tg__refuse_write() is
'Instead of a write to a view. Without it, Postgres refuses a write to a view of several tables before it checks
privileges, and PostgREST answers 500. Raises PT405 view_read_only.';
