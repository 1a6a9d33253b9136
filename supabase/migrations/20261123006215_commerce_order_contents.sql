-- Commerce: what an order contains. An order keeps its courses, and what the seller promised, as they were when it was
-- placed: what the seller changes in an offer later is for later orders.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'course_sold', 409,
    'People have bought this course, and it would be left without lessons.',
    'Add the new lessons before you delete the former ones.',
    null
);

create table public.order_courses (
    order_id uuid not null constraint order_courses_order_id_fkey references public.orders (id) on delete cascade,
    course_id uuid not null constraint order_courses_course_id_fkey references public.courses (id) on delete restrict,
    title text not null,
    constraint order_courses_pkey primary key (order_id, course_id)
);
comment on table public.order_courses is
'The courses that an order contains, written down when it is placed; a renewal has those of the periods before and those
that the offer has by then. Readable with the order. Only functions write it, and nothing changes it.';
comment on column public.order_courses.title is 'The title of the course at that time.';
comment on constraint order_courses_course_id_fkey on public.order_courses is
'A course that was ordered stays on record.';
alter table public.order_courses enable row level security;
revoke all on public.order_courses from anon, authenticated, service_role;
create index order_courses_course_id_idx on public.order_courses (course_id);
comment on index public.order_courses_course_id_idx is 'The orders that contain a course, and the foreign key';

create table public.order_terms (
    order_id uuid constraint order_terms_pkey primary key
    constraint order_terms_order_id_fkey references public.orders (id) on delete cascade,
    description text,
    duration_minutes integer,
    constraint order_terms_any_check check (description is not null or duration_minutes is not null)
);
comment on table public.order_terms is
'What the seller promised when an order was placed; none for an offer that says nothing, and for renewals. Readable with
the order. Only functions write it, and nothing changes it.';
comment on column public.order_terms.description is 'The description of the offer at that time. Markdown.';
comment on column public.order_terms.duration_minutes is 'The length of the session or service at that time.';
alter table public.order_terms enable row level security;
revoke all on public.order_terms from anon, authenticated, service_role;

create function private.has_terms_of(p_order_id uuid, p_offer public.offers) returns boolean
language plpgsql
stable
security definer -- the orders of others
set search_path = ''
as $$
begin
    return (p_offer.title, p_offer.description, p_offer.duration_minutes) is not distinct from (
        select (o.title, t.description, t.duration_minutes)
        from public.orders as o
        left join public.order_terms as t on t.order_id = o.id
        where o.id = p_order_id
    );
end
$$;
comment on function private.has_terms_of(uuid, public.offers) is
'Whether an order was placed with the title, description and duration that the offer has now.';

create function private.order_course_ids(p_order_id uuid) returns uuid[]
language plpgsql
stable
security definer -- the orders of others
set search_path = ''
as $$
begin
    return array(
        select i.course_id from public.order_courses as i where i.order_id = p_order_id order by i.course_id
    );
end
$$;
comment on function private.order_course_ids(uuid) is 'The courses that an order contains.';

create function private.tg_orders__keep_contents() returns trigger
language plpgsql
security definer -- clients may not write what an order contains
set search_path = ''
as $$
begin
    insert into public.order_courses (order_id, course_id, title)
    select new.id, c.id, c.title
    from (
        select unnest(private.offer_course_ids(new.offer_id)) as course_id
        union
        -- A renewal keeps what the seller took out of the offer since, but not a course that changed hands.
        select i.course_id from public.orders as o
        join public.order_courses as i on i.order_id = o.id
        join public.courses as b on b.id = i.course_id and b.creator_id = new.seller_id
        where o.subscription_id = new.subscription_id and o.offer_id = new.offer_id
    ) as t
    join public.courses as c on c.id = t.course_id;
    insert into public.order_terms (order_id, description, duration_minutes)
    select new.id, o.description, o.duration_minutes
    from public.offers as o
    where o.id = new.offer_id and new.subscription_id is null
        and (o.description is not null or o.duration_minutes is not null);
    return null;
end
$$;
comment on function private.tg_orders__keep_contents() is
'After insert: writes down the courses that the order contains, and what the seller promised.';
create trigger _300_keep_contents after insert on public.orders
for each row execute function private.tg_orders__keep_contents();

create function private.tg_courses__cancel_orders() returns trigger
language plpgsql
security definer -- clients may not write orders
set search_path = ''
as $$
begin
    update public.orders as o set status = 'cancelled'
    where o.id in (
        select w.id from public.orders as w
        join public.order_courses as i on i.order_id = w.id and i.course_id = new.id
        -- A locked order is being paid right now.
        where w.status = 'pending'
        for no key update of w skip locked
    );
    return null;
end
$$;
comment on function private.tg_courses__cancel_orders() is
'After a course is transferred, suspended or deleted: cancels the pending orders that contain it, which closes their
payment pages. A payment that was under way still counts.';
create trigger _330_cancel_orders after update of creator_id, status on public.courses
for each row when (
    old.creator_id <> new.creator_id
    or (old.status not in ('suspended', 'deleted') and new.status in ('suspended', 'deleted'))
)
execute function private.tg_courses__cancel_orders();

create function private.tg_courses__keep_lessons() returns trigger
language plpgsql
security definer -- reads and writes orders of others
set search_path = ''
as $$
begin
    if exists (
        select from public.order_courses as i
        join public.orders as o on o.id = i.order_id
        where i.course_id = new.id and o.status = 'processing'
    ) or exists (
        select from private.current_entitlements as e where e.course_id = new.id
    ) then
        perform private.refuse('course_sold');
    end if;
    update public.orders as o set status = 'cancelled'
    where o.id in (
        select w.id from public.orders as w
        join public.order_courses as i on i.order_id = w.id and i.course_id = new.id
        -- A locked order is being paid right now.
        where w.status = 'pending'
        for no key update of w skip locked
    );
    return null;
end
$$;
comment on function private.tg_courses__keep_lessons() is
'After the last lesson of a course is deleted: refuses it where people have bought the course, and cancels the pending
orders that contain it. Raises PT409 course_sold.';
create trigger _340_keep_lessons after update of lesson_count on public.courses
for each row when (old.lesson_count > 0 and new.lesson_count = 0) execute function private.tg_courses__keep_lessons();

create function private.require_not_barred(p_user_id uuid, p_offer public.offers) returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if private.barred_course_ids(p_user_id, private.offer_course_ids(p_offer.id)) <> '{}' then
        perform private.refuse('enrolment_cancelled');
    end if;
end
$$;
comment on function private.require_not_barred(uuid, public.offers) is
'Refuses an offer with a course from which an admin barred the buyer, before they pay. Raises PT403
enrolment_cancelled.';
