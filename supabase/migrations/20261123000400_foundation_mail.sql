-- Foundation: the mail outbox. A function that wants a mail sent inserts it with the job that sends it, in the
-- transaction of its cause: either both are committed or neither is.

create table private.mail_templates (
    template text constraint mail_templates_pkey primary key
    constraint mail_templates_template_check check (template ~ '^[a-z_]+$'),
    topic text not null
);
comment on table private.mail_templates is
'Every kind of mail: a row here, inserted by the domain that sends it, and a file of the same name in
edge/mail/templates/ with its texts.';
comment on column private.mail_templates.topic is
'The topic that users switch off to get none of these. identity adds the foreign key to notification_topics.';
alter table private.mail_templates enable row level security;
create index mail_templates_topic_idx on private.mail_templates (topic);
comment on index private.mail_templates_topic_idx is 'The foreign key to notification_topics: topic = ?';

create type private.mail_status as enum ('unsent', 'sent', 'failed', 'skipped');
comment on type private.mail_status is
'unsent: a job will send it. sent: the mail server accepted it. failed: the mail server refused it for good, or every
attempt failed. skipped: the recipient is deleted, has no confirmed address, or switched the topic off.';

create table private.mail_outbox (
    id bigint generated always as identity constraint mail_outbox_pkey primary key,
    user_id uuid not null,
    template text not null
    constraint mail_outbox_template_fkey references private.mail_templates (template) on delete restrict,
    params jsonb not null default '{}' constraint mail_outbox_params_check check (jsonb_typeof(params) = 'object'),
    address text constraint mail_outbox_address_check check (char_length(address) <= 254),
    idempotency_key text not null constraint mail_outbox_idempotency_key_key unique,
    status private.mail_status not null default 'unsent',
    attempts integer not null default 0,
    last_error text constraint mail_outbox_last_error_check check (char_length(last_error) <= 200),
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    constraint mail_outbox_sent_at_check check ((status = 'sent') = (sent_at is not null))
);
comment on table private.mail_outbox is
'One row for each mail. The address is looked up when the mail is sent, and not stored here, but for a mail to one that
the user no longer has. Rows stay, because their
idempotency keys prevent a second mail; purge__mail empties their params after 30 days.';
comment on column private.mail_outbox.user_id is
'The recipient. No foreign key: a mail to a user who is deleted meanwhile is skipped.';
comment on column private.mail_outbox.params is
'The values that the template shows; emptied 30 days after the mail, and when the recipient is deleted.';
comment on column private.mail_outbox.address is
'Where the mail goes to another address than the one that the user has when it is sent; emptied with params.';
comment on column private.mail_outbox.idempotency_key is
'Identifies the cause: a second mail with the same key is not queued.';
comment on column private.mail_outbox.attempts is 'How many times the worker tried to send it.';
comment on column private.mail_outbox.last_error is
'Why the last attempt failed: the kind of error and the reply code, never the reply, which quotes addresses.';
alter table private.mail_outbox enable row level security;
create index mail_outbox_template_idx on private.mail_outbox (template);
comment on index private.mail_outbox_template_idx is 'The foreign key to mail_templates: template = ?';
create index mail_outbox_user_id_idx on private.mail_outbox (user_id) where params <> '{}';
comment on index private.mail_outbox_user_id_idx is 'account_ended__300_mail: where user_id = ? and params <> ''{}''';
create index mail_outbox_unpurged_idx on private.mail_outbox (created_at) where params <> '{}' and status <> 'unsent';
comment on index private.mail_outbox_unpurged_idx is
'purge__mail: where params <> ''{}'' and status <> ''unsent'' and created_at < ?';

insert into private.status_transitions (table_name, from_status, to_status)
values
('mail_outbox', 'unsent', 'sent'),
('mail_outbox', 'unsent', 'failed'),
('mail_outbox', 'unsent', 'skipped');
create trigger _100_check_transition before update of status on private.mail_outbox
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.enqueue_mail(
    p_user_id uuid, p_template text, p_params jsonb, p_idempotency_key text, p_address text default null
)
returns void
language plpgsql
security definer -- the outbox is closed
set search_path = ''
as $$
declare
    v_id bigint;
