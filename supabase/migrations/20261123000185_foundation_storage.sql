-- Foundation: objects of storage. Storage writes a row of storage.objects for each upload, in parts above row level
-- security: an upload by a signed link asks no policy when it arrives, hours after the link was made.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'upload_not_allowed', 403,
    'The person who uploads, or made the link, may not write this file now.',
    'Make another link as a person who may.',
    null
);

create function private.object_policy(p_commands text, p_is_check boolean) returns text
language sql
stable
security definer -- an expression may name what the caller of storage may not look up
set search_path = ''
as $$
    select format(
        '(%s) and (%s)',
        coalesce(string_agg(format('(%s)', t.expression), ' or ') filter (where t.polpermissive), 'false'),
        coalesce(string_agg(format('(%s)', t.expression), ' and ') filter (where not t.polpermissive), 'true')
    )
    from (
        select
            p.polpermissive,
            case
                when p_is_check then pg_catalog.pg_get_expr(coalesce(p.polwithcheck, p.polqual), p.polrelid)
                else pg_catalog.pg_get_expr(p.polqual, p.polrelid)
            end as expression
        from pg_catalog.pg_policy as p
        where p.polrelid = 'storage.objects'::regclass and strpos(p_commands, p.polcmd::text) > 0
            and (p.polroles @> array['authenticated'::regrole::oid] or p.polroles = array[0::oid])
    ) as t
$$;
comment on function private.object_policy(text, boolean) is
'What the policies of storage.objects ask of a signed-in user, as one expression: for these commands (letters of
pg_policy.polcmd), of the new row (p_is_check) or of the old one.';

create function private.is_object_allowed(p_object storage.objects, p_commands text, p_is_check boolean)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    v_is_allowed boolean;
begin
    execute format('select %s from (select ($1).*) as objects', private.object_policy(p_commands, p_is_check))
    into v_is_allowed using p_object;
    return coalesce(v_is_allowed, false);
end
$$;
comment on function private.is_object_allowed(storage.objects, text, boolean) is
'Whether the policies of storage.objects allow this row to the current user of request.jwt.claims. So the policies stay
the only place that decides.';

create function private.tg_objects__ask_owner() returns trigger
language plpgsql
security definer -- evaluates policies for the owner, who is not the caller
set search_path = ''
as $$
declare
    v_owner_id text := coalesce(new.owner_id, new.owner::text);
    v_claims text := current_setting('request.jwt.claims', true);
    v_subject text := current_setting('request.jwt.claim.sub', true);
    v_is_allowed boolean := true;
begin
    if v_owner_id is null or v_owner_id = coalesce((select auth.uid())::text, '') then
        return null;
    end if;
    perform set_config('request.jwt.claims', jsonb_build_object('sub', v_owner_id, 'role', 'authenticated')::text, true);
    -- Hosted Supabase sets this older setting, too, and auth.uid() reads it first.
    perform set_config('request.jwt.claim.sub', v_owner_id, true);
    if not pg_input_is_valid(v_owner_id, 'uuid') then
        v_is_allowed := false;
    elsif tg_op = 'INSERT' then
        v_is_allowed := private.is_object_allowed(new, 'a*', true);
    else
        v_is_allowed := private.is_object_allowed(old, 'w*', false) and private.is_object_allowed(new, 'w*', true);
    end if;
    perform set_config('request.jwt.claims', coalesce(v_claims, ''), true);
    perform set_config('request.jwt.claim.sub', coalesce(v_subject, ''), true);
    if not v_is_allowed then
        perform private.refuse('upload_not_allowed');
    end if;
    return null;
end
$$;
comment on function private.tg_objects__ask_owner() is
'After an object is written for somebody who is not the caller, as by a signed link: asks the policies again for its
owner, as they are now. A server key writes without an owner, and is not asked. Raises PT403 upload_not_allowed.';
create trigger guildhall_ask_owner after insert on storage.objects
for each row execute function private.tg_objects__ask_owner();
create trigger guildhall_ask_owner_on_change after update on storage.objects
for each row when (
    (old.bucket_id, old.name, old.version, old.metadata, old.owner_id)
    is distinct from (new.bucket_id, new.name, new.version, new.metadata, new.owner_id)
)
execute function private.tg_objects__ask_owner();

create function private.object_version(p_bucket_id text, p_name text) returns text
language sql
stable
security definer -- objects are hidden from most callers
set search_path = ''
as $$
    select md5(concat_ws(' ', o.version, o.metadata ->> 'eTag'))
    from storage.objects as o where o.bucket_id = p_bucket_id and o.name = p_name
$$;
comment on function private.object_version(text, text) is
'Names the present content of an object: it changes with every upload. Null where there is no object.';
