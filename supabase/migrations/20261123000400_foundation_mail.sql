-- Foundation: mail that the database wants sent. Written in the transaction that causes it, so that there is no mail
-- without its cause and no cause without its mail; a worker sends it.

create table private.mail_outbox (
    id bigint generated always as identity constraint mail_outbox_pkey primary key,
    user_id uuid not null,
    template text not null constraint mail_outbox_template_check check (template ~ '^[a-z_]+$'),
    params jsonb not null default '{}' constraint mail_outbox_params_check check (jsonb_typeof(params) = 'object'),
    idempotency_key text not null constraint mail_outbox_idempotency_key_key unique,
    created_at timestamptz not null default now(),
    sent_at timestamptz
);
comment on table private.mail_outbox is
'Mail to send, one row each. The address is looked up when it is sent: none is stored here.';
comment on column private.mail_outbox.user_id is
'Who gets it. No foreign key: a row whose user is gone by then is passed over.';
comment on column private.mail_outbox.params is 'What the template fills in.';
comment on column private.mail_outbox.idempotency_key is
'One mail for one cause: the same key a second time is no second mail.';
alter table private.mail_outbox enable row level security;
create index mail_outbox_unsent_idx on private.mail_outbox (id) where sent_at is null;
comment on index private.mail_outbox_unsent_idx is 'The worker''s next mails: where sent_at is null order by id';

create function private.enqueue_mail(p_user_id uuid, p_template text, p_params jsonb, p_idempotency_key text)
returns void
language sql
security definer -- the outbox is closed; only functions of ours enqueue
set search_path = ''
as $$
    insert into private.mail_outbox (user_id, template, params, idempotency_key)
    values (p_user_id, p_template, p_params, p_idempotency_key)
    on conflict (idempotency_key) do nothing
$$;
comment on function private.enqueue_mail(uuid, text, jsonb, text) is
'Puts one mail in the outbox, once per idempotency key. Called by functions of ours only.';
