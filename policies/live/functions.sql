-- The API of live: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.set_schedule_hours(jsonb, jsonb, uuid)', '{authenticated}', 'standard');
select private.expose('private.set_default_schedule(uuid)', '{authenticated}', 'standard');
select private.expose(
    'private.available_slots(uuid, timestamptz, timestamptz, integer, text, uuid)',
    '{authenticated}', 'standard'
);
select private.expose('private.host_busy_times(uuid, timestamptz, timestamptz)', '{authenticated}', 'standard');
select private.expose(
    'private.schedule_session(uuid, timestamptz, integer, text, text)',
    '{authenticated}', 'standard'
);
select private.expose('private.cancel_session(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.complete_session(uuid, boolean)', '{authenticated}', 'standard');
select private.expose('private.give_session_feedback(uuid, smallint, text)', '{authenticated}', 'standard');
select private.expose(
    'private.session_stats(uuid, uuid, timestamptz, timestamptz)',
    '{authenticated}', 'standard'
);

-- Seats, group sessions and seminars
select private.expose('private.cancel_place(uuid)', '{authenticated}', 'standard');
select private.expose('private.remove_attendee(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.record_attendance(uuid, boolean)', '{authenticated}', 'standard');
select private.expose('private.queue_position(uuid)', '{authenticated}', 'standard');
select private.expose(
    'private.add_group_session_slot(uuid, timestamptz, integer, text, integer, timestamptz)',
    '{authenticated}', 'standard'
);
select private.expose(
    'private.update_group_session_slot(uuid, timestamptz, int, text, int, boolean, timestamptz, int, int)',
    '{authenticated}', 'standard'
);
select private.expose('private.cancel_group_session_slot(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.delete_group_session(uuid)', '{authenticated}', 'standard');
select private.expose('private.book_slot(uuid)', '{authenticated}', 'standard');
select private.expose('private.grant_slot_place(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.group_session_details(uuid)', '{anon,authenticated}', 'standard');
select private.expose('private.publish_seminar(uuid)', '{authenticated}', 'standard');
select private.expose('private.cancel_seminar(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.register_for_seminar(uuid)', '{authenticated}', 'standard');
select private.expose('private.unregister_from_seminar(uuid)', '{authenticated}', 'standard');
select private.expose('private.grant_seminar_place(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.remove_seminar_attendee(uuid, uuid, text)', '{authenticated}', 'standard');
select private.expose('private.invite_seminar_host(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.answer_seminar_host_invitation(uuid, boolean)', '{authenticated}', 'standard');
select private.expose('private.remove_seminar_host(uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.start_seminar_session(uuid)', '{authenticated}', 'standard');
select private.expose('private.end_seminar_session(uuid)', '{authenticated}', 'standard');
select private.expose('private.seminar_details(uuid)', '{anon,authenticated}', 'standard');
select private.expose('private.join_room(uuid, uuid, uuid)', '{authenticated}', 'standard');
select private.expose('private.reserve_recording(uuid)', '{authenticated}', 'standard');

-- What policies call
grant execute on function
private.is_host(),
private.my_schedule_ids(),
private.my_pool_ids(),
private.my_hosted_pool_ids(),
private.my_room_ids(),
private.my_hosted_room_ids(),
private.my_session_room_ids(),
private.my_group_session_ids(),
private.my_hosted_seminar_ids(),
private.visible_seminar_ids()
to authenticated;
select private.expose(
    'private.request_intro_session(uuid, timestamptz, uuid, text, text)',
    '{authenticated}', 'standard'
);
select private.expose(
    'private.book_session(uuid, timestamptz, integer, text, text, uuid)',
    '{authenticated}', 'standard'
);
select private.expose('private.accept_session(uuid)', '{authenticated}', 'standard');
select private.expose('private.decline_session(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.reschedule_session(uuid, timestamptz)', '{authenticated}', 'standard');
select private.expose('private.session_cancellation_terms(uuid)', '{authenticated}', 'standard');
select private.expose('private.report_host_missed(uuid)', '{authenticated}', 'standard');
select private.expose('private.credit_session(uuid, text)', '{authenticated}', 'strict');
grant execute on function private.my_session_ids() to authenticated, service_role;
