-- Foundation: the audit log. Functions write an entry in the transaction that makes the change.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'append_only', 409,
    'An entry of this table is never changed or removed.',
    'Write a new entry instead.',
    '%s is never changed.'
);

create table public.audit_log (
    id bigint generated always as identity constraint audit_log_pkey primary key,
    actor_id uuid,
    action text not null constraint audit_log_action_check check (action ~ '^[a-z_]+\.[a-z_]+$'),
    target_table text not null,
    target_id text not null,
    before jsonb,
    after jsonb,
    subject_id uuid,
    request_id text default private.request_id()
    constraint audit_log_request_id_check check (char_length(request_id) <= 128),
    created_at timestamptz not null default now()
);
comment on table public.audit_log is
'Changes by admins, moderators and the system. Append only; admins read it.';
comment on column public.audit_log.actor_id is
'The user who made the change; null for the system. No foreign key: the entry outlives the account.';
comment on column public.audit_log.action is '`<thing>.<verb>`, such as `role.grant`.';
comment on column public.audit_log.target_table is 'The table of the row that changed.';
comment on column public.audit_log.target_id is 'The key of the row that changed, as text.';
comment on column public.audit_log.before is 'The changed values before; null where the row is new.';
comment on column public.audit_log.after is 'The changed values after; null where the row was deleted.';
comment on column public.audit_log.subject_id is
'The user whose personal data before and after show, or null. When this account is deleted, their values become null and
the rest of the entry stays.';
comment on column public.audit_log.request_id is
'The X-Request-Id of the request, which the logs of edge and Postgres have too; null outside requests.';

alter table public.audit_log enable row level security;
revoke all on public.audit_log from anon, authenticated, service_role;

create index audit_log_target_idx on public.audit_log (target_table, target_id, id desc);
comment on index public.audit_log_target_idx is 'The history of one row: target_table=eq.&target_id=eq.&order=id.desc';
create index audit_log_actor_idx on public.audit_log (actor_id, id desc);
comment on index public.audit_log_actor_idx is 'The changes by one user: actor_id=eq.&order=id.desc';
create index audit_log_subject_id_idx on public.audit_log (subject_id) where subject_id is not null;
comment on index public.audit_log_subject_id_idx is 'account_ended__900_audit_log: subject_id = ?';

create function private.tg__refuse_change() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform private.refuse('append_only', tg_table_name::text);
end
$$;
comment on function private.tg__refuse_change() is
'Before update, delete or truncate: refuses, even the owner of the table. Raises PT409 append_only.';
create trigger _100_refuse_delete before delete on public.audit_log
for each row execute function private.tg__refuse_change();
create trigger _100_refuse_truncate before truncate on public.audit_log
for each statement execute function private.tg__refuse_change();

create function private.without_values(p_object jsonb) returns jsonb
language sql
immutable
set search_path = ''
as $$
    select jsonb_object_agg(k.key, null) from jsonb_object_keys(p_object) as k (key)
$$;
comment on function private.without_values(jsonb) is 'A JSON object with the same keys, and null for each value.';

create function private.tg_audit_log__refuse_change() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if old.subject_id is null or to_jsonb(new) is distinct from to_jsonb(old) || jsonb_build_object(
        'before', private.without_values(old.before), 'after', private.without_values(old.after)
    ) then
        perform private.refuse('append_only', tg_table_name::text);
    end if;
    return new;
end
$$;
comment on function private.tg_audit_log__refuse_change() is
'Before update: refuses, even the owner of the table, but for one change: the values of before and after of an entry
with personal data become null. Raises PT409 append_only.';
create trigger _100_refuse_change before update on public.audit_log
for each row execute function private.tg_audit_log__refuse_change();

create function private.account_ended__900_audit_log(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    update public.audit_log as l
    set before = private.without_values(l.before), after = private.without_values(l.after)
    where l.subject_id = p_user_id
$$;
comment on function private.account_ended__900_audit_log(uuid) is
'Forgets what entries of the audit log show of the user: the names of what changed stay.';

create function private.audit(
    p_action text, p_table text, p_id text, p_before jsonb, p_after jsonb, p_subject_id uuid default null
)
returns void
language sql
security definer -- the log is closed; only functions that make a change record it
set search_path = ''
as $$
    insert into public.audit_log (actor_id, action, target_table, target_id, before, after, subject_id)
    values ((select auth.uid()), p_action, p_table, p_id, p_before, p_after, p_subject_id)
$$;
comment on function private.audit(text, text, text, jsonb, jsonb, uuid) is
'Records a change by the caller. Admin and moderation functions call it. p_subject_id is the user whose personal data
p_before and p_after hold, which are forgotten with the account.';
