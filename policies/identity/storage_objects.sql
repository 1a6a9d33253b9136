-- storage.objects is Supabase's table: its grants are not ours, and only our own policies are remade here.
drop policy if exists objects_select_owner_or_moderator on storage.objects;
drop policy if exists objects_insert_owner on storage.objects;
drop policy if exists objects_update_owner on storage.objects;
drop policy if exists objects_delete_owner_or_moderator on storage.objects;

-- An avatar, and the document that shows a qualification, lie in the folder named by their owner's id; the picture of a
-- course in the one named by the course's, the files of a product in the one named by the product's. The buckets of
-- avatars and thumbnails are public: fetching needs no policy, and this one lets nobody list but the owner, and
-- moderators, who take down what nobody should see. That of documents is private; one that moderators looked at is not
-- written over. That of products is private, too: who bought one fetches what his order gives.
create policy objects_select_owner_or_moderator on storage.objects for select to authenticated
using (
    (
        bucket_id in ('avatars', 'qualifications')
        and (starts_with(name, (select auth.uid())::text || '/') or (select private.has_role('moderator')))
    )
    or (
        bucket_id = 'course-thumbnails'
        and (
            split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
            or (select private.has_role('moderator'))
        )
    )
    or (
        bucket_id = 'products'
        and (
            split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
            or name = any((select private.my_bought_paths())::text[])
        )
    )
);

create policy objects_insert_owner on storage.objects for insert to authenticated
with check (
    (
        bucket_id in ('avatars', 'qualifications')
        and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active())
    )
    or (
        bucket_id = 'course-thumbnails'
        and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
        and (select private.has_role('teacher'))
    )
    or (
        bucket_id = 'products'
        and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        and (select private.has_role('teacher'))
    )
);

create policy objects_update_owner on storage.objects for update to authenticated
using (
    (bucket_id = 'avatars' and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()))
    or (
        bucket_id = 'course-thumbnails'
        and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
        and (select private.has_role('teacher'))
    )
    or (
        bucket_id = 'products'
        and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        and (select private.has_role('teacher'))
    )
)
with check (
    (bucket_id = 'avatars' and starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()))
    or (
        bucket_id = 'course-thumbnails'
        and split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
        and (select private.has_role('teacher'))
    )
    or (
        bucket_id = 'products'
        and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        and (select private.has_role('teacher'))
    )
);

create policy objects_delete_owner_or_moderator on storage.objects for delete to authenticated
using (
    (
        bucket_id in ('avatars', 'qualifications')
        and (
            (starts_with(name, (select auth.uid())::text || '/') and (select private.is_active()))
            or (select private.has_role('moderator'))
        )
    )
    or (
        bucket_id = 'course-thumbnails'
        and (
            (
                split_part(name, '/', 1) = any((select private.my_taught_course_ids())::text[])
                and (select private.has_role('teacher'))
            )
            or (select private.has_role('moderator'))
        )
    )
    or (
        bucket_id = 'products'
        and split_part(name, '/', 1) = any((select private.my_product_ids())::text[])
        and (select private.has_role('teacher'))
    )
);
