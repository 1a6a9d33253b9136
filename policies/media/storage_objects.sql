-- Files are in the folder with their owner's id, in a private bucket. Each is written once, to the path of a row of
-- media_objects that waits for it, and read by who reads that row.
drop policy if exists objects_select_media_anon on storage.objects;
drop policy if exists objects_select_media on storage.objects;
drop policy if exists objects_insert_media on storage.objects;
drop policy if exists objects_select_remover_of_media on storage.objects;
drop policy if exists objects_delete_remover_of_media on storage.objects;

create policy objects_select_media_anon on storage.objects for select to anon
using (
    bucket_id in ('media')
    and exists (
        select from public.media_objects as m
        where m.path = objects.name and m.status = 'ready'
    )
);

create policy objects_select_media on storage.objects for select to authenticated
using (
    bucket_id in ('media')
    and (
        starts_with(name, (select auth.uid())::text || '/')
        or exists (
            select from public.media_objects as m
            where m.path = objects.name and m.status = 'ready'
        )
    )
);

create policy objects_insert_media on storage.objects for insert to authenticated
with check (bucket_id in ('media') and name = any((select private.my_media_upload_paths())::text[]));

-- no update: a file that was checked must stay what it is. No delete: delete_media has the worker remove it.

create policy objects_select_remover_of_media on storage.objects for select to file_remover
using (
    bucket_id in ('media')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);

create policy objects_delete_remover_of_media on storage.objects for delete to file_remover
using (
    bucket_id in ('media')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);
