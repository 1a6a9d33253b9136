-- Foundation: what providers tell us. Each event is kept once and takes effect in the transaction that keeps it; its
-- provider's own function, private.apply_<provider>_event, knows what the effect is.

create type private.webhook_status as enum ('received', 'applied', 'ignored', 'failed');
comment on type private.webhook_status is
'received: not settled yet. applied: it had its effect. ignored: it means nothing here, or nothing any more. failed: its
effect failed and was undone; it is tried again when the provider tells it again.';

create table private.webhook_inbox (
    provider text not null constraint webhook_inbox_provider_check check (provider ~ '^[a-z_]+$'),
    event_id text not null constraint webhook_inbox_event_id_check check (char_length(event_id) between 1 and 255),
    type text not null constraint webhook_inbox_type_check check (char_length(type) <= 255),
    payload jsonb,
    status private.webhook_status not null default 'received',
    attempts integer not null default 0,
    error text,
    received_at timestamptz not null default now(),
    settled_at timestamptz,
    constraint webhook_inbox_pkey primary key (provider, event_id),
    constraint webhook_inbox_error_check check ((status = 'failed') = (error is not null)),
    -- What still has to take effect is kept whole.
    constraint webhook_inbox_payload_check check (payload is not null or status in ('applied', 'ignored'))
);
comment on table private.webhook_inbox is
'Every event whose signature was right, once. One external event has one effect, however often and in whatever order the
provider tells it.';
comment on column private.webhook_inbox.event_id is 'The provider''s id of the event, the same at every delivery.';
comment on column private.webhook_inbox.payload is 'As it was signed; null once purge_webhook_inbox has been there.';
comment on column private.webhook_inbox.attempts is 'How often its effect was tried.';
comment on column private.webhook_inbox.error is 'Why the last attempt failed: SQLSTATE and message.';
comment on column private.webhook_inbox.settled_at is 'When it was last tried.';
alter table private.webhook_inbox enable row level security;

create index webhook_inbox_failed_idx on private.webhook_inbox (received_at) where status = 'failed';
comment on index private.webhook_inbox_failed_idx is
'What waits for somebody to look: where status = ''failed'' order by received_at';
create index webhook_inbox_received_at_idx on private.webhook_inbox (received_at)
where payload is not null and status in ('applied', 'ignored');
comment on index private.webhook_inbox_received_at_idx is
'purge_webhook_inbox: where payload is not null and status in (''applied'', ''ignored'') and received_at <';

insert into private.status_transitions (table_name, from_status, to_status)
values
('webhook_inbox', 'received', 'applied'),
('webhook_inbox', 'received', 'ignored'),
('webhook_inbox', 'received', 'failed'),
('webhook_inbox', 'failed', 'applied'),
('webhook_inbox', 'failed', 'ignored');
create trigger _100_check_transition before update of status on private.webhook_inbox
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.receive_webhook(p_provider text, p_event_id text, p_type text, p_payload jsonb)
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
    -- Where the same event is told twice at once, the second waits here until the first is settled.
    insert into private.webhook_inbox (provider, event_id, type, payload)
    values (p_provider, p_event_id, p_type, p_payload)
    on conflict (provider, event_id) do nothing;
    select i.* into v_event from private.webhook_inbox as i
    where i.provider = p_provider and i.event_id = p_event_id for update;
    if v_event.status in ('applied', 'ignored') then
        return v_event.status;
    end if;
    begin
        execute format('select private.%I($1, $2)', 'apply_' || v_event.provider || '_event')
        into v_has_effect using v_event.type, v_event.payload;
        v_event.status := case when v_has_effect then 'applied' else 'ignored' end;
        v_event.error := null;
    exception when others then
        get stacked diagnostics v_sqlstate = returned_sqlstate, v_message = message_text;
        v_event.status := 'failed';
        v_event.error := v_sqlstate || ' ' || v_message;
    end;
    update private.webhook_inbox as i
    set status = v_event.status, error = v_event.error, attempts = i.attempts + 1, settled_at = clock_timestamp()
    where i.provider = p_provider and i.event_id = p_event_id;
    return v_event.status;
end
$$;
comment on function private.receive_webhook(text, text, text, jsonb) is
'Keeps an event whose signature was verified, and has private.apply_<provider>_event(type, payload) apply it, which
answers whether it had an effect. An event that was settled before is acknowledged and does nothing; one whose effect failed is
kept as failed, and tried again when it is told again. Answers the status that it has now.';

create function private.purge_webhook_inbox() returns bigint
language plpgsql
security definer -- the inbox is closed; a job calls this
set search_path = ''
as $$
declare
    v_purged bigint;
begin
    update private.webhook_inbox as i set payload = null
    where i.payload is not null and i.status in ('applied', 'ignored') and i.received_at < now() - interval '90 days';
    get diagnostics v_purged = row_count;
    return v_purged;
end
$$;
comment on function private.purge_webhook_inbox() is
'Empties settled events that are older than 90 days; their keys stay, so that a replay has no effect
ever. Answers how many.';
