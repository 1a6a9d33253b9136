-- The API of media: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.reserve_media(text, text, bigint, public.media_purpose)', '{authenticated}', 'standard');
select private.expose('private.delete_media(uuid)', '{authenticated}', 'standard');
select private.expose('private.reserve_lesson_media(uuid, text, text, bigint)', '{authenticated}', 'standard');
select private.expose('private.add_lesson_media(uuid, uuid, text, boolean)', '{authenticated}', 'standard');
select private.expose('private.delete_lesson_media(uuid)', '{authenticated}', 'standard');
select private.expose('private.reorder_lesson_media(uuid, uuid[])', '{authenticated}', 'standard');
select private.expose('private.add_media_captions(uuid, uuid, text, text)', '{authenticated}', 'standard');
select private.expose('private.profile_media_sources()', '{authenticated}', 'standard');

-- Helpers of policies, and what the edge calls.
grant execute on function private.my_media_upload_paths() to authenticated, service_role;
grant execute on function private.begin_media_check(uuid, uuid) to edge;
grant execute on function private.finish_media_check(uuid, uuid, text, jsonb, text) to edge;
grant execute on function private.make_media_link(uuid, uuid, text, bytea, text, integer) to edge;
grant execute on function private.open_media_link(bytea) to edge;
grant execute on function private.find_public_media(text, text) to edge;
