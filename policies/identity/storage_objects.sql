-- storage.objects is Supabase's table: Supabase grants on it, and each domain has policies for its own buckets.
drop policy if exists objects_select_user_or_moderator on storage.objects;
drop policy if exists objects_insert_user on storage.objects;
drop policy if exists objects_update_user on storage.objects;
drop policy if exists objects_delete_user_or_moderator on storage.objects;
drop policy if exists objects_select_remover_of_user_files on storage.objects;
drop policy if exists objects_delete_remover_of_user_files on storage.objects;

-- Avatars and documents of qualifications are in the folder with the user's id. Anybody fetches an avatar by its path,
-- because that bucket is public; these policies decide who lists and who reads documents.
create policy objects_select_user_or_moderator on storage.objects for select to authenticated
using (
    bucket_id in ('avatars', 'qualifications')
    and (starts_with(name, (select auth.uid())::text || '/') or (select private.has_role('moderator')))
);

create policy objects_insert_user on storage.objects for insert to authenticated
with check (
    bucket_id in ('avatars', 'qualifications')
    and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
);

-- no update of qualifications: a document that a moderator verified is not replaced
create policy objects_update_user on storage.objects for update to authenticated
using (
    bucket_id in ('avatars') and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
)
with check (
    bucket_id in ('avatars') and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
);

create policy objects_delete_user_or_moderator on storage.objects for delete to authenticated
using (
    bucket_id in ('avatars', 'qualifications')
    and (
        (starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()))
        or (select private.has_role('moderator'))
    )
);

-- The worker removes what no row names any more. Storage removes what its caller reads and may delete.
create policy objects_select_remover_of_user_files on storage.objects for select to file_remover
using (
    bucket_id in ('avatars', 'qualifications')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);

create policy objects_delete_remover_of_user_files on storage.objects for delete to file_remover
using (
    bucket_id in ('avatars', 'qualifications')
    and bucket_id || '/' || name = any((select private.removable_files())::text[])
);
