select private.close_table('public.coupons');

create policy coupons_select_seller_or_admin on public.coupons for select to authenticated
using (seller_id = (select auth.uid()) or (select private.has_role('admin')));

create policy coupons_insert_seller_or_admin on public.coupons for insert to authenticated
with check (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher')))
    or (seller_id is null and (select private.has_role('admin')))
);

create policy coupons_update_seller_or_admin on public.coupons for update to authenticated
using (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher'))) or (select private.has_role('admin'))
)
with check (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher'))) or (select private.has_role('admin'))
);

grant select on public.coupons to authenticated;
-- the discount cannot change, and the database counts the uses
grant
insert (
    seller_id, code, percent_off, amount_off, currency, duration, duration_months, offer_id, maximum_uses,
    maximum_uses_per_buyer, starts_at, ends_at, is_active
),
update (maximum_uses, maximum_uses_per_buyer, starts_at, ends_at, is_active)
on public.coupons to authenticated;
grant select on public.coupons to service_role;
-- no delete: orders refer to it
