select private.close_table('public.user_stats');

create policy user_stats_select_anon on public.user_stats for select to anon
using (is_public);

create policy user_stats_select_authenticated on public.user_stats for select to authenticated
using (is_public or user_id = (select auth.uid()) or (select private.has_role('moderator')));

grant select on public.user_stats to anon, authenticated, service_role;
-- no insert, update or delete: triggers count
