-- Foundation: the inbox of webhooks. Each event of a provider is stored once and takes effect in the same transaction,
-- by the provider's function private.apply_<provider>_event.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'event_not_found', 404,
    'There is no such event.',
    'Look it up in webhook_failures.',
    null
);

create type private.webhook_status as enum ('received', 'applied', 'ignored', 'waiting', 'foreign', 'failed');
comment on type private.webhook_status is
'received: not applied yet. applied: had its effect. ignored: has no effect here, or is out of date. waiting: names an
object that is unknown here so far, and is applied as soon as that object arrives. foreign: about an object of another
application at the same provider. failed: its effect raised an error and was rolled back; the next delivery, the
worker or replay_webhook tries it again.';

create table private.webhook_inbox (
    provider text not null constraint webhook_inbox_provider_check check (provider ~ '^[a-z_]+$'),
    event_id text not null constraint webhook_inbox_event_id_check check (char_length(event_id) between 1 and 255),
    type text not null constraint webhook_inbox_type_check check (char_length(type) <= 255),
    payload jsonb,
    status private.webhook_status not null default 'received',
    attempts integer not null default 0,
    error text,
    waits_for text,
    received_at timestamptz not null default now(),
    last_attempt_at timestamptz,
    constraint webhook_inbox_pkey primary key (provider, event_id),
    constraint webhook_inbox_error_check check ((status = 'failed') = (error is not null)),
    constraint webhook_inbox_waits_for_check check ((status = 'waiting') = (waits_for is not null)),
    -- An event that may still be applied keeps its payload.
    constraint webhook_inbox_payload_check check (payload is not null or status in ('applied', 'ignored', 'foreign'))
);
comment on table private.webhook_inbox is
'Every event with a valid signature, once: an event has one effect, however often and in whatever order the provider
delivers it.';
comment on column private.webhook_inbox.event_id is
'The provider''s id of the event, which is the same at each delivery.';
comment on column private.webhook_inbox.payload is
'The body that the provider signed; purge__webhook_inbox sets it to null.';
comment on column private.webhook_inbox.attempts is 'How many times its effect was tried.';
comment on column private.webhook_inbox.error is 'The SQLSTATE and message with which the last attempt failed.';
comment on column private.webhook_inbox.waits_for is 'The provider''s id of the object for which it waits.';
comment on column private.webhook_inbox.last_attempt_at is 'When its effect was last tried.';
alter table private.webhook_inbox enable row level security;

create index webhook_inbox_failed_idx on private.webhook_inbox (received_at) where status = 'failed';
comment on index private.webhook_inbox_failed_idx is
'webhook_failures: where status = ''failed'' order by received_at';
create index webhook_inbox_received_at_idx on private.webhook_inbox (received_at)
where payload is not null and status in ('applied', 'ignored', 'foreign');
comment on index private.webhook_inbox_received_at_idx is
'purge__webhook_inbox: where payload is not null and status in (''applied'', ''ignored'', ''foreign'')
and received_at <';
create index webhook_inbox_waits_for_idx on private.webhook_inbox (provider, waits_for, received_at)
where status = 'waiting';
comment on index private.webhook_inbox_waits_for_idx is
'release_webhooks: where provider = and waits_for = and status = ''waiting'' order by received_at';
create index webhook_inbox_waiting_idx on private.webhook_inbox (received_at) where status = 'waiting';
comment on index private.webhook_inbox_waiting_idx is
'purge__webhook_inbox: where status = ''waiting'' and received_at <';

insert into private.status_transitions (table_name, from_status, to_status)
values
('webhook_inbox', 'received', 'applied'),
('webhook_inbox', 'received', 'ignored'),
('webhook_inbox', 'received', 'waiting'),
('webhook_inbox', 'received', 'foreign'),
('webhook_inbox', 'received', 'failed'),
('webhook_inbox', 'waiting', 'applied'),
('webhook_inbox', 'waiting', 'ignored'),
('webhook_inbox', 'waiting', 'foreign'),
('webhook_inbox', 'waiting', 'failed'),
('webhook_inbox', 'failed', 'applied'),
('webhook_inbox', 'failed', 'ignored'),
('webhook_inbox', 'failed', 'waiting'),
('webhook_inbox', 'failed', 'foreign');
create trigger _100_check_transition before update of status on private.webhook_inbox
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.lock_reference(p_provider text, p_reference text) returns void
language sql
set search_path = ''
as $$
    select pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended('webhook_inbox:' || p_provider || ':' || p_reference, 0)
    )
