select private.close_table('public.enrolment_notes');

create policy enrolment_notes_select_teaching on public.enrolment_notes for select to authenticated
using (
    course_id = any((select private.my_taught_course_ids())::uuid[])
    or enrolment_id = any((select private.my_assigned_enrolment_ids())::uuid[])
    or (select private.has_role('moderator'))
);

create policy enrolment_notes_insert_creator_or_admin on public.enrolment_notes for insert to authenticated
with check (
    (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
    or (course_id is not null and (select private.has_role('admin')))
);

create policy enrolment_notes_update_creator_or_admin on public.enrolment_notes for update to authenticated
using (
    (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
    or (select private.has_role('admin'))
)
with check (
    (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
    or (course_id is not null and (select private.has_role('admin')))
);

create policy enrolment_notes_delete_creator_or_admin on public.enrolment_notes for delete to authenticated
using (
    (course_id = any((select private.my_taught_course_ids())::uuid[]) and (select private.has_role('teacher')))
    or (select private.has_role('admin'))
);

-- enrolment_id is updatable because an upsert sets it; the database sets course_id, student_id, flagged_at and
-- flagged_by
grant
select,
insert (enrolment_id, body, is_at_risk, at_risk_reason),
update (enrolment_id, body, is_at_risk, at_risk_reason),
delete
on public.enrolment_notes to authenticated;
grant select on public.enrolment_notes to service_role;
