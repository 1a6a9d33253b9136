-- The API of live: each function, the roles that may call it, and its tier of rate limits.

select private.expose(
    'private.schedule_session(uuid, timestamptz, integer, text, text)',
    '{authenticated}', 'standard'
);
select private.expose('private.cancel_session(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.complete_session(uuid, boolean)', '{authenticated}', 'standard');
