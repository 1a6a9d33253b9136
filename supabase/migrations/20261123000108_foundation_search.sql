-- Foundation: how texts and queries are cut into words. Every search uses it, so that a word is found in whatever
-- spelling it is typed.

create function private.search_text(p_text text) returns text
language sql
stable
parallel safe
set search_path = ''
as $$
    -- Raised and lowered characters come to the line: people type h2o and x2.
    select lower(extensions.unaccent('extensions.unaccent', translate(
        normalize(
            -- People do not type combining accents, nor vowel points and the long stroke of Hebrew and Arabic.
            regexp_replace(
                normalize(normalize(private.fold_text(p_text), nfkc), nfd),
                '[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670'
                '\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]', '', 'g'
            ), nfc
        ),
        -- Arabic letters that are written one for the other, or have a form of their own in Persian.
        U&'\0671\0629\0649\06CC\06A9', U&'\0627\0647\064A\064A\0643'
    )))
$$;
comment on function private.search_text(text) is
'The text as it is searched: private.fold_text, without accents and vowel points.';

create function private.searched_words(p_text text)
returns table (number bigint, word text, parts text[], stem text)
language plpgsql -- keeps its plan, which takes longer to make than to run
stable
parallel safe
set search_path = ''
rows 10
as $$
begin
    return query
    -- Four private characters stand for what belongs to a word although it is punctuation, until the words are cut:
    -- E000 + and E001 # after a word (C++, C#), E002 an apostrophe and E003 a hyphen, dot or ampersand within one.
    with marked as (
        select regexp_replace(regexp_replace(regexp_replace(regexp_replace(
            translate(private.search_text(p_text), U&'\E000\E001\E002\E003', '') collate "pg_catalog"."pg_c_utf8",
            '(?<=[^[:space:][:punct:]])[''"](?=[^[:space:][:punct:]])', U&'\E002', 'g'),
            '(?<=[^[:space:][:punct:]])[-.&\u00b7](?=[^[:space:][:punct:]])', U&'\E003', 'g'),
            '(?<=[[:alnum:]]\+*)\+(?=\+*($|[[:space:][:punct:]]))', U&'\E000', 'g'),
            '(?<=[[:alnum:]])#(?=$|[[:space:][:punct:]])', U&'\E001', 'g'
        ) as line
    ),
    tokens as (
        select s.token, s.number
        from marked as m
        cross join regexp_split_to_table(
            -- Separates scripts that put no space between words from those that do.
            regexp_replace(
                m.line,
                '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+)', ' \1 ', 'g'
            ),
            -- Space, punctuation and pictures separate words.
            '[[:space:][:punct:][:cntrl:]\u2190-\u2bff\U0001f000-\U0001faff]+'
        ) with ordinality as s (token, number)
    ),
    words as (
        select
            t.number, translate(t.token, U&'\E000\E001\E002\E003', '+#') as word,
            array(
                select translate(p.part, U&'\E000\E001', '+#')
                from regexp_split_to_table(t.token, '[\ue002\ue003]') with ordinality as p (part, number)
                where t.token ~ '[\ue002\ue003]' and char_length(p.part) > 1
                order by p.number
            ) as parts
        from tokens as t
    )
    select
        w.number, w.word, w.parts,
        case
            when w.word ~ '[+#]$' then rtrim(w.word, '+#')
            -- The Arabic article, alone and after the words that are written together with it.
            when w.word ~ '^[\u0648\u0641\u0628\u0643]?\u0627\u0644..' or w.word ~ '^\u0644\u0644..'
                then regexp_replace(w.word, '^(?:[\u0648\u0641\u0628\u0643]?\u0627\u0644|\u0644\u0644)', '')
        end
    from words as w
    where w.word <> ''
    order by w.number;
end
$$;
comment on function private.searched_words(text) is
'The words of a text, in order. word: as one word, without apostrophes and hyphens (lart, wifi, c++). parts: what these
separate, of two letters or more (art; wi, fi). stem: the word without the Arabic article, or without + and #.';