$$;
comment on function private.lock_reference(text, text) is
'The advisory lock of an object at a provider, until the transaction ends. It keeps an event from beginning to wait for
an object in the moment in which another transaction records that object.';

create function private.await_reference(p_reference text) returns void
language plpgsql
set search_path = ''
as $$
begin
    raise sqlstate 'WH001' using message = p_reference;
end
$$;
comment on function private.await_reference(text) is
'Ends the effect of an event, which changes nothing, until release_webhooks is called with this reference. The caller
has called lock_reference and found, after that, that the object is unknown.';

create function private.receive_webhook(
    p_provider text, p_event_id text, p_type text, p_payload jsonb, p_is_foreign boolean default false
)
returns private.webhook_status
language plpgsql
security definer -- the edge, which has verified the signature, may write no table
set search_path = ''
as $$
declare
    v_event private.webhook_inbox;
    v_has_effect boolean;
    v_sqlstate text;
    v_message text;
begin
    -- A concurrent delivery of the same event waits here until the first is committed.
    insert into private.webhook_inbox (provider, event_id, type, payload, status)
    values (
        p_provider, p_event_id, p_type, p_payload,
        case when p_is_foreign then 'foreign' else 'received' end::private.webhook_status
    )
    on conflict (provider, event_id) do nothing;
    select i.* into v_event from private.webhook_inbox as i
    where i.provider = p_provider and i.event_id = p_event_id for update;
    if v_event.status in ('applied', 'ignored', 'foreign') then
        return v_event.status;
    end if;
    v_event.error := null;
    v_event.waits_for := null;
    begin
        execute format('select private.%I($1, $2)', 'apply_' || v_event.provider || '_event')
        into v_has_effect using v_event.type, v_event.payload;
        v_event.status := case v_has_effect when true then 'applied' when false then 'ignored' else 'foreign' end;
    exception
        when sqlstate 'WH001' then
            v_event.status := 'waiting';
            v_event.waits_for := sqlerrm;
        when others then
            get stacked diagnostics v_sqlstate = returned_sqlstate, v_message = message_text;
            v_event.status := 'failed';
            v_event.error := v_sqlstate || ' ' || v_message;
    end;
    update private.webhook_inbox as i
    set
        status = v_event.status, error = v_event.error, waits_for = v_event.waits_for, attempts = i.attempts + 1,
        last_attempt_at = clock_timestamp()
    where i.provider = p_provider and i.event_id = p_event_id;
    return v_event.status;
end
$$;
comment on function private.receive_webhook(text, text, text, jsonb, boolean) is
'Stores an event whose signature the edge verified and applies it by private.apply_<provider>_event(type text, payload
jsonb), which returns whether the event had an effect, or null where the event is about an object of another
application, and which calls await_reference where an object is unknown so far. Does nothing to an event that was
applied, ignored or foreign before; one whose effect raises an error becomes failed. One that the edge knows to be
foreign (p_is_foreign) is only counted. Returns the status.';

create function private.release_webhooks(p_provider text, p_reference text) returns void
language plpgsql
security definer -- the inbox is closed
set search_path = ''
as $$
declare
    v_event private.webhook_inbox;
begin
    perform private.lock_reference(p_provider, p_reference);
    for v_event in
        select i.* from private.webhook_inbox as i
        where i.provider = p_provider and i.waits_for = p_reference and i.status = 'waiting'
        order by i.received_at, i.event_id
    loop
        perform private.receive_webhook(p_provider, v_event.event_id, v_event.type, v_event.payload);
    end loop;
end
$$;
comment on function private.release_webhooks(text, text) is
'Applies the events that waited for an object of a provider, which the caller has just recorded, in the order of their
arrival. An event that fails becomes failed, and fails nothing else.';

create function private.retry_webhooks() returns bigint
language plpgsql
security definer -- the inbox is closed to the worker
set search_path = ''
as $$
declare
    v_event private.webhook_inbox;
    v_retried bigint := 0;
