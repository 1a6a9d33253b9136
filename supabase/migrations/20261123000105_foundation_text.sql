-- Foundation: how texts that people type are compared, and what may be a name.
--
-- private.fold_text is the one definition of "the same text": answers, codes, handles, topics, slugs and search use it,
-- and no other place has a list of quotes, dashes or invisible characters. tests/foundation/test_text.py derives the
-- lists from Unicode's tables, and compares every assigned code point.

create function private.invisible_characters() returns text
language sql
immutable
parallel safe
set search_path = ''
as $$
    select
        '\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f'
        '\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a'
        '\U000e0000-\U000e0fff'
$$;
comment on function private.invisible_characters() is
'The characters that show nothing and are no space, as a list for the brackets of a regular expression: Unicode''s
Default_Ignorable_Code_Point, annotation marks, and two fillers.';

create function private.is_visible(p_text text) returns boolean
language sql
immutable
parallel safe
set search_path = ''
as $$
    select p_text ~ concat('[^\s\u0001-\u001f\u007f-\u00a0\u2800', private.invisible_characters(), ']')
$$;
comment on function private.is_visible(text) is 'Whether anything of the text is seen.';

create function private.normalise_compatible(p_text text) returns text
language sql
immutable
strict
parallel safe
set search_path = ''
as $$
    select coalesce(string_agg(coalesce(p.piece[2], normalize(p.piece[1], nfkc)), '' order by p.number), '')
    from regexp_matches(
        p_text,
        '([^'
        '\u00aa\u00b2\u00b3\u00b9\u00ba\u02b0-\u02b8\u02e0-\u02e4\u10fc\u1d2c-\u1d2e\u1d30-\u1d3a\u1d3c-\u1d4d'
        '\u1d4f-\u1d6a\u1d78\u1d9b-\u1dbf\u2070\u2071\u2074-\u208e\u2090-\u209c\u2120\u2122\u2c7c\u2c7d'
        '\u2d6f\u3192-\u319f\u3378\u3379\u339f-\u33a6\u33a8\u33af\ua69c\ua69d\ua770\ua7f2-\ua7f4\ua7f8'
        '\ua7f9\uab5c-\uab5f\uab69\U00010781-\U00010785\U00010787-\U000107b0\U000107b2-\U000107ba'
        '\U0001f16a-\U0001f16c'
        ']+)|(.)', 'g'
    ) with ordinality as p (piece, number)
$$;
comment on function private.normalise_compatible(text) is
'The text in Unicode NFKC, except characters that NFKC would lower or raise to the line (x² is not x2, log₂8 is not
log28, pʰ is not ph): these stay.';

create function private.fold_text(p_text text) returns text
language plpgsql
immutable
strict
parallel safe
set search_path = ''
as $$
declare
    v_text text := regexp_replace(p_text, '[' || private.invisible_characters() || ']+', '', 'g');
