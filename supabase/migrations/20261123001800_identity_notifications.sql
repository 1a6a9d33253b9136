-- Identity: what people want to be told, and by which way; and whom a mail goes to.

create table public.notification_topics (
    topic text constraint notification_topics_pkey primary key
    constraint notification_topics_topic_check check (topic ~ '^[a-z_]+$'),
    description text not null,
    by_email_default boolean not null,
    in_app_default boolean not null,
    is_mandatory boolean not null default false,
    constraint notification_topics_is_mandatory_check
    check (not is_mandatory or (by_email_default and in_app_default))
);
comment on table public.notification_topics is
'What there is to be told of. Members read it, with their own notification_preferences embedded; migrations write it.';
comment on column public.notification_topics.topic is 'Its name, for programs.';
comment on column public.notification_topics.by_email_default is 'Whether it is mailed to those who have not said.';
comment on column public.notification_topics.in_app_default is 'Whether those who have not said find it on the site.';
comment on column public.notification_topics.is_mandatory is 'Whether nobody can switch it off.';
alter table public.notification_topics enable row level security;
revoke all on public.notification_topics from anon, authenticated, service_role;

insert into public.notification_topics (topic, description, by_email_default, in_app_default, is_mandatory)
values
('account', 'Your account: its standing, its roles, its security', true, true, true),
('learning', 'What you learn: enrolments, results, certificates', true, true, false);

create table public.notification_preferences (
    user_id uuid not null default auth.uid()
    constraint notification_preferences_user_id_fkey references public.profiles (id) on delete cascade,
    topic text not null
    constraint notification_preferences_topic_fkey references public.notification_topics (topic) on delete cascade,
    by_email boolean,
    in_app boolean,
    constraint notification_preferences_pkey primary key (user_id, topic)
);
comment on table public.notification_preferences is
'What a member said of a topic. One reads and writes one''s own, by upsert: {"topic": "learning", "by_email": false}.
Where there is no row, the topic''s defaults hold.';
comment on column public.notification_preferences.topic is 'Which of notification_topics.';
comment on column public.notification_preferences.by_email is 'Whether to mail it; null as the topic''s default.';
comment on column public.notification_preferences.in_app is
'Whether to show it on the site; null as the topic''s default.';
alter table public.notification_preferences enable row level security;
revoke all on public.notification_preferences from anon, authenticated, service_role;
create index notification_preferences_topic_idx on public.notification_preferences (topic);
comment on index public.notification_preferences_topic_idx is
'The embedding of a topic''s preferences, and the foreign key: topic=eq.';

create function private.tg_notification_preferences__keep_mandatory() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if false in (new.by_email, new.in_app) and exists (
        select from public.notification_topics as t where t.topic = new.topic and t.is_mandatory
    ) then
        raise sqlstate 'PT422' using
            message = 'topic_mandatory',
            detail = format('Nobody can switch off the topic %s.', new.topic),
            hint = 'Leave it on: notification_topics.is_mandatory says which topics stay.';
    end if;
    return new;
end
$$;
comment on function private.tg_notification_preferences__keep_mandatory() is
'Before insert or update: refuses to switch off what everybody must be told. Raises PT422 topic_mandatory.';
create trigger _100_keep_mandatory before insert or update on public.notification_preferences
for each row execute function private.tg_notification_preferences__keep_mandatory();

create function private.tg_users__forget_notifications() returns trigger
language plpgsql
security definer -- auth deletes the user as supabase_auth_admin, which must not write our tables
set search_path = ''
as $$
begin
    delete from public.notification_preferences as n where n.user_id = old.id;
    update private.mail_outbox as m set params = '{}' where m.user_id = old.id and m.params <> '{}';
    return null;
end
$$;
comment on function private.tg_users__forget_notifications() is
'After a user is deleted in auth, softly or for good: what the person wanted to be told goes, and what mails said.';
create trigger guildhall_forget_notifications after delete on auth.users
for each row execute function private.tg_users__forget_notifications();
create trigger guildhall_forget_notifications_of_soft_deleted after update of deleted_at on auth.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function private.tg_users__forget_notifications();

-- The mails of this domain.
alter table private.mail_templates add constraint mail_templates_topic_fkey
foreign key (topic) references public.notification_topics (topic) on delete restrict;
insert into private.mail_templates (template, topic)
values
('account_banned', 'account'),
('account_created', 'account'),
('account_reinstated', 'account'),
('account_suspended', 'account'),
('role_changed', 'account'),
('teacher_application_approved', 'account'),
('teacher_application_rejected', 'account');

create function private.claim_mail(p_outbox_id bigint) returns jsonb
language plpgsql
security definer -- the worker reads no table: it learns the one address that it sends to
set search_path = ''
as $$
declare
    v_mail private.mail_outbox;
    v_letter jsonb;
begin
    -- The lock lasts until the caller's transaction ends: whoever claims the same mail meanwhile waits, and then finds
    -- it settled.
    select m.* into v_mail from private.mail_outbox as m
    where m.id = p_outbox_id and m.status = 'unsent' for update;
    if not found then
        return null;
    end if;
    v_letter := (
        select jsonb_build_object(
            'address', u.email,
            'display_name', p.display_name,
            'template', v_mail.template,
            'params', v_mail.params,
            'topic', t.topic,
            'is_mandatory', t.is_mandatory,
            'attempts', v_mail.attempts,
            'message_id', encode(sha256(convert_to(v_mail.idempotency_key, 'UTF8')), 'hex')
        )
        from auth.users as u
        join public.accounts as a on a.user_id = u.id and a.status <> 'deleted'
        join public.profiles as p on p.id = u.id
        join private.mail_templates as k on k.template = v_mail.template
        join public.notification_topics as t on t.topic = k.topic
        left join public.notification_preferences as n on n.user_id = u.id and n.topic = t.topic
        where u.id = v_mail.user_id
            and u.email is not null
            -- The one mail that asks somebody to prove an address goes to an unproved one.
            and (u.email_confirmed_at is not null or v_mail.template = 'account_created')
            and (t.is_mandatory or coalesce(n.by_email, t.by_email_default))
    );
    if v_letter is null then
        update private.mail_outbox as m set status = 'skipped', params = '{}' where m.id = p_outbox_id;
    end if;
    return v_letter;
end
$$;
comment on function private.claim_mail(bigint) is
'What is to be sent to whom, and the mail is the caller''s until its transaction ends; null where nothing is to be sent:
it is settled already, or its recipient is gone, has no confirmed address or does not want it, and then it is skipped.
For the worker, which settles it by settle_mail in the same transaction.';

create function private.address_for_password_link(p_user_id uuid) returns text
language sql
stable
security definer -- the worker reads no table
set search_path = ''
as $$
    select u.email
    from auth.users as u
    join public.accounts as a on a.user_id = u.id
    where u.id = p_user_id and a.status in ('active', 'suspended')
$$;
comment on function private.address_for_password_link(uuid) is
'Where auth is to send a link for a new password; null where the account is gone, banned or has no address. For the
worker.';
