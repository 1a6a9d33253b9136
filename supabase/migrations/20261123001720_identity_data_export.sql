-- Identity: the export of all data about the caller, as one document.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'post_required', 405,
    'This is costly, so only POST is accepted, which is counted and limited.',
    'Send POST.',
    null
);

create function private.my_auth_facts() returns jsonb
language sql
stable
security definer -- the tables of auth are closed to clients; this reads the caller's rows, and no secret
set search_path = ''
as $$
    select jsonb_build_object(
        'email', u.email,
        'phone', u.phone,
        'created_at', u.created_at,
        'email_confirmed_at', u.email_confirmed_at,
        'last_sign_in_at', u.last_sign_in_at,
        'metadata', u.raw_user_meta_data,
        'identities', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'provider', i.provider, 'data', i.identity_data,
                'created_at', i.created_at, 'last_sign_in_at', i.last_sign_in_at
            ) order by i.created_at), '[]')
            from auth.identities as i where i.user_id = u.id
        ),
        'external_identities', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'provider', e.provider, 'external_id', e.external_id, 'email', e.email, 'display_name', e.display_name,
                'created_at', e.created_at
            ) order by e.created_at), '[]')
            from private.external_identities as e where e.user_id = u.id
        ),
        'sessions', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'created_at', s.created_at, 'refreshed_at', s.refreshed_at,
                'address', s.ip, 'user_agent', s.user_agent
            ) order by s.created_at), '[]')
            from auth.sessions as s where s.user_id = u.id
        ),
        'files', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'bucket', o.bucket_id, 'name', o.name, 'created_at', o.created_at
            ) order by o.name), '[]')
            from storage.objects as o where o.owner_id = u.id::text
        )
    )
    from auth.users as u where u.id = (select auth.uid())
$$;
comment on function private.my_auth_facts() is
'What auth and storage store about the caller, without secrets; null for callers without an account in auth.';

-- By hand: reads every table as the caller, under row level security.
create function public.export_my_data() returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_caller uuid := private.require_signed_in();
    v_table record;
    v_rows jsonb;
    v_data jsonb := jsonb_build_object('exported_at', now(), 'auth', private.my_auth_facts());
begin
    if current_setting('transaction_read_only') = 'on' then
        perform private.refuse('post_required');
    end if;
    -- Every table that refers to the account by foreign keys, directly or through others, so that new tables are
    -- included without a change here.
    for v_table in
        with recursive refers as (
            select 'public.accounts'::regclass::oid as table_id, 1::smallint as position
            union
            select o.conrelid, k.here
            from refers as r
            join pg_catalog.pg_constraint as o on o.confrelid = r.table_id and o.contype = 'f'
            cross join lateral unnest(o.conkey, o.confkey) as k (here, there)
            where k.there = r.position
        )
        select c.relname, string_agg(format('t.%I = $1', a.attname), ' or ' order by a.attname) as is_mine
        from refers as r
        join pg_catalog.pg_class as c on c.oid = r.table_id
        join pg_catalog.pg_attribute as a on a.attrelid = r.table_id and a.attnum = r.position
        where c.relnamespace = 'public'::regnamespace and has_table_privilege(c.oid, 'select')
        group by c.relname
        order by c.relname
    loop
        execute format(
            'select coalesce(jsonb_agg(to_jsonb(t)), ''[]'') from public.%I as t where %s',
            v_table.relname, v_table.is_mine
        ) into v_rows using v_caller;
        v_data := v_data || jsonb_build_object(v_table.relname, v_rows);
    end loop;
    return v_data;
end
$$;
comment on function public.export_my_data() is
'All data about the caller: what auth stores, and for each table, by its name, the rows that refer to the caller and
that the caller may read. Suspended users may call it, too. Raises sign_in_required (401), post_required (405).';
