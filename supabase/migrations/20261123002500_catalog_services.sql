-- Catalog: what creators offer beside courses.

create table public.services (
    id uuid not null default gen_random_uuid() constraint services_pkey primary key,
    creator_id uuid not null default auth.uid(),
    is_public boolean not null,
    title text not null constraint services_title_check check (title ~ '\S' and char_length(title) <= 160),
    description text constraint services_description_check check (char_length(description) <= 20000),
    price_amount bigint not null default 0 constraint services_price_amount_check check (price_amount >= 0),
    price_currency text not null default 'EUR'
    constraint services_price_currency_check check (price_currency ~ '^[A-Z]{3}$'),
    duration_minutes integer constraint services_duration_minutes_check check (duration_minutes between 1 and 10080),
    is_active boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint services_creator_id_fkey foreign key (creator_id, is_public)
    references public.profiles (id, is_public) on update cascade on delete cascade
);
comment on table public.services is
'What creators offer beside courses: a critique, an hour of coaching. Teachers write their own; everybody reads the
active ones of creators whose profile is public.';
comment on column public.services.is_public is 'That of the creator''s profile; the database keeps it.';
comment on column public.services.description is 'What one gets, Markdown.';
comment on column public.services.price_amount is 'What it costs, in minor units of the currency; 0 is free.';
comment on column public.services.price_currency is 'ISO 4217, upper case.';
comment on column public.services.duration_minutes is 'How long it takes; null where that cannot be said.';
comment on column public.services.is_active is 'Whether it is offered now.';
alter table public.services enable row level security;
revoke all on public.services from anon, authenticated, service_role;
create index services_creator_id_is_public_idx on public.services (creator_id, is_public);
comment on index public.services_creator_id_is_public_idx is
'A creator''s services: creator_id=eq., the policies, and the foreign key';
create index services_active_idx on public.services (is_active, created_at desc, id);
comment on index public.services_active_idx is 'The landing page: is_active=is.true&order=created_at.desc';
create trigger _100_copy_is_public before insert on public.services
for each row execute function private.tg__copy_creator_is_public();
create trigger _200_set_updated_at before update on public.services
for each row execute function private.tg__set_updated_at();
