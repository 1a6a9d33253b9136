-- Catalog: how often a course's page is looked at. The edge counts, and writes down its sums every few seconds: no
-- reading of a page is a write of its own.

create table public.course_views (
    course_id uuid not null constraint course_views_course_id_fkey references public.courses (id) on delete cascade,
    day date not null,
    view_count bigint not null constraint course_views_view_count_check check (view_count > 0),
    constraint course_views_pkey primary key (course_id, day)
);
comment on table public.course_views is
'How often a published course was looked at, day by day: POST /functions/v1/courses/{id}/views counts. For its creator
and admins. A figure to see whether a page is found, and not to be paid by: whoever wants can look often.';
comment on column public.course_views.day is 'The day in UTC.';
comment on column public.course_views.view_count is
'How many looked; who looks again within half an hour is not counted again.';
alter table public.course_views enable row level security;
revoke all on public.course_views from anon, authenticated, service_role;

create function private.add_course_views(p_views jsonb) returns void
language sql
security definer -- figures are closed to the edge
set search_path = ''
as $$
    insert into public.course_views as v (course_id, day, view_count)
    select c.id, (now() at time zone 'utc')::date, n.views::bigint
    from jsonb_each_text(p_views) as n (course_id, views)
    join public.courses as c on c.id = n.course_id::uuid and c.status = 'published'
    order by c.id
    on conflict (course_id, day) do update set view_count = v.view_count + excluded.view_count
$$;
comment on function private.add_course_views(jsonb) is
'Adds to the views of today what an edge has counted: {course id: views}. Ids of what is no published course are
passed over. For the edge.';
