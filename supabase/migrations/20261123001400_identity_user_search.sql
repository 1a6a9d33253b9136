-- Identity: search for users by name and handle while one types, tolerant of accents and typos.
--
-- Triggers keep two narrow tables to search. search_terms has each name once for every ordered pair of its words, so
-- that any two words in any order, the second one incomplete, are the beginning of a term: a search is a few ranges of
-- one b-tree. search_words has each word once, to correct typos: two words are near when they become equal by leaving
-- out at most one letter of each, which a GIN index finds.

create table private.search_terms (
    user_id uuid not null constraint search_terms_user_id_fkey references public.profiles (id) on delete cascade,
    is_listed boolean not null,
    is_handle boolean not null,
    term text collate "C" not null,
    constraint search_terms_pkey primary key (is_listed, is_handle, term, user_id)
);
comment on table private.search_terms is
'The terms by which each user is found: the handle without _ and -, and each ordered pair of words of the name, or its
only word. A space follows each word. Triggers on profiles and accounts keep it.';
comment on column private.search_terms.is_listed is
'Whether everybody finds the user: the profile is public and the account is not banned.';
alter table private.search_terms enable row level security;
create index search_terms_user_id_idx on private.search_terms (user_id, term);
comment on index private.search_terms_user_id_idx is
'Whether a user''s name has a third word, the terms of a user, and the foreign key';

create table private.search_words (
    word text collate "C" constraint search_words_pkey primary key
);
comment on table private.search_words is
'Every word of private.search_terms, once; mistyped words are compared with them.';
alter table private.search_words enable row level security;

create function private.delete_variants(p_word text) returns text[]
language sql
immutable
parallel safe
set search_path = ''
as $$
    select array_agg(left(p_word, n) || substr(p_word, n + 2)) from generate_series(0, char_length(p_word)) as n
$$;
comment on function private.delete_variants(text) is
'The word, and the word without each of its letters. Two words share one where they differ by one letter that is added,
missing, replaced or swapped: jonh and john share jon.';
create index search_words_variants_idx on private.search_words
using gin (private.delete_variants(word)) with (fastupdate = off);
comment on index private.search_words_variants_idx is 'The words near a mistyped one, in matching_user_ids';

create function private.words_of(p_text text, p_is_query boolean default false) returns text[]
language plpgsql -- keeps its plan, which takes longer to make than to run
stable
parallel safe
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(w.word order by w.number, w.part), '{}')
        from (
            select left(f.word, 30) as word, min(s.number) as number, min(f.part) as part
            from private.searched_words(left(p_text, 200)) as s
            cross join unnest(
                case
                    when not p_is_query then array[s.word] || s.parts || s.stem
                    -- Jean-Luc is Jean Luc, too; O'Brien is Obrien.
                    when cardinality(s.parts) > 1 then s.parts
                    else array[coalesce(s.stem, s.word)]
                end
            ) with ordinality as f (word, part)
            where f.word <> ''
            group by left(f.word, 30)
            order by min(s.number), min(f.part)
            limit case when p_is_query then 6 else 9 end
        ) as w
    );
end
$$;
comment on function private.words_of(text, boolean) is
'The first distinct words of a name in the forms in which they are searched; of a query, the form to look for.';

create function private.terms_of(p_handle text, p_display_name text) returns table (is_handle boolean, term text)
language sql
stable
parallel safe
set search_path = ''
as $$
    with words as (
        select w.word, w.position from unnest(private.words_of(p_display_name)) with ordinality as w (word, position)
    )
    select true, translate(p_handle, '_-', '') || ' ' where not starts_with(p_handle, 'member-')
    union all
    select false, a.word || coalesce(' ' || b.word, '') || ' '
    from words as a
    left join words as b on a.position <> b.position
$$;
comment on function private.terms_of(text, text) is
'The terms of a profile with this handle and name. A generated handle gives none.';

create function private.is_term_used(p_word text) returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (
        select from private.search_terms as t
        where t.is_listed = any('{true,false}') and t.is_handle = any('{true,false}')
            and t.term >= p_word || ' ' and t.term < p_word || '!' -- which follows the space
    )
