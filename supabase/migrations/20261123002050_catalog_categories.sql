-- Catalog: the order of the categories, and merging two of them.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'category_not_found', 404,
    'Two different categories are merged, and one of these does not exist.',
    'Read the categories again.',
    null
);

create function private.tg_categories__lock() returns trigger
language plpgsql
security definer -- clients may not execute the function that it calls
set search_path = ''
as $$
begin
    perform private.lock_categories(false);
    return null;
end
$$;
comment on function private.tg_categories__lock() is
'Before a statement that adds, deletes or renames categories: takes the exclusive lock of the categories.';
create trigger _010_lock before insert or delete or update of name on public.categories
for each statement execute function private.tg_categories__lock();

create function private.tg_categories__set_position() returns trigger
language plpgsql
security definer -- must see every category
set search_path = ''
as $$
begin
    new.position := (select coalesce(max(c.position), 0) + 1 from public.categories as c);
    return new;
end
$$;
comment on function private.tg_categories__set_position() is 'Before an insert: puts the category last.';
create trigger _050_set_position before insert on public.categories
for each row execute function private.tg_categories__set_position();

create function private.tg_categories__close_gaps() returns trigger
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
begin
    perform private.set_positions(
        'public.categories', array(select c.id from public.categories as c order by c.position)
    );
    return null;
end
$$;
comment on function private.tg_categories__close_gaps() is 'After categories are deleted: moves the others up.';
create trigger _300_close_gaps after delete on public.categories
for each statement execute function private.tg_categories__close_gaps();

create function private.reorder_categories(p_category_ids uuid[]) returns setof public.categories
language plpgsql
security definer -- clients may not write positions
set search_path = ''
as $$
declare
    v_before uuid[];
begin
    perform private.require_role('admin');
    perform private.lock_categories(false);
    v_before := array(select c.id from public.categories as c order by c.position);
    perform private.require_same_ids(v_before, p_category_ids);
    perform private.set_positions('public.categories', p_category_ids);
    perform private.audit('category.reorder', 'categories', '*', to_jsonb(v_before), to_jsonb(p_category_ids));
    return query select c.* from public.categories as c order by c.position;
end
$$;
comment on function private.reorder_categories(uuid[]) is
'Puts the categories into the order of category_ids, which lists each of them once, and returns them in it. Audited. For
admins. Raises role_required (403), sequence_incomplete (409: somebody added or deleted one meanwhile).';

create function private.merge_categories(p_source_id uuid, p_target_id uuid) returns public.categories
language plpgsql
security definer -- moves the courses of all creators
set search_path = ''
as $$
declare
    v_source public.categories;
    v_target public.categories;
    v_moved bigint;
begin
    perform private.require_role('admin');
    perform private.lock_categories(false);
    select c.* into v_source from public.categories as c where c.id = p_source_id;
    select c.* into v_target from public.categories as c where c.id = p_target_id;
    if p_source_id = p_target_id or v_source.id is null or v_target.id is null then
        perform private.refuse('category_not_found');
    end if;
    -- Nobody can put a course into the category meanwhile: that takes the shared lock of the categories.
    update public.courses as c set category_id = p_target_id where c.category_id = p_source_id;
    get diagnostics v_moved = row_count;
    delete from public.categories as c where c.id = p_source_id;
    perform private.audit(
        'category.merge', 'categories', p_source_id::text, to_jsonb(v_source),
        jsonb_build_object('id', p_target_id, 'moved', v_moved)
    );
    select c.* into v_target from public.categories as c where c.id = p_target_id;
    return v_target;
end
$$;
comment on function private.merge_categories(uuid, uuid) is
'Moves every course of the category source_id to target_id, deletes the first category, and returns the other. Who puts
a course into the deleted category later is refused (23503, 409). Audited. For admins. Raises role_required (403),
category_not_found (404).';
