-- Catalog: finding published courses by what people type, with accents and slips of the finger forgiven.
--
-- What is searched lies in a narrow table that triggers keep, and that holds published courses only. Its words are made
-- here and not by a text search configuration, so that what is stored and what is asked are cut alike in every script.
-- Under row level security no index of full text would serve, for its operators are not leakproof: a definer function
-- asks.

create table private.course_search (
    course_id uuid not null constraint course_search_pkey primary key
    constraint course_search_course_id_fkey references public.courses (id) on delete cascade,
    title_words tsvector not null,
    words tsvector not null
);
comment on table private.course_search is
'The words of each published course: A those of the title; B those of the subtitle, the tags, the category and the
creator, where his profile is public; D the rest. Kept by triggers on courses, categories and profiles.';
comment on column private.course_search.title_words is
'Those of the title alone: of a word that stands in many courses, these are looked at first.';
alter table private.course_search enable row level security;
create index course_search_title_words_idx on private.course_search using gin (title_words) with (fastupdate = off);
comment on index private.course_search_title_words_idx is 'search_courses: title_words @@ ?';
create index course_search_words_idx on private.course_search using gin (words) with (fastupdate = off);
comment on index private.course_search_words_idx is 'search_courses: words @@ ?';

create table private.course_words (
    word text collate "C" constraint course_words_pkey primary key
);
comment on table private.course_words is
'Every word of four letters and more that was ever of weight A or B in private.course_search, once: what a mistyped
word is compared with.';
alter table private.course_words enable row level security;
create index course_words_spellings_idx on private.course_words
using gin (private.spellings(word)) with (fastupdate = off);
comment on index private.course_words_spellings_idx is
'The words a letter away from a mistyped one: spellings(word) && ?';
create index course_words_trigrams_idx on private.course_words
using gin (word extensions.gin_trgm_ops) with (fastupdate = off);
comment on index private.course_words_trigrams_idx is 'The words that resemble a mistyped one: word % ?';

