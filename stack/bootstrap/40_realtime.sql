-- What Supabase Realtime has in a database: the publication, the table of messages, whose policies say who may listen
-- to a private topic and send to it, and the functions that send a message. This stack has no realtime server: messages
-- are stored, as on Supabase, and not delivered.

do $$
begin
    if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
end
$$;
alter publication supabase_realtime owner to postgres;

-- In a block, because sqlfluff cannot parse partitions.
do $$
begin
    create table if not exists realtime.messages (
        topic text not null,
        extension text not null,
        payload jsonb,
        event text,
        private boolean default false,
        updated_at timestamp not null default now(),
        inserted_at timestamp not null default now(),
        id uuid not null default gen_random_uuid(),
        constraint messages_pkey primary key (id, inserted_at)
    ) partition by range (inserted_at);
    -- The server of hosted Supabase makes and drops a partition for each day.
    create table if not exists realtime.messages_default partition of realtime.messages default;
end
$$;
alter table realtime.messages owner to supabase_realtime_admin;
alter table realtime.messages_default owner to supabase_realtime_admin;
alter table realtime.messages enable row level security;
alter table realtime.messages_default enable row level security;
grant select, insert, update on realtime.messages to anon, authenticated, service_role, postgres;
comment on table realtime.messages
is 'Messages to topics. Its policies decide who may listen (select) and send (insert) on a private topic.';
comment on table realtime.messages_default is 'All messages: this stack has no partitions by day.';

create or replace function realtime.topic() returns text
language sql
stable
set search_path = ''
as $$
    select nullif(current_setting('realtime.topic', true), '')::text
$$;
comment on function realtime.topic() is 'The topic that the caller joins or sends to, for policies.';

create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid := gen_random_uuid();
begin
    perform set_config('realtime.topic', send.topic, true);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (
        v_id,
        case
            when send.payload ? 'id' then send.payload
            else jsonb_set(send.payload, '{id}', to_jsonb(v_id))
        end,
        send.event,
        send.topic,
        send.private,
        'broadcast'
    );
exception
    -- As on Supabase, so that a message that may not be sent does not undo the write that caused it.
    when others then
        raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
end
$$;
comment on function realtime.send(jsonb, text, text, boolean)
is 'Sends a message to a topic, with the rights of its caller. Where it fails it warns.';

create or replace function realtime.broadcast_changes(
    topic_name text,
    event_name text,
    operation text,
    table_name text,
    table_schema text,
    new record,
    old record,
    level text default 'ROW'
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if level = 'STATEMENT' then
        raise exception 'a statement trigger has no row to broadcast';
    end if;
    perform realtime.send(
        jsonb_build_object(
            'old_record', old, 'record', new, 'operation', operation, 'table', table_name, 'schema', table_schema
        ),
        event_name,
        topic_name
    );
end
$$;
comment on function realtime.broadcast_changes(text, text, text, text, text, record, record, text)
is 'Sends the row that a trigger for each row got to a topic.';

grant execute on function realtime.topic() to anon, authenticated, service_role, postgres;
