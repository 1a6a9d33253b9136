-- Foundation: mail that the database wants sent. Written in the transaction that causes it, with the job that sends it,
-- so that there is no mail without its cause and no cause without its mail.

create table private.mail_templates (
    template text constraint mail_templates_pkey primary key
    constraint mail_templates_template_check check (template ~ '^[a-z_]+$'),
    topic text not null
);
comment on table private.mail_templates is
'Every mail that there is: a row here, and a folder of the same name in edge/mail/templates/, where its words are.';
comment on column private.mail_templates.topic is
'What people switch off to get no more of these, in notification_topics, which hangs its foreign key on this column.';
alter table private.mail_templates enable row level security;
create index mail_templates_topic_idx on private.mail_templates (topic);
comment on index private.mail_templates_topic_idx is 'The foreign key to notification_topics: topic = ?';

create type private.mail_status as enum ('unsent', 'sent', 'failed', 'skipped');
comment on type private.mail_status is
'unsent: a job will send it. sent: the mail server took it. failed: it was refused for good, or for too long. skipped:
its recipient is gone, has no confirmed address, or does not want it.';

create table private.mail_outbox (
    id bigint generated always as identity constraint mail_outbox_pkey primary key,
    user_id uuid not null,
    template text not null
    constraint mail_outbox_template_fkey references private.mail_templates (template) on delete restrict,
    params jsonb not null default '{}' constraint mail_outbox_params_check check (jsonb_typeof(params) = 'object'),
    idempotency_key text not null constraint mail_outbox_idempotency_key_key unique,
    status private.mail_status not null default 'unsent',
    attempts integer not null default 0,
    last_error text constraint mail_outbox_last_error_check check (char_length(last_error) <= 200),
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    constraint mail_outbox_sent_at_check check ((status = 'sent') = (sent_at is not null))
);
comment on table private.mail_outbox is
'Mail to send, one row each. The address is looked up when it is sent: none is stored here. A row stays, for its key
keeps the same mail from being sent again; what it said of a person goes (purge_mail).';
comment on column private.mail_outbox.user_id is
'Who gets it. No foreign key: a row whose user is gone by then is passed over.';
comment on column private.mail_outbox.params is
'What the template fills in; empty after a month, and when its recipient is gone.';
comment on column private.mail_outbox.idempotency_key is
'One mail for one cause: the same key a second time is no second mail.';
comment on column private.mail_outbox.attempts is 'How often a mail server was asked to take it.';
comment on column private.mail_outbox.last_error is
'Why the last attempt failed: the kind of error and the code of the answer, never the answer, which quotes addresses.';
alter table private.mail_outbox enable row level security;
create index mail_outbox_template_idx on private.mail_outbox (template);
comment on index private.mail_outbox_template_idx is 'The foreign key to mail_templates: template = ?';
create index mail_outbox_user_id_idx on private.mail_outbox (user_id) where params <> '{}';
comment on index private.mail_outbox_user_id_idx is 'Forgetting somebody: where user_id = ? and params <> ''{}''';
create index mail_outbox_unpurged_idx on private.mail_outbox (created_at) where params <> '{}' and status <> 'unsent';
comment on index private.mail_outbox_unpurged_idx is
'purge_mail: where params <> ''{}'' and status <> ''unsent'' and created_at < ?';

insert into private.status_transitions (table_name, from_status, to_status)
values
('mail_outbox', 'unsent', 'sent'),
('mail_outbox', 'unsent', 'failed'),
('mail_outbox', 'unsent', 'skipped');
create trigger _100_check_transition before update of status on private.mail_outbox
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create function private.enqueue_mail(p_user_id uuid, p_template text, p_params jsonb, p_idempotency_key text)
returns void
language plpgsql
security definer -- the outbox is closed; only functions of ours enqueue
set search_path = ''
as $$
declare
    v_id bigint;
begin
    insert into private.mail_outbox (user_id, template, params, idempotency_key)
    values (p_user_id, p_template, p_params, p_idempotency_key)
    on conflict (idempotency_key) do nothing
    returning id into v_id;
    if found then
        perform private.defer_job('send_mail', jsonb_build_object('outbox_id', v_id));
    end if;
end
$$;
comment on function private.enqueue_mail(uuid, text, jsonb, text) is
'Puts one mail in the outbox, once per idempotency key, with the job that sends it. Called by functions of ours only.';

create function private.settle_mail(p_outbox_id bigint, p_outcome private.mail_status, p_error text default null)
returns void
language sql
security definer -- the outbox is closed; the worker may do this to it, and nothing else
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
comment on function private.settle_mail(bigint, private.mail_status, text) is
'Records what an attempt to send a mail came to: sent, failed, or unsent where it will be tried again. A mail that is
settled stays so. For the worker.';

create function private.purge_mail() returns bigint
language sql
security definer -- the outbox is closed
set search_path = ''
as $$
    with purged as (
        update private.mail_outbox as m
        set params = '{}'
        where m.params <> '{}' and m.status <> 'unsent' and m.created_at < now() - interval '30 days'
        returning m.id
    )
    select count(*) from purged
$$;
comment on function private.purge_mail() is
'Empties what mails of more than a month ago were filled in with; how many. For the worker, which calls every purge_*.';
