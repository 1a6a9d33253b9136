-- Identity: finding people by name and handle as one types, with accents and slips of the finger forgiven.
--
-- What is searched lies in two narrow tables that triggers keep. A name is stored once for each ordered pair of its
-- words, so that any two words of it, in any order and the second unfinished, begin a term: a search is some ranges of
-- one b-tree. A slip is mended before that, among the words that anybody bears: two are near when leaving out at most
-- one letter of each makes them the same, which a GIN index answers.

create table private.search_terms (
    user_id uuid not null constraint search_terms_user_id_fkey references public.profiles (id) on delete cascade,
    is_listed boolean not null,
    is_handle boolean not null,
    term text collate "C" not null,
    constraint search_terms_pkey primary key (is_listed, is_handle, term, user_id)
);
comment on table private.search_terms is
'By what each person is found: the handle without _ and -, and each ordered pair of words of the name, or its only word.
A space follows each word. Kept by triggers on profiles and accounts.';
comment on column private.search_terms.is_listed is
'Whether everybody finds the person: the profile is public and the account is not banned.';
alter table private.search_terms enable row level security;
create index search_terms_user_id_idx on private.search_terms (user_id, term);
comment on index private.search_terms_user_id_idx is
'Whether somebody bears a third word too, what somebody is found by, and the foreign key';

create table private.search_words (
    word text collate "C" constraint search_words_pkey primary key
);
comment on table private.search_words is
'Every word of private.search_terms, once: what a mistyped word is compared with.';
alter table private.search_words enable row level security;

create function private.spellings(p_word text) returns text[]
language sql
immutable
parallel safe
set search_path = ''
as $$
    select array_agg(left(p_word, n) || substr(p_word, n + 2)) from generate_series(0, char_length(p_word)) as n
$$;
comment on function private.spellings(text) is
'The word, and the word without each of its letters. Words that share one of these differ by a letter too many, missing,
wrong or moved: jonh and john by jon.';
create index search_words_spellings_idx on private.search_words
using gin (private.spellings(word)) with (fastupdate = off);
comment on index private.search_words_spellings_idx is 'The words near a mistyped one, in matching_user_ids';

create function private.words_of(p_text text) returns text[]
language sql
stable
parallel safe
set search_path = ''
as $$
    select coalesce(array_agg(w.word order by w.place), '{}')
    from (
        select left(s.word, 30) as word, min(s.place) as place
        from regexp_split_to_table(
            lower(extensions.unaccent(
                'extensions.unaccent',
                -- O'Brien is one word; joiners are not typed.
                regexp_replace(normalize(left(p_text, 200), nfkc), '[''`\u00b4\u02bc\u2018\u2019\u200b-\u200d]', '', 'g')
            )),
            '[[:space:][:punct:][:cntrl:]]+'
        ) with ordinality as s (word, place)
        where s.word <> ''
        group by left(s.word, 30)
        order by min(s.place)
        limit 6
    ) as w
$$;
comment on function private.words_of(text) is
'The first six different words of a text as they are searched: lower case, without accents and apostrophes.';

create function private.terms_of(p_handle text, p_display_name text) returns table (is_handle boolean, term text)
language sql
stable
parallel safe
set search_path = ''
as $$
    with words as (
        select w.word, w.place from unnest(private.words_of(p_display_name)) with ordinality as w (word, place)
    )
    select true, translate(p_handle, '_-', '') || ' ' where not starts_with(p_handle, 'member-')
    union all
    select false, a.word || coalesce(' ' || b.word, '') || ' '
    from words as a
    left join words as b on a.place <> b.place
$$;
comment on function private.terms_of(text, text) is
'The terms by which a profile with this handle and name is found. A made-up handle is none.';

create function private.is_borne(p_word text) returns boolean
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
comment on function private.is_borne(text) is 'Whether a word is in anybody''s handle or name.';