begin
    insert into private.mail_outbox (user_id, template, params, idempotency_key, address)
    values (p_user_id, p_template, p_params, p_idempotency_key, p_address)
    on conflict (idempotency_key) do nothing
    returning id into v_id;
    if found then
        perform private.defer_job('send_mail', jsonb_build_object('outbox_id', v_id));
    end if;
end
$$;
comment on function private.enqueue_mail(uuid, text, jsonb, text, text) is
'Queues a mail with the job that sends it; does nothing where a mail with this idempotency key exists. p_address is for
a mail to an address that the user no longer has.';

create function private.record_mail_result(p_outbox_id bigint, p_outcome private.mail_status, p_error text default null)
returns void
language sql
security definer -- the worker may not write the outbox
set search_path = ''
as $$
    update private.mail_outbox as m
    set
        status = p_outcome,
        attempts = m.attempts + 1,
        last_error = left(p_error, 200),
        sent_at = case when p_outcome = 'sent' then now() end
    where m.id = p_outbox_id and m.status = 'unsent'
$$;
comment on function private.record_mail_result(bigint, private.mail_status, text) is
'Records the result of an attempt to send a mail: sent, failed, or unsent where the worker will try again. Does nothing
to a mail that has another status than unsent. For the worker.';

create function private.claim_mail(p_outbox_id bigint) returns jsonb
language plpgsql
security definer -- the worker reads no table: it learns one address, that of the mail it sends
set search_path = ''
as $$
declare
    v_mail private.mail_outbox;
    v_function name;
    v_recipient jsonb;
begin
    -- The lock lasts until the caller's transaction ends. A second worker waits here, and then finds the mail sent.
    select m.* into v_mail from private.mail_outbox as m
    where m.id = p_outbox_id and m.status = 'unsent' for update;
    if not found then
        return null;
    end if;
    for v_function in select f.name from private.registered_functions('mail_recipient') as f (name) loop
        execute format('select private.%I($1, $2)', v_function) into v_recipient using v_mail.user_id, v_mail.template;
        exit when v_recipient is not null;
    end loop;
    if v_recipient is null then
        update private.mail_outbox as m set status = 'skipped', params = '{}', address = null where m.id = p_outbox_id;
        return null;
    end if;
    return v_recipient || jsonb_build_object(
        'address', coalesce(v_mail.address, v_recipient ->> 'address'),
        'template', v_mail.template,
        'params', v_mail.params,
        'attempts', v_mail.attempts,
        'message_id', encode(sha256(convert_to(v_mail.idempotency_key, 'UTF8')), 'hex')
    );
end
$$;
comment on function private.claim_mail(bigint) is
'What the worker needs to send a mail, and locks the mail until the transaction ends: {address, display_name, topic,
is_mandatory, template, params, attempts, message_id}. The first answer of the functions
private.mail_recipient__<what>(user_id uuid, template text) that is not null gives the first four. Null where the mail
is not unsent; and where no function answers, which marks the mail skipped. The worker calls record_mail_result in the
same transaction.';

create function private.purge__mail() returns bigint
language sql
set search_path = ''
as $$
    with purged as (
        update private.mail_outbox as m
        set params = '{}', address = null
        where m.params <> '{}' and m.status <> 'unsent' and m.created_at < now() - interval '30 days'
        returning m.id
    )
    select count(*) from purged
$$;
comment on function private.purge__mail() is
'Empties the params of mails that are older than 30 days and not unsent; returns how many.';

create function private.account_ended__300_mail(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update private.mail_outbox as m set params = '{}', address = null
    where m.user_id = p_user_id and m.params <> '{}'
$$;
comment on function private.account_ended__300_mail(uuid) is 'Empties the params of the user''s mails.';