begin
    if v_text !~ '[^\u0020-\u007e]' then
        return btrim(regexp_replace(translate(lower(v_text), '`', ''''), ' +', ' ', 'g')); -- ASCII
    end if;
    -- NFKC writes the acute accent, which many type for an apostrophe, as a space and a combining accent.
    v_text := translate(v_text, U&'\00B4\1FFD', '''''');
    -- Circled characters and fractions become a word of their own: 1½ is not 11/2, and 2① is not 21.
    v_text := regexp_replace(
        v_text,
        '(['
        '\u00bc-\u00be\u2150-\u215e\u2189\u2460-\u2473\u24b6-\u24ea\u3244-\u3247\u3251-\u327e\u3280-\u32bf'
        '\u32d0-\u32fe\U0001f12b-\U0001f12e\U0001f250\U0001f251'
        '])', ' \1 ', 'g'
    );
    v_text := private.normalise_compatible(replace(v_text, U&'\215F', U&' \215F'));
    -- Full case folding. lower() maps letters one to one, by the tables of Postgres, not of the operating system; what
    -- folds to more letters, and small letters that fold to another small letter, come after it.
    v_text := lower(v_text collate "pg_catalog"."pg_c_utf8");
    v_text := replace(translate(
        v_text,
        U&'\03C2\1C80\1C81\1C82\1C83\1C84\1C85\1C86\1C87\1C88',
        U&'\03C3\0432\0434\043E\0441\0442\0442\044A\0463\A64B'
    ), U&'\00DF', 'ss');
    v_text := regexp_replace(v_text, 'i\u0307+', 'i', 'g'); -- the dot of the Turkish İ
    if v_text ~ '[\u0345\u1f80-\u1fff]' then -- the Greek iota subscript
        v_text := replace(normalize(v_text, nfd), U&'\0345', U&'\03B9');
    end if;
    v_text := normalize(v_text, nfc);
    -- Dashes (Unicode's Dash), what stands for an apostrophe, quotation marks (Quotation_Mark), the fraction slash.
    v_text := translate(
        regexp_replace(
            regexp_replace(
                v_text,
                '['
                '\u058a\u05be\u1400\u1806\u2010\u2012-\u2015\u2053\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40'
                '\u2e5d\u301c\u3030\u30a0\U00010d6e\U00010ead'
                ']', '-', 'g'
            ),
            '[`\u02b9\u02bb\u02bc\u055a\u05f3\u07f4\u07f5\u2018-\u201b\u2032\u2035\u2039\u203a]', '''', 'g'
        ),
        U&'\00AB\00BB\05F4\201C\201D\201E\201F\2E42\300C\300D\300E\300F\301D\301E\301F\2044',
        '"""""""""""""""/'
    );
    -- Unicode's White_Space, other control characters, and the empty Braille cell.
    return btrim(regexp_replace(
        v_text,
        '[\u0001-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2800\u3000]+', ' ', 'g'
    ));
end
$$;
comment on function private.fold_text(text) is
'The text as it is compared: texts that differ by look alone become equal, and no others. Unicode NFKC and full case
folding; one kind of dash, apostrophe, quotation mark and space; without invisible characters. Accents count (café is
not cafe), letters of different scripts that look alike differ, dotless ı is not i, and raised or lowered characters
differ from those on the line (x² is not x2). ½ is 1/2, and ① is 1, as a word of its own.';

create function private.fold_code(p_code text) returns text
language sql
immutable
strict
parallel safe
set search_path = ''
as $$
    select upper(replace(private.fold_text(p_code), ' ', '') collate "pg_catalog"."pg_c_utf8")
$$;
comment on function private.fold_code(text) is
'A code as somebody types or pastes it, in the form in which codes are stored: upper case, plain hyphens, without spaces
and invisible characters; null for null.';

create function private.is_line(p_text text, p_length integer) returns boolean
language sql
immutable
parallel safe
set search_path = ''
as $$
    select char_length(p_text) <= p_length
        -- no control characters, line breaks or characters that change the direction of text
        and p_text !~ '[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]'
$$;
comment on function private.is_line(text, integer) is
'Whether the text is one line of at most this many characters, none of which changes the direction of text.';

create function private.is_name(p_text text, p_length integer default 120) returns boolean
language sql
immutable
parallel safe
set search_path = ''
as $$
    select private.is_line(p_text, p_length) and private.is_visible(p_text)
$$;
comment on function private.is_name(text, integer) is
'Whether the text can be a name or a title: one line of at most this many characters, of which some are visible.';

create function private.are_names(p_texts text[], p_length integer) returns boolean
language sql
immutable
parallel safe
set search_path = ''
as $$
    select coalesce(bool_and(private.is_name(t.item, p_length)), true) from unnest(p_texts) as t (item)
$$;
comment on function private.are_names(text[], integer) is 'Whether each of the texts can be a name.';

create function private.clean_name(p_text text) returns text
language sql
immutable
set search_path = ''
as $$
    select n.name
    from (
        select btrim(left(btrim(regexp_replace(
            regexp_replace(normalize(p_text, nfc), '[\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]', '', 'g'),
            '[\s\u0001-\u001f\u007f-\u009f]+', ' ', 'g'
        )), 120)) as name
    ) as n
    where private.is_name(n.name)
$$;
comment on function private.clean_name(text) is
'The text with what a name may not contain removed, for names from elsewhere that must not be refused; null where
nothing visible remains.';
