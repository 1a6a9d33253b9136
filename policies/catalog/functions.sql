-- The API of catalog: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.reorder_modules(uuid, uuid[])', '{authenticated}', 'standard');
select private.expose('private.reorder_lessons(uuid, uuid[])', '{authenticated}', 'standard');
select private.expose('private.publication_checklist(uuid)', '{authenticated}', 'standard');
select private.expose('private.publish_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.unpublish_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.archive_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.copy_course(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.delete_course(uuid)', '{authenticated}', 'standard');
select private.expose('private.feature_course(uuid)', '{authenticated}', 'strict');
select private.expose('private.suspend_course(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.transfer_course(uuid, uuid)', '{authenticated}', 'strict');
select private.expose('private.intro_course_limit()', '{anon, authenticated, service_role}', 'standard');
select private.expose('private.reorder_categories(uuid[])', '{authenticated}', 'strict');
select private.expose('private.merge_categories(uuid, uuid)', '{authenticated}', 'strict');
select private.expose('private.unfeature_course(uuid)', '{authenticated}', 'strict');
select private.expose('private.unsuspend_course(uuid)', '{authenticated}', 'strict');
select private.expose('public.course_by_slug(text)', '{anon, authenticated, service_role}', 'standard');
select private.expose('public.search_creators(text)', '{anon, authenticated, service_role}', 'standard');
select private.expose(
    'public.search_courses(text, public.course_level, text, text, uuid, bigint, text)',
    '{anon, authenticated, service_role}', 'standard'
);

-- Helpers of policies and triggers, and what the edge and the worker call.
grant execute on function private.my_taught_course_ids() to authenticated, service_role;
grant execute on function private.require_course_owner(uuid) to authenticated;

grant execute on function private.course_by_slug(text) to anon, authenticated, service_role;
grant execute on function private.search_creators(text) to anon, authenticated, service_role;

-- no grant of private.courses_matching and private.words_near: private.search_courses calls them
grant execute on function private.search_courses(
    text, public.course_level, text, text, uuid, bigint, text
) to anon, authenticated, service_role;
