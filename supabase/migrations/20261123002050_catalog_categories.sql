-- Catalog: the order of the categories, and making one of two.

create function private.lock_categories() returns void
language sql
set search_path = ''
as $$
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('categories'))
$$;
comment on function private.lock_categories() is
'Until the transaction ends nobody else adds, removes or moves a category. Taken before any row of them is locked.';

create function private.tg_categories__lock() returns trigger
language plpgsql
security definer -- what it calls is closed to clients
set search_path = ''
as $$
begin
    perform private.lock_categories();
    return null;
end
$$;
comment on function private.tg_categories__lock() is
'Before a statement that adds or removes categories: one at a time.';
create trigger _010_lock before insert or delete on public.categories
for each statement execute function private.tg_categories__lock();

create function private.tg_categories__set_position() returns trigger
language plpgsql
security definer -- the last position must be seen by whoever adds one
set search_path = ''
as $$
begin
    new.position := (select coalesce(max(c.position), 0) + 1 from public.categories as c);
    return new;
end
$$;
comment on function private.tg_categories__set_position() is 'Before insert: a category comes last.';
create trigger _050_set_position before insert on public.categories
for each row execute function private.tg_categories__set_position();

create function private.tg_categories__close_gaps() returns trigger
language plpgsql
security definer -- positions are no client's to write
set search_path = ''
as $$
begin
    update public.categories as c
    set position = n.position
    from (select k.id, row_number() over (order by k.position) as position from public.categories as k) as n
    where c.id = n.id and c.position <> n.position;
    return null;
end
$$;
comment on function private.tg_categories__close_gaps() is 'After categories are removed: those that remain move up.';
create trigger _300_close_gaps after delete on public.categories
for each statement execute function private.tg_categories__close_gaps();

create function private.reorder_categories(p_category_ids uuid[]) returns void
language plpgsql
security definer -- positions are no client's to write; the check below decides
set search_path = ''
as $$
begin
    perform private.require_role('admin');
    perform private.lock_categories();
    if (select array_agg(c.id order by c.id) from public.categories as c)
        is distinct from (select array_agg(o.id order by o.id) from unnest(p_category_ids) as o (id))
    then
        raise sqlstate 'PT409' using
            message = 'order_incomplete',
            detail = 'The list must name everything that is there, each once, and nothing else.',
            hint = 'Read what is there again: somebody may have added or removed something.';
    end if;
    perform private.audit(
        'category.reorder', 'categories', '*',
        (select to_jsonb(array_agg(c.id order by c.position)) from public.categories as c), to_jsonb(p_category_ids)
    );
    update public.categories as c
    set position = o.position
    from unnest(p_category_ids) with ordinality as o (id, position)
    where c.id = o.id and c.position <> o.position;
end
$$;
comment on function private.reorder_categories(uuid[]) is
'Puts the categories into this order, and records it. Raises PT403 role_required, PT409 order_incomplete.';

create function public.reorder_categories(category_ids uuid[]) returns setof public.categories
language sql
set search_path = ''
as $$
    select private.reorder_categories(reorder_categories.category_ids);
    select c.* from public.categories as c order by c.position;
$$;
comment on function public.reorder_categories(uuid[]) is
'Puts the categories into an order, and answers them in it. category_ids: all of them, each once. For admins. Raises
role_required (403), order_incomplete (409: somebody added or removed one meanwhile).';

create function private.merge_categories(p_source_id uuid, p_target_id uuid) returns void
language plpgsql
security definer -- moves the courses of all; the check below decides
set search_path = ''
as $$
declare
    v_source public.categories;
    v_moved bigint;
    v_late bigint;
begin
    perform private.require_role('admin');
    perform private.lock_categories();
    select c.* into v_source from public.categories as c where c.id = p_source_id;
    if p_source_id = p_target_id or v_source.id is null
        or not exists (select from public.categories as c where c.id = p_target_id)
    then
        raise sqlstate 'PT404' using
            message = 'category_not_found',
            detail = 'Two different categories are merged, and one of these is not there.',
            hint = 'Read the categories again.';
    end if;
    for v_try in 1..20 loop
        begin
            update public.courses as c set category_id = p_target_id where c.category_id = p_source_id;
            get diagnostics v_moved = row_count;
            -- Waits for those who have put a course there since, and who need no lock any more but to be done; from now on
            -- the foreign key makes whoever wants to put one there wait, and then refuses him.
            perform from public.categories as c where c.id = p_source_id for update;
            -- Such a one may have locked a course that stands there: to wait for him as well would be a deadlock.
            perform from public.courses as c where c.category_id = p_source_id for no key update nowait;
            update public.courses as c set category_id = p_target_id where c.category_id = p_source_id;
            get diagnostics v_late = row_count;
            delete from public.categories as c where c.id = p_source_id;
            perform private.audit(
                'category.merge', 'categories', p_source_id::text, to_jsonb(v_source),
                jsonb_build_object('id', p_target_id, 'moved', v_moved + v_late)
            );
            return;
        exception when lock_not_available then
            perform pg_catalog.pg_sleep(0.01 * v_try); -- all of this is undone, and nobody waits for it any more
        end;
    end loop;
    raise sqlstate 'PT409' using
        message = 'category_busy',
        detail = 'Courses of this category are being changed all the time.',
        hint = 'Try again in a moment.';
end
$$;
comment on function private.merge_categories(uuid, uuid) is
'Moves every course of one category to another and removes the one; records it. Raises PT403 role_required, PT404
category_not_found, PT409 category_busy.';

create function public.merge_categories(source_id uuid, target_id uuid) returns public.categories
language sql
set search_path = ''
as $$
    select private.merge_categories(merge_categories.source_id, merge_categories.target_id);
    select c.* from public.categories as c where c.id = merge_categories.target_id;
$$;
comment on function public.merge_categories(uuid, uuid) is
'Moves every course of a category (source_id) to another (target_id), removes the first, and answers the other. A
course that somebody puts into the first at that moment comes along, or is refused with 23503 (409). For admins.
Raises role_required (403), category_not_found (404), category_busy (409).';

insert into private.rate_limited_functions (function_name, tier)
values ('reorder_categories', 'strict'), ('merge_categories', 'strict');
