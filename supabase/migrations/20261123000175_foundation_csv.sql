-- Foundation: files of comma-separated values for spreadsheets.

create domain public."text/csv" as text; -- noqa: RF05
comment on domain public."text/csv" is -- noqa: RF05
'A file of comma-separated values. PostgREST sends it unchanged where the caller accepts text/csv.';

create function private.csv_cell(p_text text) returns text
language sql
immutable
parallel safe
set search_path = ''
as $$
    select '"' || replace(
        regexp_replace(
            -- A spreadsheet computes a cell that begins with one of these characters, perhaps after blanks and quotes.
            regexp_replace(
                p_text,
                concat(
                    '^[\s\u00a0\u2800\u3000"''', private.invisible_characters(),
                    ']*[=+@\-\t\r\ufe62\ufe63\ufe66\ufe6b\uff1d\uff0b\uff0d\uff20]'
                ), '''\&'
            ),
            -- A cell also begins after the separators of other locales: there, Excel splits at semicolons and ignores
            -- quotes in the middle of a line.
            concat(
                '([;|\t\r\n])([\s\u00a0\u2800\u3000"''', private.invisible_characters(),
                ']*[=+@\-\ufe62\ufe63\ufe66\ufe6b\uff1d\uff0b\uff0d\uff20])'
            ), '\1''\2', 'g'
        ),
        '"', '""'
    ) || '"'
$$;
comment on function private.csv_cell(text) is
'The text as a quoted cell (RFC 4180). An apostrophe before the first character of a formula keeps spreadsheets from
computing what a user typed.';

create function private.csv_file(p_name text, p_header text, p_lines text[])
returns public."text/csv" -- noqa: RF05
language plpgsql
set search_path = ''
as $$
begin
    perform set_config('response.headers', jsonb_build_array(
        jsonb_build_object(
            'Content-Disposition',
            format('attachment; filename="%s-%s.csv"', p_name, (now() at time zone 'UTC')::date)
        ),
        jsonb_build_object('Cache-Control', 'no-store')
    )::text, true);
    -- Excel reads a file as UTF-8 only where it begins with a byte order mark.
    return E'\ufeff' || array_to_string(array[p_header] || p_lines || array[''], E'\r\n');
end
$$;
comment on function private.csv_file(text, text, text[]) is
'A file to download, named <name>-<date>.csv: the header, then the lines, each with commas between its cells.';
