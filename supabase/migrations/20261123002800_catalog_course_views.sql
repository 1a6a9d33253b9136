-- Catalog: views of course pages. The edge counts them in memory and writes its sums every few seconds, so that reading
-- a page is no write.

create table public.course_views (
    course_id uuid not null constraint course_views_course_id_fkey references public.courses (id) on delete cascade,
    day date not null,
    view_count bigint not null constraint course_views_view_count_check check (view_count > 0),
    constraint course_views_pkey primary key (course_id, day)
);
comment on table public.course_views is
'Views of published courses by day; POST /functions/v1/courses/{id}/views counts one. Creators read those of their
courses, admins all. Do not pay by it: anybody can view a page often.';
comment on column public.course_views.day is 'The day in UTC.';
comment on column public.course_views.view_count is
'The number of views; a second view by the same person within half an hour does not count.';
alter table public.course_views enable row level security;
revoke all on public.course_views from anon, authenticated, service_role;

create function private.add_course_views(p_views jsonb) returns void
language sql
security definer -- the edge may not write tables
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
'Adds what an edge has counted to the views of today: {course id: views}. It ignores ids of courses that are not
published. For the edge.';
