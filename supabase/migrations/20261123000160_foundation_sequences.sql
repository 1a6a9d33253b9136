-- Foundation: ordered lists, whose rows stand at the positions 1, 2, 3 ... of their parent.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'sequence_incomplete', 409,
    'The list must name every item exactly once, and nothing else.',
    'Read the items again: some may have been added or removed.',
    null
);

create function private.require_same_ids(p_ids uuid[], p_listed uuid[]) returns void
language plpgsql
set search_path = ''
as $$
begin
    if (select array_agg(i.id order by i.id) from unnest(p_ids) as i (id))
        is distinct from (select array_agg(i.id order by i.id) from unnest(p_listed) as i (id))
    then
        perform private.refuse('sequence_incomplete');
    end if;
end
$$;
comment on function private.require_same_ids(uuid[], uuid[]) is
'Raises PT409 sequence_incomplete unless the second list has each id of the first exactly once, and nothing else, in any
order.';

create function private.set_positions(p_table regclass, p_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
begin
    execute format(
        'update %s as t set position = i.position from unnest($1) with ordinality as i (id, position)
        where t.id = i.id and t.position <> i.position', p_table
    ) using p_ids;
end
$$;
comment on function private.set_positions(regclass, uuid[]) is
'Gives the rows of a table the positions at which the list names their ids, from 1. The caller has locked the list.';

create function private.close_position_gaps(p_table regclass, p_parent_column name, p_parent_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
begin
    execute format(
        'update %1$s as t set position = n.position
        from (
            select s.id, row_number() over (partition by s.%2$I order by s.position) as position
            from %1$s as s
            where s.%2$I = any($1)
        ) as n
        where t.id = n.id and t.position <> n.position', p_table, p_parent_column
    ) using p_parent_ids;
end
$$;
comment on function private.close_position_gaps(regclass, name, uuid[]) is
'Moves the rows of these parents up to the positions 1, 2, 3 ..., in their present order. The table has the columns id
and position, and the named column refers to the parent. For triggers, which have locked the parents.';
