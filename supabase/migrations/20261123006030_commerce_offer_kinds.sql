-- Commerce: kinds of offers are data. A new kind is a row here, and at most one function, private.fulfil_<fulfilment>.

create type public.offer_billing as enum ('once', 'recurring');
comment on type public.offer_billing is
'once: one payment. recurring: a subscription, paid each month or year.';

create type public.offer_seller as enum ('seller', 'platform', 'either');
comment on type public.offer_seller is
'seller: a teacher sells it. platform: it has no seller. either: both are possible.';

create type public.offer_course_rule as enum ('none', 'own', 'optional', 'required');
comment on type public.offer_course_rule is
'none: the offer opens no course. own: it sells the course that it was made from. optional: it may have offer_courses.
required: it gives its offer_courses and nothing else, at least one.';

create type public.product_kind as enum ('beat', 'digital_product');
comment on type public.product_kind is
'beat: sold by licences, in tiers. digital_product: sold whole.';

create table public.offer_kinds (
    kind text constraint offer_kinds_pkey primary key
    constraint offer_kinds_kind_check check (kind ~ '^[a-z][a-z0-9_]{2,39}$'),
    label text not null constraint offer_kinds_label_check check (private.is_name(label, 60)),
    description text not null constraint offer_kinds_description_check check (char_length(description) <= 300),
    sold_by public.offer_seller not null default 'seller',
    billing public.offer_billing not null default 'once',
    fulfilment text constraint offer_kinds_fulfilment_check check (fulfilment ~ '^[a-z_]{3,40}$'),
    product_kind public.product_kind,
    has_licence_terms boolean not null default false,
    courses public.offer_course_rule not null default 'none',
    required_columns text[] not null default '{}',
    optional_columns text[] not null default '{}',
    detail_keys text[] not null default '{note}',
    is_exclusive boolean not null default false,
    constraint offer_kinds_columns_check
    check (
        required_columns || optional_columns
        <@ array['maximum_amount', 'maximum_quantity', 'credits', 'duration_minutes']
    ),
    constraint offer_kinds_licence_terms_check check (not has_licence_terms or product_kind is not null)
);
comment on table public.offer_kinds is
'The kinds of offers: who sells one, how it is billed, what it gives, and which columns an offer of the kind has.
Everybody reads it; migrations add rows.';
comment on column public.offer_kinds.kind is 'The kind of offers, orders, entitlements and subscriptions.';
comment on column public.offer_kinds.label is 'The name for people.';
comment on column public.offer_kinds.description is 'What it is, for people.';
comment on column public.offer_kinds.sold_by is 'Who may sell it: a seller, the platform, or either.';
comment on column public.offer_kinds.billing is
'once or recurring. A recurring offer must have a billing_interval and a price, and may have trial_days.';
comment on column public.offer_kinds.fulfilment is
'What a payment gives: the function fulfil_<fulfilment>(order, is_in_force) brings it in line with the order. Null:
nothing.';
comment on column public.offer_kinds.product_kind is 'The kind of product that an offer must name; null for none.';
comment on column public.offer_kinds.has_licence_terms is
'Whether an offer needs a row of licence_terms to go on sale.';
comment on column public.offer_kinds.courses is 'Which courses an offer opens.';
comment on column public.offer_kinds.required_columns is
'Columns that an offer must have: maximum_amount (the buyer chooses an amount), maximum_quantity (over 1), credits,
duration_minutes.';
comment on column public.offer_kinds.optional_columns is 'Columns that an offer may have, of the same four.';
comment on column public.offer_kinds.detail_keys is
'The keys that the details of an order may have. note: a text of at most 2,000 characters. starts_at: an instant with a
time zone (2030-05-01T14:00:00Z), in the future and within a year. files_url and track_url: an https address.
playlist_url: the https address of a playlist. options: up to 30 names with a text, a number or a boolean each. Others:
a text of at most 2,000 characters.';
comment on column public.offer_kinds.is_exclusive is 'Whether a buyer has at most one offer of the kind at a time.';
alter table public.offer_kinds enable row level security;
revoke all on public.offer_kinds from anon, authenticated, service_role;

insert into public.offer_kinds (kind, label, description, sold_by, billing, fulfilment, courses)
values
('course', 'Course', 'A course with a price; made from the course.', 'seller', 'once', 'courses', 'own'),
('bundle', 'Bundle', 'Several courses at one price.', 'seller', 'once', 'courses', 'required'),
(
    'membership', 'Membership', 'A tier of the academy or of a seller, with its courses.', 'either', 'recurring',
    'courses', 'optional'
),
(
    'creator_subscription', 'Creator subscription', 'Regular support for a creator.', 'seller', 'recurring',
    'entitlement', 'none'
);
insert into public.offer_kinds (kind, label, description, sold_by, billing, fulfilment, is_exclusive)
values
('creator_plan', 'Creator plan', 'A plan of the platform for creators.', 'platform', 'recurring', 'entitlement', true),
('pro_plan', 'Pro plan', 'A plan of the platform.', 'platform', 'recurring', 'entitlement', true);
insert into public.offer_kinds (kind, label, description, fulfilment, product_kind, has_licence_terms)
values
('beat_licence', 'Beat licence', 'A tier of rights in a beat.', 'entitlement', 'beat', true),
('digital_product', 'Digital product', 'Files to download.', 'entitlement', 'digital_product', false);
insert into public.offer_kinds (
    kind, label, description, sold_by, fulfilment, required_columns, optional_columns, detail_keys
)
values
(
    'coaching', 'Coaching', 'Time with the seller.', 'seller', 'work', '{}', '{maximum_quantity,duration_minutes}',
    '{note,starts_at}'
),
(
    'mixing_service', 'Mixing service', 'A mix of the buyer''s recording.', 'seller', 'work', '{}',
    '{maximum_quantity,duration_minutes}', '{note,files_url,options}'
),
(
    'service', 'Service', 'Work that the seller does.', 'seller', 'work', '{}',
    '{maximum_quantity,duration_minutes}', '{note,starts_at,files_url}'
),
(
    'playlist_submission', 'Playlist submission', 'The seller listens to a track.', 'seller', 'work', '{}', '{}',
    '{note,track_url,playlist_url}'
),
('credit_package', 'Credits', 'Credits to spend.', 'platform', 'credits', '{credits}', '{maximum_quantity}', '{note}'),
('tip', 'Tip', 'An amount of the buyer''s choice.', 'seller', null, '{maximum_amount}', '{}', '{note}');