create function private.index_user_for_search(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_old_words text[];
    v_words text[];
    v_unborne text[];
    v_held integer;
begin
    -- The profile stays as it is read here: going public and being reinstated at one moment see each other.
    perform from public.profiles as p where p.id = p_user_id for no key update;
    with gone as (
        delete from private.search_terms as s where s.user_id = p_user_id returning s.term
    )
    select array_agg(distinct w.word) into v_old_words
    from gone as g
    cross join string_to_table(rtrim(g.term), ' ') as w (word);
    select array_agg(distinct w.word) into v_words
    from public.profiles as p
    join public.accounts as a on a.user_id = p.id and a.status <> 'deleted'
    cross join private.terms_of(p.handle, p.display_name) as t
    cross join string_to_table(rtrim(t.term), ' ') as w (word)
    where p.id = p_user_id;

    -- Who holds a word keeps others, who give it up meanwhile, from taking it away; one taken away between these two
    -- statements is put back.
    loop
        insert into private.search_words (word) select w.word from unnest(v_words) as w (word) on conflict do nothing;
        perform from private.search_words as s where s.word = any(v_words) for key share;
        get diagnostics v_held = row_count;
        exit when v_held = coalesce(cardinality(v_words), 0);
    end loop;
    insert into private.search_terms (user_id, is_listed, is_handle, term)
    select p.id, p.is_public and a.status <> 'banned', t.is_handle, t.term
    from public.profiles as p
    join public.accounts as a on a.user_id = p.id and a.status <> 'deleted'
    cross join private.terms_of(p.handle, p.display_name) as t
    where p.id = p_user_id;

    -- Looked at before it is locked, since whoever takes up a locked word waits; and again after, since somebody may
    -- have taken it up meanwhile.
    v_unborne := array(
        select s.word from private.search_words as s
        where s.word = any(v_old_words) and not private.is_borne(s.word)
        for update skip locked
    );
    delete from private.search_words as s where s.word = any(v_unborne) and not private.is_borne(s.word);
end
$$;
comment on function private.index_user_for_search(uuid) is
'Brings what a person is found by up to date; words that nobody bears any more are forgotten. Called by triggers.';

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
'Makes all that is searched anew: for operators, after profiles were brought in with triggers off.';

create function private.tg_profiles__index_for_search() returns trigger
language plpgsql
security definer -- what is searched is closed to those who change profiles
set search_path = ''
as $$
begin
    perform private.index_user_for_search(new.id);
    return null;
end
$$;
comment on function private.tg_profiles__index_for_search() is 'After a profile is made, renamed, hidden or shown.';
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
security definer -- what is searched is closed to those who change accounts
set search_path = ''
as $$
begin
    perform private.index_user_for_search(new.user_id);
    return null;
end
$$;
comment on function private.tg_accounts__index_for_search() is 'After an account is banned, deleted or reinstated.';
create trigger _400_index_for_search after update of status on public.accounts
for each row when (old.status is distinct from new.status) execute function private.tg_accounts__index_for_search();

create function private.users_spelled(
    p_places integer[], p_spellings text[], p_limit integer, p_viewer uuid, p_everybody boolean
)
returns uuid[]
language plpgsql
stable
set search_path = ''
as $$
declare
    -- Places are those of the words searched, from 1; 0 is the handle. What is before the second word is whole, and a
    -- space follows it.
    v_later integer[] := array(select distinct w.place from unnest(p_places) as w (place) where w.place > 2);
    v_end text := chr(1114111); -- sorts after every other character
begin
    return array(
        with spelled as (
            select s.place, s.spelling, s.number
            from unnest(p_places, p_spellings) with ordinality as s (place, spelling, number)
        ),
        starts as (
            select true as is_handle, s.spelling as start, s.number from spelled as s where s.place = 0
            union all
            select false, a.spelling || coalesce(b.spelling, ''), a.number + coalesce(b.number, 0)
            from spelled as a
            left join spelled as b on b.place = 2
            where a.place = 1
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
                    where p_everybody
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
                select from unnest(v_later) as l (place)
                where not exists (
                    select from spelled as o
                    join private.search_terms as t
                        on t.user_id = f.user_id and not t.is_handle
                        and t.term >= o.spelling and t.term < o.spelling || v_end
                    where o.place = l.place
                )
            )
            limit p_limit
        ) as h
        group by h.user_id
        -- Handles before names; and of several spellings none takes all the places.
        order by bool_or(s.is_handle) desc, min(h.turn), min(s.number)
        limit p_limit
    );
end
$$;
comment on function private.users_spelled(integer[], text[], integer, uuid, boolean) is
'The people whose handle begins with a spelling at place 0, then those whose name has words that begin with a spelling
of each of the other places. Sees what the viewer sees, or everybody.';

create function private.matching_user_ids(p_query text, p_limit integer, p_everybody boolean default false)
returns table (user_id uuid, place bigint)
language plpgsql
stable
security definer -- looks through people whom the caller may not see, and answers those whom he may
set search_path = ''
rows 50
as $$
declare
    v_viewer uuid := (select auth.uid());
    v_handle text := ltrim(lower(btrim(left(p_query, 200))), '@');
    v_words text[] := private.words_of(p_query);
    v_squeezed text := left(array_to_string(v_words, ''), 30);
    v_places integer[];
    v_spellings text[];
    v_found uuid[];
