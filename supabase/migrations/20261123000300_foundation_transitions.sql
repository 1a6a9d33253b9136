-- Foundation: state machines are data. A table with a `status` hangs the trigger below on itself and lists here which
-- status may follow which; every other change is refused, whoever asks.

create table private.status_transitions (
    table_name text not null,
    from_status text not null,
    to_status text not null,
    constraint status_transitions_pkey primary key (table_name, from_status, to_status),
    constraint status_transitions_distinct_check check (from_status <> to_status)
);
comment on table private.status_transitions is
'Which status may follow which, by table. A table starts in the default of its status column.';
alter table private.status_transitions enable row level security;

create function private.tg__check_transition() returns trigger
language plpgsql
security definer -- the table of transitions is closed to the roles whose statements fire this
set search_path = ''
as $$
begin
    if not exists (
        select from private.status_transitions as t
        where t.table_name = tg_table_name and t.from_status = old.status::text and t.to_status = new.status::text
    ) then
        raise sqlstate 'PT409' using
            message = 'illegal_transition',
            detail = format('%s: %s cannot become %s.', tg_table_name, old.status, new.status),
            hint = 'Read the row again: its status may have changed meanwhile.';
    end if;
    return new;
end
$$;
comment on function private.tg__check_transition() is
'Before update of status: refuses a change that private.status_transitions does not list. Raises PT409
illegal_transition.';
