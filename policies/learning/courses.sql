select private.close_table('public.courses');

create policy courses_select_anon on public.courses for select to anon
using (status = 'published');

create policy courses_select_authenticated on public.courses for select to authenticated
using (
    status = 'published'
    or (creator_id = (select auth.uid()) and status <> 'deleted')
    or id = any((select private.my_enrolled_course_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy courses_insert_teacher on public.courses for insert to authenticated
with check (creator_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy courses_update_creator_or_admin on public.courses for update to authenticated
using (
    (creator_id = (select auth.uid()) and status <> 'deleted' and (select private.has_role('teacher')))
    or (select private.has_role('admin'))
)
with check (
    (creator_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (select private.has_role('admin'))
);

create policy courses_delete_creator on public.courses for delete to authenticated
using (creator_id = (select auth.uid()) and status = 'draft' and (select private.has_role('teacher')));

grant select on public.courses to anon, authenticated;
-- creator_id is the caller by default; thumbnail_path begins with the id, which the database gives; functions and
-- triggers write the other columns
grant
insert (
    category_id, slug, title, subtitle, description, level, language, objectives, includes, prerequisites,
    target_audience, tags, price_amount, price_currency, is_intro
),
update (
    category_id, slug, title, subtitle, description, level, language, objectives, includes, prerequisites,
    target_audience, tags, thumbnail_path, price_amount, price_currency, is_intro
),
delete
on public.courses to authenticated;
grant select, insert, update, delete on public.courses to service_role;
