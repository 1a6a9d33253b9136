-- Catalog: the pictures of courses. Anyone may fetch one whose path he knows; a course's folder, named by its id, is
-- its creator's to write.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values (
    'course-thumbnails', 'course-thumbnails', true, 4 * 1024 * 1024,
    array['image/png', 'image/jpeg', 'image/webp', 'image/gif']
)
on conflict (id) do update
    set
        public = excluded.public,
        file_size_limit = excluded.file_size_limit,
        allowed_mime_types = excluded.allowed_mime_types;