create function private.course_words_of(p_text text, p_is_query boolean default false) returns text[]
language sql
stable
parallel safe
set search_path = ''
as $$
    with cut as (
        select s.word, s.place
        from regexp_split_to_table(
            -- Scripts that put no space between words stand apart from those that do.
            regexp_replace(
                lower(extensions.unaccent(
                    'extensions.unaccent',
                    -- Accents by themselves, vowel points of Hebrew and Arabic, joiners and apostrophes are not typed.
                    regexp_replace(
                        normalize(left(p_text, case when p_is_query then 200 else 50000 end), nfkc),
                        '[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u0640\u064b-\u065f\u0670'
                        '''`\u00b4\u02bc\u2018\u2019\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f]', '', 'g'
                    )
                )),
                '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+)', ' \1 ', 'g'
            ),
            -- Neither space nor punctuation nor a picture.
            '[[:space:][:punct:][:cntrl:]\u2190-\u2bff\U0001f000-\U0001faff]+'
        ) with ordinality as s (word, place)
        where s.word <> ''
    ),
    words as (
        -- What has no spaces is searched by pairs of letters, of which the last may be alone.
        select substr(c.word, n.n, 2) as word, c.place, n.n as part
        from cut as c
        cross join generate_series(1, greatest(char_length(c.word) - p_is_query::integer, 1)) as n (n)
        where c.word ~ '^[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]'
        union all
        select left(c.word, 40), c.place, 0
        from cut as c
        where c.word !~ '^[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]'
    )
    select coalesce(array_agg(w.word order by w.place, w.part), '{}')
    from (
        select w.word, min(w.place) as place, min(w.part) as part from words as w
        group by w.word
        order by min(w.place), min(w.part)
        limit case when p_is_query then 12 else 8000 end
    ) as w
$$;
comment on function private.course_words_of(text, boolean) is
'The different words of a text as courses are searched by them: lower case, without accents, vowel points and
apostrophes; of scripts without spaces each two letters. Of a query, the first 12.';

create function private.weigh_words(p_words text[], p_weight text) returns tsvector
language sql
immutable
parallel safe
set search_path = ''
as $$
    -- Words hold neither quotes nor backslashes, which are punctuation.
    select coalesce(string_agg(format('''%s'':%s%s', w.word, w.place, p_weight), ' '), '')::tsvector
    from unnest(p_words) with ordinality as w (word, place)
$$;
comment on function private.weigh_words(text[], text) is
'Words of course_words_of as a tsvector, all of one weight.';

create function private.index_course_for_search(p_course_id uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    v_course public.courses;
    v_title text[];
    v_about text[];
begin
    select c.* into v_course from public.courses as c where c.id = p_course_id;
    if v_course.status is distinct from 'published' then
        delete from private.course_search as s where s.course_id = p_course_id;
        return;
    end if;
    -- Who has this row reads the names as they are by then: of two who change different ones at once, the second sees both.
    insert into private.course_search (course_id, title_words, words) values (p_course_id, '', '') on conflict do nothing;
    perform from private.course_search as s where s.course_id = p_course_id for update;
    v_title := private.course_words_of(v_course.title);
    v_about := private.course_words_of(concat_ws(
        ' ',
        v_course.subtitle,
        array_to_string(v_course.tags, ' '),
        (select k.name from public.categories as k where k.id = v_course.category_id),
        (select p.display_name from public.profiles as p where p.id = v_course.creator_id and p.is_public)
    ));
    update private.course_search as s
    set
        title_words = private.weigh_words(v_title, 'A'),
        words = private.weigh_words(v_title, 'A') || private.weigh_words(v_about, 'B') || private.weigh_words(
            private.course_words_of(
                concat_ws(' ', v_course.description, array_to_string(v_course.objectives, ' '))
            ), 'D'
        )
    where s.course_id = p_course_id;
    -- In one order, so that two who bring the same new words do not wait for each other in a circle.
    insert into private.course_words (word)
    select w.word from unnest(v_title || v_about) as w (word)
    where char_length(w.word) >= 4
    group by w.word
    order by w.word collate "C"
    on conflict do nothing;
end
$$;
comment on function private.index_course_for_search(uuid) is
'Brings what a course is found by up to date. Called by triggers.';

create function private.rebuild_course_search() returns void
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid;
begin
    truncate private.course_search, private.course_words;
    for v_id in select c.id from public.courses as c where c.status = 'published' loop
        perform private.index_course_for_search(v_id);
    end loop;
end
$$;
comment on function private.rebuild_course_search() is
'Makes all that is searched anew: for operators, after courses were brought in with triggers off, and to forget words
that no course has any more.';

create function private.tg_courses__index_for_search() returns trigger
language plpgsql
security definer -- what is searched is closed to those who change courses
set search_path = ''
as $$
begin
    -- Waits for who is just renaming them, and does not see yet that the course is published.
    perform from public.profiles as p where p.id = new.creator_id for share;
    perform from public.categories as k where k.id = new.category_id for share;
    perform private.index_course_for_search(new.id);
    return null;
end
$$;
comment on function private.tg_courses__index_for_search() is
'After a course is published, taken back, or, while it is published, changed in what it is found by.';
create trigger _240_index_for_search after insert on public.courses
for each row when (new.status = 'published') execute function private.tg_courses__index_for_search();
create trigger _240_index_change_for_search
after update of status, creator_id, category_id, title, subtitle, description, objectives, tags on public.courses
for each row when (old.status = 'published' or new.status = 'published')
execute function private.tg_courses__index_for_search();

create function private.tg_profiles__index_courses() returns trigger
language plpgsql
security definer -- what is searched is closed to those who change profiles
set search_path = ''
as $$
declare
    v_id uuid;
begin
    for v_id in
        select c.id from public.courses as c where c.creator_id = new.id and c.status = 'published' order by c.id
    loop
        perform private.index_course_for_search(v_id);
    end loop;
    return null;
end
$$;
comment on function private.tg_profiles__index_courses() is
'After a profile is renamed, hidden or shown: so is the creator''s name in the search for courses.';
create trigger _410_index_courses after update of display_name, is_public on public.profiles
for each row when ((old.display_name, old.is_public) is distinct from (new.display_name, new.is_public))
execute function private.tg_profiles__index_courses();

create function private.tg_categories__index_courses() returns trigger
language plpgsql
security definer -- what is searched is closed to those who change categories
set search_path = ''
as $$
declare
    v_id uuid;
begin
    for v_id in
        select c.id from public.courses as c where c.category_id = new.id and c.status = 'published' order by c.id
    loop
        perform private.index_course_for_search(v_id);
    end loop;
    return null;
end
$$;
comment on function private.tg_categories__index_courses() is
'After a category is renamed: its courses are found by the new name.';
create trigger _410_index_courses after update of name on public.categories
for each row when (old.name is distinct from new.name) execute function private.tg_categories__index_courses();

create function private.courses_worded(
    p_query tsquery, p_level public.course_level, p_category_id uuid, p_language text, p_creator_id uuid,
    p_max_price bigint, p_currency text
)
returns uuid[]
language plpgsql
stable
set search_path = ''
set enable_seqscan = off -- where many courses have a word, some of them are read, and never the whole table
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
comment on function private.courses_worded(tsquery, public.course_level, uuid, text, uuid, bigint, text) is
'The published courses whose words are such, of this level, category, language, creator and price, at most 200, best
first. Of more than 200 that have the words in the title, and of more than 400 others, not all are ranked.';

create function private.words_near(p_word text) returns text[]
language sql
stable
set search_path = ''
set enable_seqscan = off
as $$
    select array(
        select n.word
        from (
            select w.word, 0 as slip from private.course_words as w
            where private.spellings(w.word) && private.spellings(p_word)
            union all
            select w.word, 1 from private.course_words as w where w.word operator(extensions.%) p_word
        ) as n
        where n.word <> p_word
        group by n.word
        order by min(n.slip), extensions.similarity(n.word, p_word) desc, n.word
        limit 8
    )
$$;
comment on function private.words_near(text) is
'The words of courses that are most like a mistyped one: a letter away, else of like trigrams.';

create function private.search_courses(
    p_query text, p_level public.course_level, p_category text, p_language text, p_creator_id uuid,
    p_max_price bigint, p_currency text
)
returns table (course_id uuid, place bigint)
language plpgsql
stable
security definer -- what is searched is closed to clients; it answers published courses, which everybody sees
set search_path = ''
rows 50
as $$
declare
    v_words text[] := private.course_words_of(p_query, true);
    v_category_id uuid := (select c.id from public.categories as c where c.slug = p_category);
    v_found uuid[];
begin
    if (p_category is not null and v_category_id is null)
        or (v_words = '{}' and p_query ~ '\S') -- of which nothing can be searched
    then
        return;
    elsif v_words = '{}' then
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
    -- All words but the last are whole.
    v_found := private.courses_worded(
        (
            select string_agg(
                format('''%s''%s', w.word, case when w.place = cardinality(v_words) then ':*' else '' end), ' & '
            )
            from unnest(v_words) with ordinality as w (word, place)
        )::tsquery,
        p_level, v_category_id, p_language, p_creator_id, p_max_price, p_currency
    );
    -- Whoever finds some did not mistype.
    if cardinality(v_found) < 10 then
        v_found := v_found || private.courses_worded(
            (
                select string_agg(
                    format(
                        '(''%s''%s%s)', w.word, case when w.place = cardinality(v_words) then ':*' else '' end,
                        (select string_agg(format(' | ''%s''', n.word), '') from unnest(w.near) as n (word))
                    ), ' & '
                )
                from (
                    select
                        s.word, s.place,
                        case when char_length(s.word) >= 4 then private.words_near(s.word) end as near
                    from unnest(v_words) with ordinality as s (word, place)
                ) as w
            )::tsquery,
            p_level, v_category_id, p_language, p_creator_id, p_max_price, p_currency
        );
    end if;
    return query
    select f.id, min(f.place) from unnest(v_found) with ordinality as f (id, place)
    group by f.id
    order by min(f.place)
    limit 200;
end
$$;
comment on function private.search_courses(text, public.course_level, text, text, uuid, bigint, text) is
'The published courses meant by what somebody typed, at most 200, best first: those that have all the words, the last
perhaps unfinished, and where these are few, those that have words spelled alike. Without a query, the newest.';

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
    order by s.place
$$;
comment on function public.search_courses(text, public.course_level, text, text, uuid, bigint, text) is
'Finds published courses by what people type, at most 200, best first: words of the title, then of subtitle, tags,
category and creator, then of the description; all of them, the last perhaps unfinished, and where few have them,
words spelled alike. Accents and case do not matter; scripts without spaces are found by any two letters. Narrowed by
level (courses for all are for each), category (its slug), language (en finds en-GB, too), creator_id, max_price
(minor units) and currency (free courses have every one); without q, the newest. For everybody: select, embed and
limit as on courses.';
