-- Foundation: codes that people read out and type in.

create function private.new_code() returns text
language sql
set search_path = ''
as $$
    select upper(regexp_replace(encode(extensions.gen_random_bytes(10), 'hex'), '(.{4})(?=.)', '\1-', 'g'))
$$;
comment on function private.new_code() is
'A random code of 80 bits, which nobody guesses: five groups of four hexadecimal digits, such as
1A2B-3C4D-5E6F-7A8B-9C0D.';
