-- Pictures of courses are in the folder with the course's id, in a public bucket: these policies decide who lists.
drop policy if exists objects_select_creator_or_moderator on storage.objects;
drop policy if exists objects_insert_creator on storage.objects;
drop policy if exists objects_update_creator on storage.objects;
drop policy if exists objects_delete_creator_or_moderator on storage.objects;
drop policy if exists objects_select_remover_of_thumbnails on storage.objects;
drop policy if exists objects_delete_remover_of_thumbnails on storage.objects;

create policy objects_select_creator_or_moderator on storage.objects for select to authenticated
using (
    bucket_id in ('course-thumbnails')
    and (
        split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
        or (select private.has_role('moderator'))
    )
);

create policy objects_insert_creator on storage.objects for insert to authenticated
with check (
    bucket_id in ('course-thumbnails')
    and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
    and (select private.has_role('teacher'))
);

create policy objects_update_creator on storage.objects for update to authenticated
using (
    bucket_id in ('course-thumbnails')
    and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
    and (select private.has_role('teacher'))
)
with check (
    bucket_id in ('course-thumbnails')
    and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
    and (select private.has_role('teacher'))
);

create policy objects_delete_creator_or_moderator on storage.objects for delete to authenticated
using (
    bucket_id in ('course-thumbnails')
    and (
        (
            split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
            and (select private.has_role('teacher'))
        )
        or (select private.has_role('moderator'))
    )
);

-- The worker removes what no row names any more. Storage removes what its caller reads and may delete.
create policy objects_select_remover_of_thumbnails on storage.objects for select to file_remover
using (
    bucket_id in ('course-thumbnails')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);

create policy objects_delete_remover_of_thumbnails on storage.objects for delete to file_remover
using (
    bucket_id in ('course-thumbnails')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);
