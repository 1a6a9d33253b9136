-- Catalog: finding published courses by what people type, with accents and misspellings forgiven.

create function private.courses_matching(
    p_query tsquery, p_level public.course_level, p_category_id uuid, p_language text, p_creator_id uuid,
    p_max_price bigint, p_currency text
)
returns uuid[]
language plpgsql
stable
set search_path = ''
set enable_seqscan = off -- a frequent word reads some of its courses by the index, and never the whole table
as $$
begin
    return array(
        with titled as materialized (
            select s.course_id, s.words, c.published_at
            from private.course_search as s
            join public.courses as c on c.id = s.course_id
            where s.title_words @@ p_query
                and (p_level is null or c.level in (p_level, 'all'))
                and (p_category_id is null or c.category_id = p_category_id)
                and (p_language is null or c.language = p_language or starts_with(c.language, p_language || '-'))
                and (p_creator_id is null or c.creator_id = p_creator_id)
                and (p_max_price is null or c.price_amount <= p_max_price)
                and (p_currency is null or c.price_currency = p_currency or c.price_amount = 0)
            limit 200
        ),
        others as (
            select s.course_id, s.words, c.published_at
            from private.course_search as s
            join public.courses as c on c.id = s.course_id
            where (select count(*) < 200 from titled)
                and s.words @@ p_query
                and not s.title_words @@ p_query
                and (p_level is null or c.level in (p_level, 'all'))
                and (p_category_id is null or c.category_id = p_category_id)
                and (p_language is null or c.language = p_language or starts_with(c.language, p_language || '-'))
                and (p_creator_id is null or c.creator_id = p_creator_id)
                and (p_max_price is null or c.price_amount <= p_max_price)
                and (p_currency is null or c.price_currency = p_currency or c.price_amount = 0)
            limit 400
        )
        select f.course_id from (select * from titled union all select * from others) as f
        order by ts_rank(f.words, p_query) desc, f.published_at desc, f.course_id
        limit 200
    );
end
$$;
comment on function private.courses_matching(tsquery, public.course_level, uuid, text, uuid, bigint, text) is
'The published courses that match the words and the filters, at most 200, best match first. It ranks at most 200 that
have the words in the title, and 400 others.';

create function private.words_near(p_word text) returns text[]
language sql
stable
set search_path = ''
set enable_seqscan = off
as $$
    select array(
        select n.word
        from (
            select w.word, 0 as distance from private.course_words as w
            where private.delete_variants(w.word) && private.delete_variants(p_word)
            union all
            select w.word, 1 from private.course_words as w where w.word operator(extensions.%) p_word
        ) as n
        where n.word <> p_word
        group by n.word
        order by min(n.distance), extensions.similarity(n.word, p_word) desc, n.word
        limit 8
    )
$$;
comment on function private.words_near(text) is
'The words of courses that are nearest to a misspelt one, at most 8: first those that differ by a letter, then those
that share trigrams.';

