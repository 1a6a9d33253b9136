-- Foundation: how much a person may store, and all people of a role together.
--
-- Each row of storage.objects counts for its owner: an upload, one by a signed link, a copy. Storage writes the row
-- before an upload ends, so that an upload without space is refused before its bytes arrive where their number is
-- declared, and afterwards where it is not. Deletions never ask.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'storage_quota_exceeded', 413,
    'There is no space for this file: you may store no more, or all people of your role together may not.',
    'Delete files that you do not need, or ask an admin for space.',
    'You store %s bytes in %s files of %s bytes in %s files; a file of %s bytes does not fit.'
);

create table private.storage_quotas (
    role text constraint storage_quotas_pkey primary key,
    bytes bigint not null,
    files integer not null,
    total_bytes bigint not null,
    used_bytes bigint not null default 0,
    constraint storage_quotas_bytes_check check (bytes >= 0),
    constraint storage_quotas_files_check check (files >= 0),
    constraint storage_quotas_total_bytes_check check (total_bytes >= 0)
);
comment on table private.storage_quotas is
'How much people may store, by role. guest: users without an address (anonymous users), whom anybody makes by the
dozen. The others: the highest of a person''s roles, or student.';
comment on column private.storage_quotas.bytes is 'Bytes of one person.';
comment on column private.storage_quotas.files is 'Files of one person.';
comment on column private.storage_quotas.total_bytes is 'Bytes of all people of the role together.';
comment on column private.storage_quotas.used_bytes is
'Bytes that they store now; the triggers of storage.objects set it.';
alter table private.storage_quotas enable row level security;

insert into private.storage_quotas (role, bytes, files, total_bytes)
values
('guest', 5::bigint << 20, 10, 1::bigint << 30),
('student', 500::bigint << 20, 500, 1::bigint << 40),
('teacher', 50::bigint << 30, 20000, 10::bigint << 40),
('moderator', 50::bigint << 30, 20000, 10::bigint << 40),
('admin', 50::bigint << 30, 20000, 10::bigint << 40),
('superadmin', 50::bigint << 30, 20000, 10::bigint << 40);

create table private.storage_usage (
    user_id uuid constraint storage_usage_pkey primary key,
    role text not null constraint storage_usage_role_fkey references private.storage_quotas (role) on delete restrict,
    bytes bigint not null,
    files integer not null
);
comment on table private.storage_usage is
'What each person stores; no row for those who store nothing. The triggers of storage.objects write it.';
comment on column private.storage_usage.role is 'The role for which the bytes count, as of the last change.';
alter table private.storage_usage enable row level security;
create index storage_usage_role_idx on private.storage_usage (role);
comment on index private.storage_usage_role_idx is 'The foreign key';

create function private.storage_role(p_user_id uuid) returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    v_account public.accounts;
begin
    select a.* into v_account from public.accounts as a where a.user_id = p_user_id;
    return case
        when v_account.is_anonymous is not false then 'guest'
        else coalesce(v_account.roles[cardinality(v_account.roles)]::text, 'student')
    end;
end
$$;
comment on function private.storage_role(uuid) is 'The role in storage_quotas that holds for a person.';

create function private.count_stored(p_user_id uuid, p_bytes bigint, p_files integer) returns private.storage_usage
language plpgsql
set search_path = ''
as $$
declare
    v_role text := private.storage_role(p_user_id);
    v_old private.storage_usage;
    v_new private.storage_usage;
    v_quota private.storage_quotas;
begin
    insert into private.storage_usage (user_id, role, bytes, files) values (p_user_id, v_role, 0, 0)
    on conflict (user_id) do nothing;
    -- Uploads of a person at once wait here for each other.
    select u.* into v_old from private.storage_usage as u where u.user_id = p_user_id for update;
    update private.storage_usage as u set role = v_role, bytes = u.bytes + p_bytes, files = u.files + p_files
    where u.user_id = p_user_id
    returning u.* into v_new;
    select q.* into v_quota from private.storage_quotas as q where q.role = v_role;
    if (p_bytes > 0 and v_new.bytes > v_quota.bytes) or (p_files > 0 and v_new.files > v_quota.files) then
        perform private.refuse(
            'storage_quota_exceeded',
            v_old.bytes::text, v_old.files::text, v_quota.bytes::text, v_quota.files::text, p_bytes::text
        );
    end if;
    if v_new.files <= 0 then
        delete from private.storage_usage as u where u.user_id = p_user_id;
    end if;
    return v_old;
end
$$;
comment on function private.count_stored(uuid, bigint, integer) is
'Adds to what a person stores, and returns what it was. Raises PT413 storage_quota_exceeded.';

create function private.tg_objects__count_stored() returns trigger
language plpgsql
security definer -- the counts are closed to everybody
set search_path = ''
as $$
declare
    v_rows constant text := $rows$
        select
            private.uuid_or_null(coalesce(t.owner_id, t.owner::text)) as user_id,
            %1$s * case
                when jsonb_typeof(t.metadata -> 'size') = 'number' then (t.metadata ->> 'size')::bigint else 0
            end as bytes,
            %1$s as files
        from %2$I as t
    $rows$;
    v_change record;
    v_old private.storage_usage;
    v_totals jsonb := '{}';
    v_role text;
    v_bytes bigint;