begin
    if v_squeezed = '' then
        return;
    elsif ltrim(p_query) like '@%' then
        v_words := '{}';
    end if;
    -- All words but the last are whole.
    v_spellings := array(
        select w.word || case when w.place < cardinality(v_words) then ' ' else '' end
        from unnest(v_words) with ordinality as w (word, place)
    );
    if cardinality(v_spellings) > 2 then
        -- First the two that the fewest bear together: the others are then looked for among those few.
        select array[a.word, b.word] || array(
            select o.word from unnest(v_spellings) as o (word) where o.word not in (a.word, b.word)
        )
        into v_spellings
        from unnest(v_spellings) with ordinality as a (word, place)
        join unnest(v_spellings) with ordinality as b (word, place) on a.place < b.place
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
    v_places := array(select n from generate_series(0, cardinality(v_words)) as n);
    v_found := array(
        select p.id
        from public.profiles as p
        join public.accounts as a on a.user_id = p.id
        where p.handle = v_handle
            and (p_everybody or p.id = v_viewer or (p.is_public and a.status not in ('banned', 'deleted')))
    ) || private.users_spelled(v_places, v_spellings, p_limit * 5, v_viewer, p_everybody);

    -- Whoever finds some did not mistype.
    if cardinality(v_found) < least(p_limit, 10) then
        select array_agg(s.place order by s.place, s.number), array_agg(s.spelling order by s.place, s.number)
        into v_places, v_spellings
        from (
            select w.place, w.spelling, rtrim(w.spelling) as word, private.spellings(rtrim(w.spelling)) as spellings
            from unnest(v_places, v_spellings) as w (place, spelling)
            offset 0 -- or spellings would be computed for each word that it is compared with
        ) as w
        cross join lateral (
            select w.place, w.spelling, 0 as number
            union all
            (
                select w.place, n.word || ' ', row_number() over ()
                from private.search_words as n
                where private.spellings(n.word) && w.spellings and n.word <> w.word
                -- Letters that changed places leave more in common than any other slip.
                order by
                    (select count(*) from unnest(private.spellings(n.word)) as c (spelling) where c.spelling = any(w.spellings))
                    desc,
                    extensions.similarity(n.word, w.word) desc,
                    n.word
                limit 10
            )
        ) as s;
        v_found := v_found || private.users_spelled(v_places, v_spellings, p_limit, v_viewer, p_everybody);
    end if;

    return query
    select f.user_id, min(f.place) from unnest(v_found) with ordinality as f (user_id, place)
    group by f.user_id
    order by min(f.place)
    limit p_limit;
end
$$;
comment on function private.matching_user_ids(text, integer, boolean) is
'Who is meant by what somebody typed, best first: the very handle, handles that begin so, names of which words begin so,
and where these are few, what is spelled alike. `@` before it looks among handles only. Finds whom everybody finds and
the caller, or everybody who is not deleted.';

create function private.search_users(p_query text) returns table (user_id uuid, place bigint)
language plpgsql
stable
security definer -- what is searched is closed to clients
set search_path = ''
rows 50
as $$
begin
    if (select auth.uid()) is null then
        raise sqlstate 'PT401' using
            message = 'sign_in_required',
            detail = 'Only a signed-in person can do this.',
            hint = 'Send the access token of a user in the Authorization header.';
    end if;
    return query
    select m.user_id, m.place
    from private.matching_user_ids(p_query, 50, (select private.has_role('moderator'))) as m;
end
$$;
comment on function private.search_users(text) is
'The people whom the caller may find by what he typed, at most 50, best first. Raises PT401 sign_in_required.';

create function public.search_users(q text) returns setof public.profiles
language sql
stable
set search_path = ''
rows 50
as $$
    select p.*
    from private.search_users(search_users.q) as s
    join public.profiles as p on p.id = s.user_id
    order by s.place
$$;
comment on function public.search_users(text) is
'Finds people by name and handle as one types, at most 50, best first: the very handle, handles that begin so, names
with words that begin so, and where these are few, what is spelled alike. Accents and case do not matter; `@ann` looks among
handles only. Finds public profiles and one''s own; moderators find all. For signed-in people: select, embed and limit
as on profiles. Raises sign_in_required (401).';
