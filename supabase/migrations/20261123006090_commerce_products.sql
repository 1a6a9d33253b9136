-- Commerce: products. What creators sell as files: beats, and other things to download. How one is sold, offers say.

create type public.product_kind as enum ('beat', 'digital_product');
comment on type public.product_kind is
'beat: sold by licences, in tiers. digital_product: sold whole.';

create type public.product_status as enum ('draft', 'published', 'archived');
comment on type public.product_status is
'draft: only its creator sees it. published: everybody does. archived: taken down; what was bought stays.';

create type public.file_type as enum ('mp3', 'wav', 'stems', 'trackouts', 'other');
comment on type public.file_type is
'What a file of a product is: the whole as mp3 or wav, its stems or single tracks in an archive, or something else.';

create type public.licence_tier as enum ('basic', 'premium', 'unlimited', 'exclusive');
comment on type public.licence_tier is
'How much a licence of a beat allows. Of the exclusive one a beat has but one buyer, and after him nobody gets any.';

create table public.products (
    id uuid not null default gen_random_uuid() constraint products_pkey primary key,
    creator_id uuid not null default auth.uid()
    constraint products_creator_id_fkey references public.profiles (id) on delete restrict,
    kind public.product_kind not null,
    status public.product_status not null default 'draft',
    title text not null constraint products_title_check check (title ~ '\S' and char_length(title) <= 160),
    description text constraint products_description_check check (char_length(description) <= 20000),
    bpm integer constraint products_bpm_check check (bpm between 20 and 400),
    musical_key text constraint products_musical_key_check check (musical_key ~ '^[A-G][b#]?( (major|minor))?$'),
    is_sold boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint products_id_creator_id_kind_key unique (id, creator_id, kind),
    constraint products_beat_check check (kind = 'beat' or (bpm is null and musical_key is null and not is_sold))
);
comment on table public.products is
'Beats and digital products, without their files. Everybody reads the published ones; their creator, a teacher, reads
and writes the own; admins read all.';
comment on column public.products.creator_id is 'Whose it is; by default the caller.';
comment on column public.products.kind is 'What it is; it stays.';
comment on column public.products.status is 'Written by publish_product and archive_product.';
comment on column public.products.description is 'What it is, Markdown.';
comment on column public.products.bpm is 'Of a beat, beats a minute.';
comment on column public.products.musical_key is 'Of a beat: C, F# minor, Bb major ...';
comment on column public.products.is_sold is
'Whether somebody has its exclusive licence, so that no other can be ordered; the database''s.';
alter table public.products enable row level security;
revoke all on public.products from anon, authenticated, service_role;
create index products_creator_id_idx on public.products (creator_id, created_at desc);
comment on index public.products_creator_id_idx is
'A creator''s products: creator_id=eq.&order=created_at.desc, the policies, and the foreign key';
create index products_status_idx on public.products (status, kind, created_at desc);
comment on index public.products_status_idx is
'The shop: status=eq.published&kind=eq.&order=created_at.desc, and the policies';
create trigger _200_set_updated_at before update on public.products
for each row execute function private.tg__set_updated_at();

insert into private.status_transitions (table_name, from_status, to_status)
values
('products', 'draft', 'published'),
('products', 'published', 'archived'),
('products', 'archived', 'published');
create trigger _100_check_transition before update of status on public.products
for each row when (old.status is distinct from new.status) execute function private.tg__check_transition();

create table public.product_files (
    id uuid not null default gen_random_uuid() constraint product_files_pkey primary key,
    product_id uuid not null
    constraint product_files_product_id_fkey references public.products (id) on delete cascade,
    file_type public.file_type not null,
    path text not null constraint product_files_path_key unique,
    size_bytes bigint constraint product_files_size_bytes_check check (size_bytes >= 0),
    mime_type text constraint product_files_mime_type_check check (mime_type ~ '^[a-z]+/[a-z0-9.+-]{1,100}$'),
    created_at timestamptz not null default now(),
    constraint product_files_path_check
    check (path ~ '^[^/]+/[^/]' and starts_with(path, product_id::text || '/') and char_length(path) <= 500)
);
comment on table public.product_files is
'The files of products, as they lie in the private bucket products. Their creator reads and writes them; who bought
the product reads those that his order gives, for as long as it gives them.';
comment on column public.product_files.file_type is 'What it is of the product; licences give files by it.';
comment on column public.product_files.path is 'Where it lies in the bucket: <product_id>/<file>.';
comment on column public.product_files.size_bytes is 'How large it is, as the creator says.';
comment on column public.product_files.mime_type is 'What it is, as the creator says: audio/mpeg, application/zip ...';
alter table public.product_files enable row level security;
revoke all on public.product_files from anon, authenticated, service_role;
create index product_files_product_id_idx on public.product_files (product_id, file_type);
comment on index public.product_files_product_id_idx is
'The files of a product: product_id=eq., what an order gives, the policies, and the foreign key';

