-- Identity: preferences for notifications, and the recipients of mails.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'topic_mandatory', 422,
    'This topic cannot be switched off.',
    'Leave it on: notification_topics.is_mandatory says which topics stay on.',
    'The topic %s cannot be switched off.'
);

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
'The topics of notifications. Users read them with their own notification_preferences embedded; each domain inserts its
topics.';
comment on column public.notification_topics.topic is 'The name that programs use.';
comment on column public.notification_topics.by_email_default is 'Whether it is mailed to users without a preference.';
comment on column public.notification_topics.in_app_default is
'Whether the app shows it to users without a preference.';
comment on column public.notification_topics.is_mandatory is 'Whether users cannot switch it off.';
alter table public.notification_topics enable row level security;
revoke all on public.notification_topics from anon, authenticated, service_role;

insert into public.notification_topics (topic, description, by_email_default, in_app_default, is_mandatory)
values
('account', 'Your account: its status, roles and security', true, true, true);

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
'A user''s preference for a topic. Users read and write their own, by upsert: {"topic": "learning", "by_email": false}.
Without a row the defaults of the topic apply.';
comment on column public.notification_preferences.topic is 'One of notification_topics.';
comment on column public.notification_preferences.by_email is 'Whether to mail it; null for the topic''s default.';
comment on column public.notification_preferences.in_app is 'Whether the app shows it; null for the topic''s default.';
comment on constraint notification_preferences_pkey on public.notification_preferences is
'The user already has a preference for this topic: send the request as an upsert.';
comment on constraint notification_preferences_topic_fkey on public.notification_preferences is
'There is no such topic.';
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
        perform private.refuse('topic_mandatory', new.topic::text);
    end if;
    return new;
end
$$;
comment on function private.tg_notification_preferences__keep_mandatory() is
'Before insert or update: refuses to switch off a mandatory topic. Raises PT422 topic_mandatory.';
create trigger _100_keep_mandatory before insert or update on public.notification_preferences
for each row execute function private.tg_notification_preferences__keep_mandatory();

create function private.account_ended__310_notification_preferences(p_user_id uuid) returns void
language sql
set search_path = ''
as $$
    delete from public.notification_preferences as n where n.user_id = p_user_id
$$;
comment on function private.account_ended__310_notification_preferences(uuid) is 'Deletes the user''s preferences.';

alter table private.mail_templates add constraint mail_templates_topic_fkey
foreign key (topic) references public.notification_topics (topic) on delete restrict;
insert into private.mail_templates (template, topic)
values
('account_banned', 'account'),
('account_created', 'account'),
('email_changed', 'account'),
('account_reinstated', 'account'),
('account_suspended', 'account'),
('role_changed', 'account'),
('teacher_application_approved', 'account'),
('teacher_application_rejected', 'account');

create function private.mail_recipient__user(p_user_id uuid, p_template text) returns jsonb
language sql
stable
set search_path = ''
as $$
    select jsonb_build_object(
        'address', u.email, 'display_name', p.display_name, 'topic', t.topic, 'is_mandatory', t.is_mandatory
    )
    from auth.users as u
    join public.accounts as a on a.user_id = u.id and a.status <> 'deleted'
    join public.profiles as p on p.id = u.id
    join private.mail_templates as k on k.template = p_template
    join public.notification_topics as t on t.topic = k.topic
    left join public.notification_preferences as n on n.user_id = u.id and n.topic = t.topic
    where u.id = p_user_id
        and u.email is not null
        -- Only what asks its reader to confirm the address goes to an unconfirmed one.
        and (u.email_confirmed_at is not null or p_template in ('account_created', 'email_changed'))
        and (t.is_mandatory or coalesce(n.by_email, t.by_email_default))
$$;
comment on function private.mail_recipient__user(uuid, text) is
'For claim_mail: the address and name of a user, and the topic of the mail; null where the account is deleted, has no
confirmed address, or switched the topic off.';

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
'The address to which auth sends a link for a new password; null where the account is deleted, banned or has no address.
For the worker.';
