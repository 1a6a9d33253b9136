-- Learning: finding certificates, for moderators.

create function private.find_certificates(p_query text) returns table (certificate_id uuid, rank bigint)
language plpgsql
stable
security definer -- reads hidden profiles; under row level security Postgres would use no index
set search_path = ''
rows 50
as $$
begin
    perform private.require_role('moderator');
    return query
    select f.certificate_id, min(f.rank)
    from (
        select c.id as certificate_id, 0::bigint as rank from public.certificates as c
        where c.code = private.fold_code(left(p_query, 300))
        union all
        select c.id, m.rank
        from private.matching_user_ids(left(p_query, 300), 500, true) as m
        join public.certificates as c on c.student_id = m.user_id
    ) as f
    group by f.certificate_id;
end
$$;
comment on function private.find_certificates(text) is
'Finds the certificate of this code, and those of people whom search_users finds, best match first. Raises what
require_role raises.';

-- By hand: reads the rows that the search found as the caller, under row level security.
create function public.search_certificates(q text) returns setof public.certificates
language sql
stable
set search_path = ''
rows 50
as $$
    -- A statement of its own: with nothing to join, Postgres would not call find_certificates, which checks the role.
    select private.require_role('moderator');
    select c.*
    from private.find_certificates(search_certificates.q) as f
    join public.certificates as c on c.id = f.certificate_id
    order by f.rank, c.created_at desc
$$;
comment on function public.search_certificates(text) is
'Finds certificates by their code, and by the name and handle of their holder as search_users does: rows of
certificates, best match first. Filter, sort, page and embed them as certificates. For moderators. Raises
role_required (403).';
