-- Foundation: slugs, the names in web addresses that are made of titles.

create function private.transliterate(p_text text) returns text
language sql
stable
parallel safe
set search_path = ''
as $$
    select coalesce(string_agg(
        case
            when t.code < 128 then t.letter
            when t.letter collate "pg_catalog"."pg_c_utf8" ~ '[[:punct:][:space:]]' then ' '
            when t.code between x'3400'::integer and x'9fff'::integer -- a Chinese character is a word
                then format(' %s ', b.letters[t.code % 256 + 1])
            else b.letters[t.code % 256 + 1]
        end, '' order by t.number
    ), '')
    from (
        select l.letter, l.number, ascii(l.letter) as code
        from string_to_table(normalize(private.fold_text(p_text), nfkc), null) with ordinality as l (letter, number)
    ) as t
    left join private.transliterations as b on b.block = t.code / 256
$$;
comment on function private.transliterate(text) is
'The text in lower case with the letters of every script spelled in ASCII; other characters become spaces.';

create function private.slugify(p_text text) returns text
language sql
stable
parallel safe
set search_path = ''
as $$
    select trim(both '-' from left(
        trim(both '-' from regexp_replace(private.transliterate(p_text), '[^a-z0-9]+', '-', 'g')), 60
    ))
$$;
comment on function private.slugify(text) is
'The text as a part of a URL: lower-case letters, digits and hyphens, in ASCII, at most 60 characters; empty where
nothing of it remains, as of pictures alone.';
