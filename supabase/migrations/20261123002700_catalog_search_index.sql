-- Catalog: the index in which search_courses searches. It has a narrow row for each published course, which triggers
-- write.
--
-- A function of ours splits texts and queries into words alike, in every script; a text search configuration would not.
-- Row level security would keep Postgres from using a full-text index, since its operators are not leakproof; so a
-- definer function searches.

create table private.course_search (
    course_id uuid not null constraint course_search_pkey primary key
    constraint course_search_course_id_fkey references public.courses (id) on delete cascade,
    title_words tsvector not null,
    words tsvector not null
);
comment on table private.course_search is
'The words of each published course by weight: A of the title; B of the subtitle, the tags, the category and the
creator, if their profile is public; D of the rest. Triggers on courses, categories and profiles write it.';
comment on column private.course_search.title_words is
'The words of the title alone, so that a search for a frequent word finds titles first, and the whole title as one
lexeme.';
alter table private.course_search enable row level security;
create index course_search_title_words_idx on private.course_search using gin (title_words) with (fastupdate = off);
comment on index private.course_search_title_words_idx is 'search_courses: title_words @@ ?';
create index course_search_words_idx on private.course_search using gin (words) with (fastupdate = off);
comment on index private.course_search_words_idx is 'search_courses: words @@ ?';

create table private.course_words (
    word text collate "C" constraint course_words_pkey primary key
);
comment on table private.course_words is
'Every word of four or more letters that ever had weight A or B in private.course_search: the words that a misspelt word
is compared with.';
alter table private.course_words enable row level security;
create index course_words_delete_variants_idx on private.course_words
using gin (private.delete_variants(word)) with (fastupdate = off);
comment on index private.course_words_delete_variants_idx is
'The words that differ from a misspelt one by a letter: delete_variants(word) && ?';
create index course_words_trigrams_idx on private.course_words
using gin (word extensions.gin_trgm_ops) with (fastupdate = off);
comment on index private.course_words_trigrams_idx is 'The words that resemble a misspelt one: word % ?';

create function private.letter_pairs(p_word text, p_is_query boolean) returns text[]
language plpgsql -- keeps its plan, which takes longer to make than to run
immutable
parallel safe
set search_path = ''
as $$
begin
    return (
        select case
            when p_word ~ '^[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]' then array(
                select substr(p_word, n.n, 2)
                from generate_series(1, greatest(char_length(p_word) - p_is_query::integer, 1)) as n (n)
            )
        end
    );
end
$$;
comment on function private.letter_pairs(text, boolean) is
'In scripts that put no space between words, the pairs of letters by which the text is searched; of an indexed text the
last letter alone, too. Null for other scripts.';

create function private.course_words_of(p_text text) returns text[]
language plpgsql -- keeps its plan, which takes longer to make than to run
stable
parallel safe
set search_path = ''
as $$
begin
    return (
        select coalesce(array_agg(w.word order by w.number, w.part), '{}')
        from (
            select left(f.word, 40) as word, min(s.number) as number, min(f.part) as part
            from private.searched_words(left(p_text, 50000)) as s
            cross join unnest(
                coalesce(private.letter_pairs(s.word, false), array[s.word] || s.parts || s.stem)
            ) with ordinality as f (word, part)
            where f.word <> ''
            group by left(f.word, 40)
            order by min(s.number), min(f.part)
            limit 8000
        ) as w
    );
end
$$;
comment on function private.course_words_of(text) is
'The distinct words of a text for the index of courses, at most 8,000, in each of their forms; in scripts without spaces
each pair of letters.';

create function private.title_lexeme(p_title text) returns text
language sql
stable
parallel safe
set search_path = ''
as $$
    select format('''=%s''', replace(replace(private.search_text(left(p_title, 200)), '\', '\\'), '''', ''''''))
$$;
comment on function private.title_lexeme(text) is
'A lexeme for the whole title, by which a query that is a title finds it. No word begins with =.';

create function private.rank_terms(p_words text[], p_weight text) returns tsvector
language sql
immutable
parallel safe
set search_path = ''
as $$
    -- Words contain neither quotes nor backslashes: searched_words splits at them.
    select coalesce(string_agg(format('''%s'':%s%s', w.word, w.number, p_weight), ' '), '')::tsvector
    from unnest(p_words) with ordinality as w (word, number)
$$;
comment on function private.rank_terms(text[], text) is
'The words of course_words_of as a tsvector, all of one weight.';

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
    -- With the row locked, this reads the names as they are now: of two transactions that rename a category and a
    -- creator at once, the second reads both names.
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
        title_words = private.rank_terms(v_title, 'A') || private.title_lexeme(v_course.title)::tsvector,
        words = private.rank_terms(v_title, 'A') || private.rank_terms(v_about, 'B') || private.rank_terms(
            private.course_words_of(
                concat_ws(' ', v_course.description, array_to_string(v_course.objectives, ' '))
            ), 'D'
        )
    where s.course_id = p_course_id;
    -- In one order, so that two transactions with the same new words do not deadlock.
    insert into private.course_words (word)
    select w.word from unnest(v_title || v_about) as w (word)
    where char_length(w.word) >= 4
    group by w.word
    order by w.word collate "C"
    on conflict do nothing;
end
$$;
comment on function private.index_course_for_search(uuid) is
'Writes the words of a course to the index, or removes a course that is not published. For triggers.';

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
'Builds the index of courses again. For operators: after an import with triggers off, and to remove words that no course
has any more.';

create function private.tg_courses__index_for_search() returns trigger
language plpgsql
security definer -- clients may not write the index
set search_path = ''
as $$
begin
    -- The locks wait for a change of a name that is not committed yet, which does not see that the course is published;
    -- the statement has locked the categories.
    perform from public.profiles as p where p.id in (old.creator_id, new.creator_id) order by p.id for share;
    perform private.index_course_for_search(new.id);
    return null;
end
$$;
comment on function private.tg_courses__index_for_search() is
'After a course is published or withdrawn, or changes its words while it is published: writes the index.';
create trigger _240_index_for_search after insert on public.courses
for each row when (new.status = 'published') execute function private.tg_courses__index_for_search();
create trigger _240_index_change_for_search
after update of status, creator_id, category_id, title, subtitle, description, objectives, tags on public.courses
for each row when (old.status = 'published' or new.status = 'published')
execute function private.tg_courses__index_for_search();

create function private.tg_profiles__index_courses() returns trigger
language plpgsql
security definer -- clients may not write the index
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
'After a profile is renamed, hidden or shown: writes the name of the creator to the index of their courses.';
create trigger _410_index_courses after update of display_name, is_public on public.profiles
for each row when ((old.display_name, old.is_public) is distinct from (new.display_name, new.is_public))
execute function private.tg_profiles__index_courses();

create function private.tg_categories__index_courses() returns trigger
language plpgsql
security definer -- clients may not write the index
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
'After a category is renamed: writes its new name to the index of its courses.';
create trigger _410_index_courses after update of name on public.categories
for each row when (old.name is distinct from new.name) execute function private.tg_categories__index_courses();