$$;
comment on function private.is_term_used(text) is 'Whether any handle or name contains the word.';

create function private.index_user_for_search(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_old_words text[];
    v_words text[];
    v_unused text[];
    v_locked integer;
begin
    -- The lock serialises changes of the profile and of the account, so that each sees the other.
    perform from public.profiles as p where p.id = p_user_id for no key update;
    with deleted_rows as (
        delete from private.search_terms as s where s.user_id = p_user_id returning s.term
    )
    select array_agg(distinct w.word) into v_old_words
    from deleted_rows as g
    cross join string_to_table(rtrim(g.term), ' ') as w (word);
    select array_agg(distinct w.word) into v_words
    from public.profiles as p
    join public.accounts as a on a.user_id = p.id and a.status <> 'deleted'
    cross join private.terms_of(p.handle, p.display_name) as t
    cross join string_to_table(rtrim(t.term), ' ') as w (word)
    where p.id = p_user_id;

    -- The lock on a word keeps transactions that stop using it from deleting it. A word that is deleted between the two
    -- statements is inserted again.
    loop
        insert into private.search_words (word) select w.word from unnest(v_words) as w (word) on conflict do nothing;
        perform from private.search_words as s where s.word = any(v_words) for key share;
        get diagnostics v_locked = row_count;
        exit when v_locked = coalesce(cardinality(v_words), 0);
    end loop;
    insert into private.search_terms (user_id, is_listed, is_handle, term)
    select p.id, p.is_public and a.status <> 'banned', t.is_handle, t.term
    from public.profiles as p
    join public.accounts as a on a.user_id = p.id and a.status <> 'deleted'
    cross join private.terms_of(p.handle, p.display_name) as t
    where p.id = p_user_id;

    -- Checks before locking, because transactions that begin to use a locked word wait; and again after locking,
    -- because one may have begun to use it meanwhile.
    v_unused := array(
        select s.word from private.search_words as s
        where s.word = any(v_old_words) and not private.is_term_used(s.word)
        for update skip locked
    );
    delete from private.search_words as s where s.word = any(v_unused) and not private.is_term_used(s.word);
end
$$;
comment on function private.index_user_for_search(uuid) is
'Updates the terms of a user, and deletes words that no handle or name contains any more. Triggers call it.';

create function private.rebuild_user_search() returns void
language plpgsql
set search_path = ''
as $$
begin
    truncate private.search_terms, private.search_words;
    insert into private.search_terms (user_id, is_listed, is_handle, term)
    select p.id, p.is_public and a.status <> 'banned', t.is_handle, t.term
    from public.profiles as p
    join public.accounts as a on a.user_id = p.id and a.status <> 'deleted'
    cross join private.terms_of(p.handle, p.display_name) as t;
    insert into private.search_words (word)
    select distinct w.word from private.search_terms as t cross join string_to_table(rtrim(t.term), ' ') as w (word);
end
$$;
comment on function private.rebuild_user_search() is
'Fills the search tables anew. For operators, after an import of profiles with triggers disabled.';

create function private.tg_profiles__index_for_search() returns trigger
language plpgsql
security definer -- the search tables are closed to clients
set search_path = ''
as $$
begin
    perform private.index_user_for_search(new.id);
    return null;
end
$$;
comment on function private.tg_profiles__index_for_search() is
'After a profile is created, renamed, hidden or shown: updates its terms.';
create trigger _400_index_for_search after insert on public.profiles
for each row execute function private.tg_profiles__index_for_search();
create trigger _400_index_change_for_search after update on public.profiles
for each row
when (
    (old.handle, old.display_name, old.is_public) is distinct from (new.handle, new.display_name, new.is_public)
)
execute function private.tg_profiles__index_for_search();

create function private.tg_accounts__index_for_search() returns trigger
language plpgsql
security definer -- the search tables are closed to clients
set search_path = ''
as $$
begin
    perform private.index_user_for_search(new.user_id);
    return null;
end
$$;
comment on function private.tg_accounts__index_for_search() is
'After an account is banned, deleted or reinstated: updates its terms.';
create trigger _400_index_for_search after update of status on public.accounts
for each row when (old.status is distinct from new.status) execute function private.tg_accounts__index_for_search();

create function private.users_spelled(
    p_positions integer[], p_spellings text[], p_limit integer, p_viewer uuid, p_include_unlisted boolean
)
returns uuid[]
language plpgsql
stable
set search_path = ''
as $$
declare
    -- Positions count the words of the query from 1; 0 is the handle. Words before the second one are complete and end
    -- with a space.
    v_later integer[] := array(select distinct w.position from unnest(p_positions) as w (position) where w.position > 2);
    v_end text := chr(1114111); -- sorts after every other character
begin
    return array(
        with spelled as (
            select s.position, s.spelling, s.number
            from unnest(p_positions, p_spellings) with ordinality as s (position, spelling, number)
        ),
        starts as (
            select true as is_handle, s.spelling as start, s.number from spelled as s where s.position = 0
            union all
            select false, a.spelling || coalesce(b.spelling, ''), a.number + coalesce(b.number, 0)
            from spelled as a
            left join spelled as b on b.position = 2
            where a.position = 1
        )
        select h.user_id
        from starts as s
        cross join lateral (
            select f.user_id, row_number() over () as turn
            from (
                (
                    select t.user_id from private.search_terms as t
                    where t.is_listed and t.is_handle = s.is_handle and t.term >= s.start and t.term < s.start || v_end
                    order by t.term
                    limit 1000
                )
                union all
                (
                    select t.user_id from private.search_terms as t
                    where p_include_unlisted
                        and not t.is_listed and t.is_handle = s.is_handle
                        and t.term >= s.start and t.term < s.start || v_end
                    order by t.term
                    limit 1000
                )
                union all
                (
                    select t.user_id from private.search_terms as t
                    where t.user_id = p_viewer and t.is_handle = s.is_handle
                        and t.term >= s.start and t.term < s.start || v_end
                    limit 1
                )
            ) as f
            where s.is_handle or not exists (
                select from unnest(v_later) as l (position)
                where not exists (
                    select from spelled as o
                    join private.search_terms as t
                        on t.user_id = f.user_id and not t.is_handle
                        and t.term >= o.spelling and t.term < o.spelling || v_end
                    where o.position = l.position
                )
            )
            limit p_limit
        ) as h
        group by h.user_id
        -- Handles before names; the turn keeps one spelling from using up the limit.
        order by bool_or(s.is_handle) desc, min(h.turn), min(s.number)
        limit p_limit
    );
end
$$;
comment on function private.users_spelled(integer[], text[], integer, uuid, boolean) is
'The users whose handle begins with a spelling at position 0, then those whose name has words that begin with a spelling
of each other position. Finds listed users and the viewer; with p_include_unlisted all users.';

create function private.matching_user_ids(p_query text, p_limit integer, p_include_unlisted boolean default false)
returns table (user_id uuid, rank bigint)
language plpgsql
stable
security definer -- reads profiles that the caller may not see, and returns only those that the caller may
set search_path = ''
rows 50
as $$
declare
    v_viewer uuid := (select auth.uid());
    v_handle text := ltrim(private.fold_text(left(p_query, 200)), '@');
    v_words text[] := private.words_of(p_query, true);
    v_squeezed text := left(array_to_string(v_words, ''), 30);
    v_positions integer[];
    v_spellings text[];
    v_found uuid[];
begin
    if v_squeezed = '' then
        return;
    elsif ltrim(p_query) like '@%' then
        v_words := '{}';
    end if;
    -- All words but the last are complete.
    v_spellings := array(
        select w.word || case when w.position < cardinality(v_words) then ' ' else '' end
        from unnest(v_words) with ordinality as w (word, position)
    );
    if cardinality(v_spellings) > 2 then
        -- Begin with the two words that the fewest users share; the other words are then checked for these users only.
        select array[a.word, b.word] || array(
            select o.word from unnest(v_spellings) as o (word) where o.word not in (a.word, b.word)
        )
        into v_spellings
        from unnest(v_spellings) with ordinality as a (word, position)
        join unnest(v_spellings) with ordinality as b (word, position) on a.position < b.position
        order by (
            select count(*)
            from (
                select from private.search_terms as t
                where t.is_listed and not t.is_handle
                    and t.term >= a.word || b.word and t.term < a.word || b.word || chr(1114111)
                limit 500
            ) as t
        )
        limit 1;
    end if;
    v_spellings := array[v_squeezed] || v_spellings;
    v_positions := array(select n from generate_series(0, cardinality(v_words)) as n);
    v_found := array(
        select p.id
        from public.profiles as p
        join public.accounts as a on a.user_id = p.id
        where p.handle = v_handle
            and (p_include_unlisted or p.id = v_viewer or (p.is_public and a.status not in ('banned', 'deleted')))
    ) || private.users_spelled(v_positions, v_spellings, p_limit * 5, v_viewer, p_include_unlisted);

    -- Correct typos only where the words as typed find few users.
    if cardinality(v_found) < least(p_limit, 10) then
        select array_agg(s.position order by s.position, s.number), array_agg(s.spelling order by s.position, s.number)
        into v_positions, v_spellings
        from (
            select
                w.position, w.spelling, rtrim(w.spelling) as word,
                private.delete_variants(rtrim(w.spelling)) as variants
            from unnest(v_positions, v_spellings) as w (position, spelling)
            offset 0 -- keeps Postgres from computing the variants again for each compared word
        ) as w
        cross join lateral (
            select w.position, w.spelling, 0 as number
            union all
            (
                select w.position, n.word || ' ', row_number() over ()
                from private.search_words as n
                where private.delete_variants(n.word) && w.variants and n.word <> w.word
                -- Swapped letters share more variants than any other typo.
                order by
                    (
                        select count(*) from unnest(private.delete_variants(n.word)) as c (spelling)
                        where c.spelling = any(w.variants)
                    ) desc,
                    extensions.similarity(n.word, w.word) desc,
                    n.word
                limit 10
            )
        ) as s;
        v_found := v_found || private.users_spelled(v_positions, v_spellings, p_limit, v_viewer, p_include_unlisted);
    end if;

    return query
    select f.user_id, min(f.position) from unnest(v_found) with ordinality as f (user_id, position)
    group by f.user_id
    order by min(f.position)
    limit p_limit;
end
$$;
comment on function private.matching_user_ids(text, integer, boolean) is
'The users that a query means, best first: the exact handle, handles that begin with it, names with words that begin
with its words, and, where these are few, similar spellings. A query that begins with `@` searches handles only. Finds
listed users and the caller; with p_include_unlisted all users that are not deleted.';

create function private.search_users(p_query text) returns table (user_id uuid, rank bigint)
language plpgsql
stable
security definer -- the search tables are closed to clients
set search_path = ''
rows 50
as $$
begin
    perform private.require_signed_in();
    return query
    select m.user_id, m.rank
    from private.matching_user_ids(p_query, 50, (select private.has_role('moderator'))) as m;
end
$$;
comment on function private.search_users(text) is
'The users that the caller may find by a query, at most 50, best first. Raises PT401 sign_in_required.';

-- By hand: reads the rows that the search found as the caller, under row level security.
create function public.search_users(q text) returns setof public.profiles
language sql
stable
set search_path = ''
rows 50
as $$
    select p.*
    from private.search_users(search_users.q) as s
    join public.profiles as p on p.id = s.user_id
    order by s.rank
$$;
comment on function public.search_users(text) is
'Finds users by name and handle while one types, at most 50, best first: the exact handle, handles that begin with the
query, names with words that begin with its words, and, where these are few, similar spellings. Ignores accents and
case; `@ann` searches handles only. Finds public profiles and the caller''s own; moderators find all. For signed-in
users: select, embed and limit as on profiles. Raises sign_in_required (401).';