begin
    for v_event in
        select i.* from private.webhook_inbox as i
        where i.status = 'failed' and i.attempts < 30
            and i.last_attempt_at < now() - least(
                interval '1 minute' * 2 ^ least(i.attempts, 10), interval '6 hours'
            )
        order by i.received_at
        limit 100
        for update skip locked
    loop
        perform private.receive_webhook(v_event.provider, v_event.event_id, v_event.type, v_event.payload);
        v_retried := v_retried + 1;
    end loop;
    return v_retried;
end
$$;
comment on function private.retry_webhooks() is
'Applies failed events again, which the provider may have stopped delivering, or which failed after they had waited:
after two minutes, four and so on up to six hours, 30 times at most. Returns how many. For the worker.';

create function private.failed_webhooks() returns setof private.webhook_inbox
language sql
stable
security definer -- the inbox is closed; only admins see rows
set search_path = ''
as $$
    select i.* from private.webhook_inbox as i where i.status = 'failed' and (select private.has_role('admin'))
$$;
comment on function private.failed_webhooks() is 'The failed events; no rows for callers who are not admins.';

create function private.replay_webhook(p_provider text, p_event_id text) returns text
language plpgsql
security definer -- the inbox is closed; admins only
set search_path = ''
as $$
declare
    v_event private.webhook_inbox;
    v_status private.webhook_status;
begin
    perform private.require_role('admin');
    select i.* into v_event from private.webhook_inbox as i
    where i.provider = p_provider and i.event_id = p_event_id;
    if not found then
        perform private.refuse('event_not_found');
    end if;
    v_status := private.receive_webhook(p_provider, p_event_id, v_event.type, v_event.payload);
    perform private.audit(
        'webhook.replay', 'webhook_inbox', p_provider || ':' || p_event_id,
        jsonb_build_object('status', v_event.status), jsonb_build_object('status', v_status)
    );
    return v_status;
end
$$;
comment on function private.replay_webhook(text, text) is
'Applies a failed or waiting event again and returns its status: applied, ignored, waiting, foreign or failed. Does
nothing to an event that was applied, ignored or foreign. For admins; the audit log records it. Raises role_required
(403), event_not_found (404).';

create view public.webhook_failures with (security_invoker = true) as
select
    f.provider,
    f.event_id,
    f.type,
    f.attempts,
    f.error,
    f.received_at,
    f.last_attempt_at
from private.failed_webhooks() as f;
comment on view public.webhook_failures is
'Events of providers that failed: order=received_at. Only admins see rows; replay_webhook applies one again.';
comment on column public.webhook_failures.provider is 'Who sent it: stripe, clerk.';
comment on column public.webhook_failures.type is 'The provider''s type of the event.';
comment on column public.webhook_failures.attempts is 'How many times its effect was tried.';
comment on column public.webhook_failures.received_at is 'When it was first delivered.';
comment on column public.webhook_failures.last_attempt_at is 'When its effect was last tried.';
comment on column public.webhook_failures.error is 'The SQLSTATE and token with which the last attempt failed.';
create trigger _100_refuse_write instead of insert or update or delete on public.webhook_failures
for each row execute function private.tg__refuse_write();

create function private.webhook_totals() returns table (provider text, type text, status text, events bigint)
language sql
stable
security definer -- the inbox is closed; only admins see rows
set search_path = ''
as $$
    select i.provider, i.type, i.status::text, count(*)
    from private.webhook_inbox as i
    where (select private.has_role('admin'))
    group by i.provider, i.type, i.status
    order by i.provider, i.type, i.status
$$;
comment on function private.webhook_totals() is
'Counts the events of each provider by type and status: {provider, type, status, events}; status is applied, ignored,
waiting (for an object that is unknown so far), foreign (of another application at the provider) or failed. No rows for
callers who are not admins.';

create function private.purge__webhook_inbox() returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_purged bigint;
begin
    -- No partner of an object comes later than this.
    update private.webhook_inbox as i set status = 'foreign', waits_for = null
    where i.status = 'waiting' and i.received_at < now() - interval '30 days';
    update private.webhook_inbox as i set payload = null
    where i.payload is not null and i.status in ('applied', 'ignored', 'foreign')
        and i.received_at < now() - interval '90 days';
    get diagnostics v_purged = row_count;
    return v_purged;
end
$$;
comment on function private.purge__webhook_inbox() is
'Counts events as foreign that have waited for 30 days, and empties the payloads of applied, ignored and foreign events
that are older than 90 days; returns how many it emptied. Their keys stay, so that a repeated delivery has no second
effect.';