create function private.my_product_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of products itself asks
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(p.id), '{}') from public.products as p where p.creator_id = (select auth.uid())
    );
end
$$;
comment on function private.my_product_ids() is
'The products that the caller created. Policies call it as any((select private.my_product_ids())::uuid[]).';

create function private.require_product(p_product_id uuid) returns public.products
language plpgsql
security definer -- must tell a product that is missing from one that is another's, and says the same of both
set search_path = ''
as $$
declare
    v_caller uuid := private.require_active();
    v_product public.products;
begin
    select p.* into v_product from public.products as p
    where p.id = p_product_id
        and (
            (p.creator_id = v_caller and (select private.has_role('teacher'))) or (select private.has_role('admin'))
        )
    for no key update;
    if not found then
        raise sqlstate 'PT404' using
            message = 'product_not_found',
            detail = 'There is no such product, or it is not yours.',
            hint = 'Look it up among your products.';
    end if;
    return v_product;
end
$$;
comment on function private.require_product(uuid) is
'The product, locked, where the caller may change it. Raises PT401 sign_in_required, PT403 account_inactive, PT404
product_not_found.';

create function private.publish_product(p_product_id uuid) returns public.products
language plpgsql
security definer -- the status is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_product public.products := private.require_product(p_product_id);
begin
    if v_product.status <> 'published' then
        update public.products as p set status = 'published' where p.id = p_product_id returning p.* into v_product;
    end if;
    return v_product;
end
$$;
comment on function private.publish_product(uuid) is
'Shows a product to everybody. Raises what require_product raises.';

create function public.publish_product(product_id uuid) returns public.products
language sql
set search_path = ''
as $$
    select private.publish_product(publish_product.product_id)
$$;
comment on function public.publish_product(uuid) is
'Shows a product to everybody, again where it was archived; once is enough. It is on sale once an offer of it is. For
its creator, and admins. Raises product_not_found (404).';

create function private.archive_product(p_product_id uuid) returns public.products
language plpgsql
security definer -- the status is no client's to write; the check below decides
set search_path = ''
as $$
declare
    v_product public.products := private.require_product(p_product_id);
begin
    if v_product.status <> 'archived' then
        update public.products as p set status = 'archived' where p.id = p_product_id returning p.* into v_product;
    end if;
    update public.offers as o set status = 'archived' where o.product_id = p_product_id and o.status = 'active';
    return v_product;
end
$$;
comment on function private.archive_product(uuid) is
'Takes a product down, and its offers off sale. Raises what require_product raises, and PT409 illegal_transition by a
trigger.';

create function public.archive_product(product_id uuid) returns public.products
language sql
set search_path = ''
as $$
    select private.archive_product(archive_product.product_id)
$$;
comment on function public.archive_product(uuid) is
'Takes a product down, and its offers off sale; who bought it keeps it. For its creator, and admins. Raises
product_not_found (404), illegal_transition (409: a draft was never published; delete it).';

-- The files themselves: the product's creator writes its folder; who bought it fetches what his order gives.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values (
    'products', 'products', false, 500 * 1024 * 1024,
    -- Nothing that a browser would run from where the API is.
    array[
        'audio/*', 'video/*', 'image/png', 'image/jpeg', 'image/webp', 'application/pdf', 'application/epub+zip',
        'application/zip', 'application/x-zip-compressed', 'application/x-7z-compressed', 'application/vnd.rar',
        'application/gzip', 'application/octet-stream', 'text/plain', 'text/csv'
    ]
)
on conflict (id) do update
    set
        public = excluded.public,
        file_size_limit = excluded.file_size_limit,
        allowed_mime_types = excluded.allowed_mime_types;
