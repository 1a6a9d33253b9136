-- Foundation: settings of this installation.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'setting_missing', 500,
    'A setting of this installation is missing.',
    'The operator sets it in private.app_config.',
    'private.app_config has no %s.'
);

create table private.app_config (
    key text constraint app_config_pkey primary key,
    value jsonb not null,
    description text not null,
    constraint app_config_key_check check (key ~ '^[a-z][a-z0-9_]*$'),
    constraint app_config_value_check check (value <> 'null')
);
comment on table private.app_config is
'Settings of this installation, as rows that migrations insert and the operator updates in SQL. private.setting reads
them.';
comment on column private.app_config.description is 'What the value means, for the operator.';
alter table private.app_config enable row level security;

create function private.setting(p_key text) returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_value jsonb;
begin
    select c.value into v_value from private.app_config as c where c.key = p_key;
    if not found then
        perform private.refuse('setting_missing', p_key);
    end if;
    return v_value;
end
$$;
comment on function private.setting(text) is
'The value of a setting. Raises PT500 setting_missing where there is none: a check that reads null would pass.';
