-- Commerce: payment providers, and the references by which they know our rows. A provider adds a row of
-- payment_providers, private.apply_<provider>_event for its webhooks, and private.send_to_<provider> for what it is to
-- do; no other function knows its name or its JSON.

create table private.payment_providers (
    provider text constraint payment_providers_pkey primary key
    constraint payment_providers_provider_check check (provider ~ '^[a-z]{3,20}$'),
    is_remote boolean not null
);
comment on table private.payment_providers is 'How an order can be paid.';
comment on column private.payment_providers.is_remote is
'Whether the money is at a payment provider, which private.send_to_<provider> asks for refunds. Else an admin moved it,
or nothing was to pay.';
alter table private.payment_providers enable row level security;
insert into private.payment_providers (provider, is_remote) values ('manual', false), ('free', false);

create function private.provider_account(p_provider text) returns public.ledger_account_kind
language plpgsql -- every payment calls this: a SQL function would be planned each time
stable
security definer -- the table is closed
set search_path = ''
as $$
begin
    return case
        when (select p.is_remote from private.payment_providers as p where p.provider = p_provider) then 'provider'
        else 'manual'
    end;
end
$$;
comment on function private.provider_account(text) is
'The kind of ledger account that holds the money of a provider.';

create table private.provider_references (
    provider text not null
    constraint provider_references_provider_fkey references private.payment_providers (provider) on delete restrict,
    reference text not null
    constraint provider_references_reference_check check (reference ~ '^[A-Za-z0-9_-]{3,255}$'),
    object text not null constraint provider_references_object_check check (object ~ '^[a-z_]{3,40}$'),
    row_id uuid not null,
    observed_at timestamptz not null default '-infinity',
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    constraint provider_references_pkey primary key (provider, reference, object)
);
comment on table private.provider_references is
'The row of ours behind each object at a provider: the user of a customer or account, the order of a session, payment or
charge, and so on.';
comment on column private.provider_references.reference is 'The provider''s id of the object.';
comment on column private.provider_references.object is
'customer, account (of a user); session, payment, charge (of an order); payment_record (a payment intent, of the row of
payments that has another reference); subscription, refund, dispute, payout; product, price (of an offer).';
comment on column private.provider_references.row_id is 'The row. No foreign key: it is of one of several tables.';
comment on column private.provider_references.observed_at is
'The time of the newest state of the object that was applied; an older state is ignored.';
comment on column private.provider_references.ended_at is
'When the provider no longer had the object: it was deleted, or belongs to another account than the key; null while it
is in use. Late reports still find the row.';
alter table private.provider_references enable row level security;
create index provider_references_row_id_idx on private.provider_references (row_id, object);
comment on index private.provider_references_row_id_idx is 'reference_of and provider_of: row_id = and object =';

create function private.bind_reference(p_provider text, p_object text, p_reference text, p_row_id uuid) returns void
language plpgsql -- every payment calls this: a SQL function would be planned each time
security definer -- the table is closed
set search_path = ''
as $$
begin
    insert into private.provider_references (provider, object, reference, row_id)
    values (p_provider, p_object, p_reference, p_row_id)
    on conflict do nothing;
end
$$;
comment on function private.bind_reference(text, text, text, uuid) is
'Records that an object at a provider belongs to a row; the first binding stays.';

create function private.row_of_reference(p_provider text, p_object text, p_reference text) returns uuid
language plpgsql -- every payment calls this: a SQL function would be planned each time
stable
security definer -- the table is closed
set search_path = ''
as $$
begin
    return (
        select r.row_id from private.provider_references as r
        where r.provider = p_provider and r.reference = p_reference and r.object = p_object
    );
end
$$;
comment on function private.row_of_reference(text, text, text) is
'The row that an object at a provider belongs to; null where none is known.';

create function private.reference_of(p_provider text, p_object text, p_row_id uuid) returns text
language sql
stable
security definer -- the table is closed
set search_path = ''
as $$
    select r.reference from private.provider_references as r
    where r.row_id = p_row_id and r.object = p_object and r.provider = p_provider and r.ended_at is null
    order by r.created_at desc
    limit 1
$$;
comment on function private.reference_of(text, text, uuid) is
'The newest reference of a row at a provider that has not ended; null where it has none.';

