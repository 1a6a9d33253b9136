-- Commerce: products, which creators sell as files: beats, and other downloads. Offers say how a product is sold.

create type public.product_status as enum ('draft', 'published', 'paused', 'archived');
comment on type public.product_status is
'draft: only its creator sees it. published: everybody sees it. paused: taken down while its creator cannot sell; buyers
keep it. archived: taken down; buyers keep it.';

create type public.file_type as enum ('mp3', 'wav', 'stems', 'trackouts', 'other');
comment on type public.file_type is
'The content of a product''s file: the whole as mp3 or wav, an archive of its stems or tracks, or something else.';

create type public.licence_tier as enum ('basic', 'premium', 'unlimited', 'exclusive');
comment on type public.licence_tier is
'How much a licence of a beat allows. exclusive is sold to one buyer, and no other licence after it.';

create table public.products (
    id uuid not null default gen_random_uuid() constraint products_pkey primary key,
    creator_id uuid not null default auth.uid()
    constraint products_creator_id_fkey references public.profiles (id) on delete restrict,
    kind public.product_kind not null,
    status public.product_status not null default 'draft',
    title text not null constraint products_title_check check (private.is_name(title, 160)),
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
'Beats and digital products, without their files. Everybody reads the published ones; the creator, a teacher, reads and
writes their own; admins read all.';
comment on column public.products.creator_id is 'By default the caller.';
comment on column public.products.kind is 'Cannot change.';
comment on column public.products.status is 'publish_product and archive_product write it.';
comment on column public.products.description is 'Markdown.';
comment on column public.products.bpm is 'Beats a minute, of a beat.';
comment on column public.products.musical_key is 'C, F# minor, Bb major and so on, of a beat.';
comment on column public.products.is_sold is
'Whether its exclusive licence is sold, so that no other licence can be ordered; the database sets it.';
comment on constraint products_creator_id_fkey on public.products is
'The creator of a product must be a user who still has a profile.';
comment on constraint products_title_check on public.products is
'A title must have 1 to 160 characters and not only spaces.';
comment on constraint products_description_check on public.products is
'A description can have at most 20,000 characters.';
comment on constraint products_bpm_check on public.products is 'Beats per minute must be between 20 and 400.';
comment on constraint products_musical_key_check on public.products is
'A key must be a note from A to G, with b or # if needed, and major or minor, such as F# minor.';
comment on constraint products_id_creator_id_kind_key on public.products is 'A product has one creator and one kind.';
comment on constraint products_beat_check on public.products is
'Only beats have a tempo, a key and an exclusive licence.';
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
('products', 'published', 'paused'),
('products', 'paused', 'published'),
('products', 'paused', 'archived'),
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
    version integer not null default 1 constraint product_files_version_check check (version > 0),
    created_at timestamptz not null default now(),
    retired_at timestamptz,
    constraint product_files_path_check
    check (path ~ '^[^/]+/[^/]' and starts_with(path, product_id::text || '/') and char_length(path) <= 500)
);
comment on table public.product_files is
'The files of products in the bucket products. The creator reads and writes them; a buyer reads the files that
a current order includes. A file that was sold is neither deleted nor overwritten: replace_product_file adds a new
version, and retire_product_file takes it from later orders.';
comment on column public.product_files.file_type is 'Licences include files by type.';
comment on column public.product_files.path is 'The path in the bucket: <product_id>/<file>.';
comment on column public.product_files.size_bytes is 'The size that the creator states.';
comment on column public.product_files.mime_type is
'The type that the creator states: audio/mpeg, application/zip and so on.';
comment on column public.product_files.version is
'1, or one more than the version that it replaced; the database sets it.';
comment on column public.product_files.retired_at is
'When it was replaced or taken from sale, or null. Orders from before still include it.';
comment on constraint product_files_product_id_fkey on public.product_files is 'The product of a file must exist.';
comment on constraint product_files_path_key on public.product_files is 'Another product file has this path already.';
comment on constraint product_files_size_bytes_check on public.product_files is
'The size of a file cannot be negative.';
comment on constraint product_files_mime_type_check on public.product_files is
'The type of a file must look like audio/mpeg.';
comment on constraint product_files_path_check on public.product_files is
'The path of a file must be in the folder with the id of its product, and have at most 500 characters.';
alter table public.product_files enable row level security;
revoke all on public.product_files from anon, authenticated, service_role;
create index product_files_product_id_idx on public.product_files (product_id, file_type);
comment on index public.product_files_product_id_idx is
'The files of a product: product_id=eq., the files of an order, the policies, and the foreign key';

create function private.my_product_ids() returns uuid[]
language plpgsql
stable
security definer -- the policy of products itself calls this
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(p.id), '{}') from public.products as p where p.creator_id = (select auth.uid())
    );
end
$$;
comment on function private.my_product_ids() is
'The products of the caller. Policies call it as any((select private.my_product_ids())::uuid[]).';

-- The creator writes the files below the product's folder; buyers read those that their orders include.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values (
    'products', 'products', false, 500 * 1024 * 1024,
    -- No type that a browser would run on the API's origin.
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