create function private.query_of(p_query text, p_is_unfinished boolean, p_has_similar boolean) returns tsquery
language plpgsql -- keeps its plan, which takes longer to make than to run
stable
set search_path = ''
as $$
begin
    return (
        with words as (
            select s.word, s.parts, s.stem, s.number, row_number() over (order by s.number desc) = 1 as is_last
            from private.searched_words(left(p_query, 200)) as s
            order by s.number
            limit 12
        ),
        -- Each form of a word is an alternative; the parts of wi-fi are found together, and so are pairs of letters.
        forms as (
            select w.number, w.is_last, coalesce(private.letter_pairs(w.word, true), array[w.word]) as lexemes
            from words as w
            union all
            select w.number, w.is_last, w.parts from words as w where w.parts <> '{}'
            union all
            select w.number, w.is_last, array[w.stem] from words as w where w.stem is not null and w.word !~ '[+#]$'
            union all
            select w.number, false, array[n.word]
            from words as w
            cross join unnest(private.words_near(w.word)) as n (word)
            where p_has_similar and char_length(w.word) >= 4
        ),
        alternatives as (
            select f.number, (
                select string_agg(
                    format('''%s''%s', left(l.lexeme, 40), case
                        when p_is_unfinished and f.is_last and l.number = cardinality(f.lexemes) then ':*' else ''
                    end), ' & '
                )
                from unnest(f.lexemes) with ordinality as l (lexeme, number)
            ) as form
            from forms as f
        )
        select string_agg(w.forms, ' & ')::tsquery
        from (
            select format('((%s))', string_agg(a.form, ') | (')) as forms from alternatives as a group by a.number
        ) as w
    );
end
$$;
comment on function private.query_of(text, boolean, boolean) is
'What somebody types as a query of the index: all words, each in any of its forms. The last one may be unfinished, and
words of four or more letters may be misspelt, where the arguments say so. Null without words.';

create function private.search_courses(
    p_query text, p_level public.course_level, p_category text, p_language text, p_creator_id uuid,
    p_max_price bigint, p_currency text
)
returns table (course_id uuid, rank bigint)
language plpgsql
stable
security definer -- clients may not read the index; it finds only published courses, which everybody may read
set search_path = ''
rows 50
as $$
declare
    v_query tsquery := private.query_of(p_query, false, false);
    v_category_id uuid := (select c.id from public.categories as c where c.slug = p_category);
    v_found uuid[];
begin
    if (p_category is not null and v_category_id is null)
        or (v_query is null and private.is_visible(p_query)) -- a query without any word
    then
        return;
    elsif v_query is null then
        return query
        select f.id, row_number() over (order by f.published_at desc, f.id)
        from (
            select c.id, c.published_at from public.courses as c
            where c.status = 'published'
                and (p_level is null or c.level in (p_level, 'all'))
                and (p_category is null or c.category_id = v_category_id)
                and (p_language is null or c.language = p_language or starts_with(c.language, p_language || '-'))
                and (p_creator_id is null or c.creator_id = p_creator_id)
                and (p_max_price is null or c.price_amount <= p_max_price)
                and (p_currency is null or c.price_currency = p_currency or c.price_amount = 0)
            order by c.published_at desc, c.id
            limit 200
        ) as f;
        return;
    end if;
    -- A course of this very title, then those with all words, then those in which the last word is longer.
    v_found := private.courses_matching(
        private.title_lexeme(p_query)::tsquery,
        p_level, v_category_id, p_language, p_creator_id, p_max_price, p_currency
    ) || private.courses_matching(
        v_query, p_level, v_category_id, p_language, p_creator_id, p_max_price, p_currency
    );
    if cardinality(v_found) < 200 then
        v_found := v_found || private.courses_matching(
            private.query_of(p_query, true, false),
            p_level, v_category_id, p_language, p_creator_id, p_max_price, p_currency
        );
    end if;
    -- Few results: some word may be misspelt.
    if cardinality(v_found) < 10 then
        v_found := v_found || private.courses_matching(
            private.query_of(p_query, true, true),
            p_level, v_category_id, p_language, p_creator_id, p_max_price, p_currency
        );
    end if;
    return query
    select f.id, min(f.position) from unnest(v_found) with ordinality as f (id, position)
    group by f.id
    order by min(f.position)
    limit 200;
end
$$;
comment on function private.search_courses(text, public.course_level, text, text, uuid, bigint, text) is
'The published courses that match what somebody types, at most 200, best match first: those that have all words, the
last of which may be unfinished; if these are few, then those that have similar words. Without a query, the newest.';

-- By hand: reads the rows that the search found as the caller, under row level security.
create function public.search_courses(
    q text default null, level public.course_level default null, category text default null,
    language text default null, creator_id uuid default null, max_price bigint default null, currency text default null
)
returns setof public.courses
language sql
stable
set search_path = ''
rows 50
as $$
    select c.*
    from private.search_courses(
        search_courses.q, search_courses.level, search_courses.category, search_courses.language,
        search_courses.creator_id, search_courses.max_price, search_courses.currency
    ) as s
    join public.courses as c on c.id = s.course_id
    order by s.rank
$$;
comment on function public.search_courses(text, public.course_level, text, text, uuid, bigint, text) is
'Finds published courses by what people type, at most 200 rows of courses, best match first. q: words of the title, then
of the subtitle, tags, category and creator, then of the description; all of them, the last may be unfinished. If few
courses match, it finds similar words, too. A course whose title is q comes first. Accents, case, apostrophes and
hyphens do not matter; two letters find scripts without spaces.
Filters: level (finds courses for all, too), category (a slug), language (en finds en-GB, too), creator_id, max_price
(minor units), currency (finds free courses, too). Without q it returns the newest. Select, embed and limit as on
courses. For everybody.';
