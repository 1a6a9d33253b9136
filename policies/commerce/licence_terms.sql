select private.close_table('public.licence_terms');

create policy licence_terms_select_all on public.licence_terms for select to anon, authenticated
using (exists (select from public.offers as o where o.id = licence_terms.offer_id));

create policy licence_terms_insert_seller on public.licence_terms for insert to authenticated
with check (seller_id = (select auth.uid()) and (select private.has_role('teacher')));

create policy licence_terms_update_seller_or_admin on public.licence_terms for update to authenticated
using (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher'))) or (select private.has_role('admin'))
)
with check (
    (seller_id = (select auth.uid()) and (select private.has_role('teacher'))) or (select private.has_role('admin'))
);

grant select on public.licence_terms to anon, authenticated;
-- the tier stays: the offer of a beat for each tier is another one
grant
insert (
    offer_id, tier, file_types, maximum_copies, maximum_streams, maximum_videos, maximum_performances,
    is_credit_required, term_years
),
update (
    file_types, maximum_copies, maximum_streams, maximum_videos, maximum_performances, is_credit_required, term_years
)
on public.licence_terms to authenticated;
grant select on public.licence_terms to service_role;
-- no delete: terms go with their offer, and an offer on sale keeps them