create function private.provider_of(p_object text, p_row_id uuid) returns text
language sql
stable
security definer -- the table is closed
set search_path = ''
as $$
    select r.provider from private.provider_references as r
    where r.row_id = p_row_id and r.object = p_object and r.ended_at is null
    order by r.created_at desc
    limit 1
$$;
comment on function private.provider_of(text, uuid) is
'The provider that has an object of a row, such as the payout account of a user; null where none has.';

create function private.observe_reference(
    p_provider text, p_object text, p_reference text, p_observed_at timestamptz
)
returns timestamptz
language plpgsql
security definer -- the table is closed
set search_path = ''
as $$
declare
    v_known timestamptz;
begin
    select r.observed_at into v_known from private.provider_references as r
    where r.provider = p_provider and r.reference = p_reference and r.object = p_object for no key update;
    if p_observed_at > v_known then
        update private.provider_references as r set observed_at = p_observed_at
        where r.provider = p_provider and r.reference = p_reference and r.object = p_object;
    end if;
    return v_known;
end
$$;
comment on function private.observe_reference(text, text, text, timestamptz) is
'Locks a reference, moves its observed_at forward, never back, and returns what it was before; null where the reference
is unknown. A caller that got a later time than its own has an outdated state.';

create table private.provider_attempts (
    provider text not null
    constraint provider_attempts_provider_fkey references private.payment_providers (provider) on delete restrict,
    object text not null,
    subject text not null,
    attempt integer not null default 1,
    constraint provider_attempts_pkey primary key (provider, object, subject)
);
comment on table private.provider_attempts is
'How often the making of an object at a provider began anew. The number is part of the idempotency key: a provider
repeats its answer to a known key for a day, also where it failed or where the object is gone. No row: not once.';
comment on column private.provider_attempts.object is 'As in provider_references.';
comment on column private.provider_attempts.subject is 'The id of the row, or the provider''s reference of a payment.';
alter table private.provider_attempts enable row level security;

create function private.provider_attempt(p_provider text, p_object text, p_subject text) returns integer
language sql
stable
security definer -- the table is closed
set search_path = ''
as $$
    select coalesce(max(a.attempt), 0) from private.provider_attempts as a
    where a.provider = p_provider and a.object = p_object and a.subject = p_subject
$$;
comment on function private.provider_attempt(text, text, text) is
'The number in the idempotency key by which an object of a subject is made; 0 at first.';

create function private.renew_provider_attempt(p_provider text, p_object text, p_subject text, p_attempt integer)
returns void
language sql
security definer -- the table is closed
set search_path = ''
as $$
    insert into private.provider_attempts as a (provider, object, subject, attempt)
    values (p_provider, p_object, p_subject, p_attempt + 1)
    on conflict (provider, object, subject) do update set attempt = a.attempt + 1 where a.attempt = p_attempt
$$;
comment on function private.renew_provider_attempt(text, text, text, integer) is
'Has the next making of an object use another idempotency key than this attempt; of concurrent calls one counts.';

create function private.end_reference(p_provider text, p_object text, p_reference text) returns uuid
language plpgsql
security definer -- the table is closed
set search_path = ''
as $$
declare
    v_row_id uuid;
begin
    update private.provider_references as r set ended_at = now()
    where r.provider = p_provider and r.object = p_object and r.reference = p_reference and r.ended_at is null
    returning r.row_id into v_row_id;
    if found then
        perform private.renew_provider_attempt(
            p_provider, p_object, v_row_id::text, private.provider_attempt(p_provider, p_object, v_row_id::text)
        );
    end if;
    return v_row_id;
end
$$;
comment on function private.end_reference(text, text, text) is
'Records that a provider no longer has an object, so that another is made with a new idempotency key. Returns its row;
null where none is known or it had ended.';

create function private.send_to_provider(p_provider text, p_task text, p_subject text) returns void
language plpgsql
security definer -- the queue is closed
set search_path = ''
as $$
begin
    execute format('select private.%I($1, $2)', 'send_to_' || p_provider) using p_task, p_subject;
end
$$;
comment on function private.send_to_provider(text, text, text) is
'Has a provider do a task, by its own private.send_to_<provider>(task, subject), which defers a job: refund (the
refund''s id), refund_surplus (the payment''s reference), expire_session, end_subscription and end_customer (their
references), sync_renewals (the subscription''s id, see private.renewals_of), transfer (the payout''s id), sync_balance
(the provider: read its balance, for record_provider_balances).';