begin
    for v_change in execute format(
        'select r.user_id, sum(r.bytes)::bigint as bytes, sum(r.files)::integer as files from (%s) as r '
        || 'where r.user_id is not null group by r.user_id having sum(r.bytes) <> 0 or sum(r.files) <> 0 '
        || 'order by r.user_id',
        concat_ws(
            ' union all ',
            case when tg_op <> 'INSERT' then format(v_rows, -1, 'deleted_rows') end,
            case when tg_op <> 'DELETE' then format(v_rows, 1, 'new_rows') end
        )
    ) loop
        v_old := private.count_stored(v_change.user_id, v_change.bytes, v_change.files);
        -- The role of a person may have changed since.
        for v_role, v_bytes in
            values (v_old.role, -v_old.bytes),
                (private.storage_role(v_change.user_id), v_old.bytes + v_change.bytes)
        loop
            v_totals := v_totals || jsonb_build_object(v_role, coalesce((v_totals ->> v_role)::bigint, 0) + v_bytes);
        end loop;
    end loop;
    -- After the rows of people, and in one order, so that two statements do not wait for each other.
    for v_role, v_bytes in select t.key, t.value::bigint from jsonb_each_text(v_totals) as t order by t.key loop
        update private.storage_quotas as q set used_bytes = q.used_bytes + v_bytes
        where q.role = v_role and v_bytes <> 0;
        if v_bytes > 0 and exists (
            select from private.storage_quotas as q where q.role = v_role and q.used_bytes > q.total_bytes
        ) then
            perform private.refuse(
                'storage_quota_exceeded',
                v_old.bytes::text, v_old.files::text, 'all', 'all', v_bytes::text
            );
        end if;
    end loop;
    return null;
end
$$;
comment on function private.tg_objects__count_stored() is
'After objects are written or deleted: counts what their owners store. A server key writes without an owner, and is not
counted. Raises PT413 storage_quota_exceeded.';
create trigger guildhall_count_stored after insert on storage.objects
referencing new table as new_rows for each statement execute function private.tg_objects__count_stored();
create trigger guildhall_count_stored_on_change after update on storage.objects
referencing old table as deleted_rows new table as new_rows
for each statement execute function private.tg_objects__count_stored();
create trigger guildhall_count_stored_on_delete after delete on storage.objects
referencing old table as deleted_rows for each statement execute function private.tg_objects__count_stored();

create function private.tg_multipart_uploads__ask_quota() returns trigger
language plpgsql
security definer -- the counts are closed to everybody
set search_path = ''
as $$
declare
    v_user_id uuid := private.uuid_or_null(new.owner_id);
    v_quota private.storage_quotas;
    v_usage private.storage_usage;
    v_unfinished bigint;
begin
    if v_user_id is null then
        return null;
    end if;
    select q.* into v_quota from private.storage_quotas as q where q.role = private.storage_role(v_user_id);
    select u.* into v_usage from private.storage_usage as u where u.user_id = v_user_id;
    -- Dynamic: the table is not everywhere.
    execute 'select coalesce(sum(m.in_progress_size), 0) from storage.s3_multipart_uploads as m where m.owner_id = $1'
    into v_unfinished using new.owner_id;
    if coalesce(v_usage.bytes, 0) + v_unfinished > v_quota.bytes then
        perform private.refuse(
            'storage_quota_exceeded',
            coalesce(v_usage.bytes, 0)::text, coalesce(v_usage.files, 0)::text, v_quota.bytes::text,
            v_quota.files::text, v_unfinished::text
        );
    end if;
    return null;
end
$$;
comment on function private.tg_multipart_uploads__ask_quota() is
'After a part of an upload in parts has arrived: refuses more than its owner may store, unfinished uploads included.
Raises PT413 storage_quota_exceeded.';

-- Hosted Supabase keeps unfinished uploads in parts here. The embedded storage server has none.
do $$
begin
    if to_regclass('storage.s3_multipart_uploads') is not null then
        execute 'create trigger guildhall_ask_quota after insert or update on storage.s3_multipart_uploads '
            'for each row execute function private.tg_multipart_uploads__ask_quota()';
    end if;
exception when insufficient_privilege then
    raise warning 'unfinished uploads do not count: storage.s3_multipart_uploads is not ours to have a trigger on';
end
$$;

create function private.recount_stored() returns void
language plpgsql
set search_path = ''
as $$
begin
    lock table storage.objects in share mode;
    delete from private.storage_usage where true; -- safeupdate refuses every write without a condition
    insert into private.storage_usage (user_id, role, bytes, files)
    select t.user_id, private.storage_role(t.user_id), t.bytes, t.files
    from (
        select
            private.uuid_or_null(coalesce(o.owner_id, o.owner::text)) as user_id,
            coalesce(sum((o.metadata ->> 'size')::bigint), 0) as bytes,
            count(*) as files
        from storage.objects as o group by 1
    ) as t
    where t.user_id is not null;
    update private.storage_quotas as q
    set used_bytes = coalesce((select sum(u.bytes) from private.storage_usage as u where u.role = q.role), 0)
    where true;
end
$$;
comment on function private.recount_stored() is
'Counts anew what everybody stores, for the operator, after objects were changed without triggers.';

select private.recount_stored();
