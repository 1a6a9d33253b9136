-- Foundation: who did what to whom, written in the transaction that did it.

create table public.audit_log (
    id bigint generated always as identity constraint audit_log_pkey primary key,
    actor_id uuid,
    action text not null constraint audit_log_action_check check (action ~ '^[a-z_]+\.[a-z_]+$'),
    target_table text not null,
    target_id text not null,
    before jsonb,
    after jsonb,
    request_id text default private.request_id()
    constraint audit_log_request_id_check check (char_length(request_id) <= 128),
    created_at timestamptz not null default now()
);
comment on table public.audit_log is
'What admins, moderators and the system changed. Append only; admins read it.';
comment on column public.audit_log.actor_id is
'Who did it; null where the system did. No foreign key: the record outlives the account.';
comment on column public.audit_log.action is '`<thing>.<verb>`, such as `role.grant`.';
comment on column public.audit_log.target_table is 'The table of the row that changed.';
comment on column public.audit_log.target_id is 'The key of the row that changed, as text.';
comment on column public.audit_log.before is 'What changed, as it was; null where nothing was.';
comment on column public.audit_log.after is 'What changed, as it became; null where nothing is left.';
comment on column public.audit_log.request_id is
'The X-Request-Id of the request that did it, by which logs find the rest; null where it was no request.';

alter table public.audit_log enable row level security;
revoke all on public.audit_log from anon, authenticated, service_role;

create index audit_log_target_idx on public.audit_log (target_table, target_id, id desc);
comment on index public.audit_log_target_idx is 'The history of one row: target_table=eq.&target_id=eq.&order=id.desc';
create index audit_log_actor_idx on public.audit_log (actor_id, id desc);
comment on index public.audit_log_actor_idx is 'What one person did: actor_id=eq.&order=id.desc';

create function private.tg__refuse_change() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    raise sqlstate 'PT409' using
        message = 'append_only',
        detail = format('%s is never changed.', tg_table_name),
        hint = 'Write a new entry instead.';
end
$$;
comment on function private.tg__refuse_change() is
'Refuses every change of what is written, even by the owner of the table. Raises PT409 append_only.';
create trigger _100_refuse_change before update or delete on public.audit_log
for each row execute function private.tg__refuse_change();
create trigger _100_refuse_truncate before truncate on public.audit_log
for each statement execute function private.tg__refuse_change();

create function private.audit(p_action text, p_table text, p_id text, p_before jsonb, p_after jsonb) returns void
language sql
security definer -- nobody may write the log but through functions that do what they record
set search_path = ''
as $$
    insert into public.audit_log (actor_id, action, target_table, target_id, before, after)
    values ((select auth.uid()), p_action, p_table, p_id, p_before, p_after)
$$;
comment on function private.audit(text, text, text, jsonb, jsonb) is
'Records an action of the caller. Called by the admin and moderation functions only; no client role may execute it.';
