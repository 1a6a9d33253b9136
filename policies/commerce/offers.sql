select private.close_table('public.offers');

create policy offers_select_anon on public.offers for select to anon
using (status = 'active');

create policy offers_select_authenticated on public.offers for select to authenticated
using (status = 'active' or seller_id = (select auth.uid()) or (select private.has_role('admin')));

-- nobody inserts the offer of a course: the course makes it, and course_id is not granted
create policy offers_insert_seller_or_admin on public.offers for insert to authenticated
with check (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (seller_id is null and (select private.has_role('admin')))
);

create policy offers_update_seller_or_admin on public.offers for update to authenticated
using (
    (course_id is null and seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (course_id is null and (select private.has_role('admin')))
)
with check (
    (course_id is null and seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (course_id is null and (select private.has_role('admin')))
);

create policy offers_delete_seller_or_admin on public.offers for delete to authenticated
using (
    (status = 'draft' and seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (status = 'draft' and (select private.has_role('admin')))
);

grant select on public.offers to anon, authenticated;
-- kind, seller and product cannot change; publish_offer and archive_offer write the status
grant
insert (
    seller_id, kind, title, description, price_amount, price_currency, maximum_amount, maximum_quantity,
    billing_interval, trial_days, credits, duration_minutes, product_id
),
update (
    title, description, price_amount, price_currency, maximum_amount, maximum_quantity, trial_days, credits,
    duration_minutes
),
delete
on public.offers to authenticated;
grant select on public.offers to service_role;
