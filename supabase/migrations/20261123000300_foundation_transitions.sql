-- Foundation: state machines are data. A table with a column `status` uses the trigger below and inserts its allowed
-- transitions here; the trigger refuses every other one, the owner's too.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'illegal_transition', 409,
    'This status cannot follow the present one.',
    'Read the row again: its status may have changed meanwhile.',
    '%s: %s cannot become %s.'
);

create table private.status_transitions (
    table_name text not null,
    from_status text not null,
    to_status text not null,
    constraint status_transitions_pkey primary key (table_name, from_status, to_status),
    constraint status_transitions_distinct_check check (from_status <> to_status)
);
comment on table private.status_transitions is
'The allowed changes of status of each table. The default of the column is the first status.';
alter table private.status_transitions enable row level security;

create function private.tg__check_transition() returns trigger
language plpgsql
security definer -- status_transitions is closed to the roles whose statements fire this
set search_path = ''
as $$
begin
    if not exists (
        select from private.status_transitions as t
        where t.table_name = tg_table_name and t.from_status = old.status::text and t.to_status = new.status::text
    ) then
        perform private.refuse('illegal_transition', tg_table_name::text, old.status::text, new.status::text);
    end if;
    return new;
end
$$;
comment on function private.tg__check_transition() is
'Before update of status: refuses a change that private.status_transitions does not list. Raises PT409
illegal_transition.';
