-- Learning: the kinds of questions. Each kind is a value of question_kind and two functions, found by its name:
--
--   private.question_key__<kind>(options, answer, out key, out problem): checks the options of a question and the
--   answer that its creator gives, and returns the answer as quiz_answer_keys keeps it, or the problem as the end of a
--   sentence. Its comment documents the kind for clients: quiz_questions.kind shows it.
--
--   private.question_score__<kind>(key, answer, has_partial_credit): scores the answer of a student, 0 to 1, or null
--   where it is no answer to this kind of question, which counts as not answered. It must accept any JSON.

create type public.question_kind as enum ('single', 'multiple', 'true_false', 'numeric', 'short_text');
comment on type public.question_kind is
'The kinds of questions; the comment of quiz_questions.kind says what each takes.';

create function private.options_problem(p_options jsonb) returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when jsonb_typeof(p_options) is distinct from 'array' or jsonb_array_length(p_options) not between 2 and 20
            or exists (
                select from jsonb_array_elements(p_options) as o (item)
                where jsonb_typeof(o.item) is distinct from 'object'
                    or coalesce(o.item ->> 'id', '') !~ '^[a-zA-Z0-9_-]{1,40}$'
                    or not coalesce(
                        private.is_visible(o.item ->> 'text') and char_length(o.item ->> 'text') <= 1000, false
                    )
                    or jsonb_typeof(o.item -> 'id') <> 'string'
                    or jsonb_typeof(o.item -> 'text') <> 'string'
                    -- Students read options: another key could say which one is correct.
                    or (o.item - 'id' - 'text') <> '{}'
            )
            then 'options are 2 to 20 objects of id (letters, digits, _ and -) and text, and nothing else'
        when (select count(distinct o.item -> 'id') from jsonb_array_elements(p_options) as o (item))
            < jsonb_array_length(p_options)
            then 'two options have the same id'
    end
$$;
comment on function private.options_problem(jsonb) is
'Why students cannot choose from these options; null where they can.';

-- Clients send the values of forms as strings: what is unambiguous is read in whatever form it comes.

create function private.read_text(p_value jsonb) returns text
language sql
immutable
parallel safe
set search_path = ''
as $$
    select case when jsonb_typeof(p_value) in ('string', 'number', 'boolean') then p_value #>> '{}' end
$$;
comment on function private.read_text(jsonb) is
'A string, or a number, true or false as one; null where it is neither.';

create function private.read_number(p_value jsonb) returns numeric
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
    v_text text;
begin
    if jsonb_typeof(p_value) = 'number' then
        v_text := p_value #>> '{}';
    elsif jsonb_typeof(p_value) = 'string' and char_length(p_value #>> '{}') <= 400 then
        v_text := private.fold_text(p_value #>> '{}');
        -- A decimal comma, but not 1,500, which may be a thousand and more.
        if v_text ~ '^[+-]?\d+,\d+$' and v_text !~ '^[+-]?[1-9]\d{0,2},\d{3}$' then
            v_text := replace(v_text, ',', '.');
        end if;
        if v_text !~ '^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$' then
            return null;
        end if;
    end if;
    -- An exact double has up to 1,074 decimal places, and a few bytes such as 1e99999 become many digits.
    if char_length(v_text) <= 1100 and pg_input_is_valid(v_text, 'double precision') then
        return v_text::numeric;
    end if;
    return null;
end
$$;
comment on function private.read_number(jsonb) is
'A number that JSON can carry between computers: any in the range of a double, also as a string, with a decimal comma
where that is unambiguous. Null where it is none.';

create function private.nearest_double(p_number numeric) returns numeric
language sql
immutable
parallel safe
set search_path = ''
set extra_float_digits = 1
as $$
    select p_number::double precision::text::numeric
$$;
comment on function private.nearest_double(numeric) is
'What JavaScript sends for this number: the shortest decimal of the double nearest to it.';

create function private.read_boolean(p_value jsonb) returns boolean
language sql
immutable
parallel safe
set search_path = ''
as $$
    select case
        when jsonb_typeof(p_value) = 'boolean' then p_value::boolean
        when jsonb_typeof(p_value) = 'string' and char_length(p_value #>> '{}') <= 100 then
            case private.fold_text(p_value #>> '{}') when 'true' then true when 'false' then false end
    end
$$;
comment on function private.read_boolean(jsonb) is 'True or false, also as a string; null where it is neither.';

create function private.read_choices(p_value jsonb) returns jsonb
language sql
immutable
parallel safe
set search_path = ''
as $$
    select case when bool_and(coalesce(char_length(private.read_text(c.item)) <= 40, false)) then
        jsonb_agg(private.read_text(c.item) order by c.number)
    end
    from jsonb_array_elements(
        case when jsonb_typeof(p_value) = 'array' then p_value else jsonb_build_array(p_value) end
    ) with ordinality as c (item, number)
$$;
comment on function private.read_choices(jsonb) is
'A list of ids of options, or one id, as a list of strings: ids that are digits may come as numbers. Null where it is
none, or empty.';

-- single --------------------------------------------------------------------------------------------------------------

create function private.question_key__single(p_options jsonb, p_answer jsonb, out key jsonb, out problem text)
language plpgsql
immutable
set search_path = ''
as $$
begin
    key := private.read_choices(p_answer) -> 0;
    problem := coalesce(private.options_problem(p_options), case
        when jsonb_array_length(private.read_choices(p_answer)) is distinct from 1
            or not exists (select from jsonb_array_elements(p_options) as o (item) where o.item -> 'id' = key)
            then 'the answer is the id of one option'
    end);
end
$$;
comment on function private.question_key__single(jsonb, jsonb) is
'single: one option is correct. Options: 2 to 20 of {"id": "a", "text": "..."}. Key: the id of the correct one, "a".
Answer: "a".';

create function private.question_score__single(p_key jsonb, p_answer jsonb, p_has_partial_credit boolean)
returns numeric
language plpgsql
immutable
set search_path = ''
as $$
begin
    return case
        when jsonb_array_length(private.read_choices(p_answer)) = 1
            then (p_key = private.read_choices(p_answer) -> 0)::integer
    end;
end
$$;
comment on function private.question_score__single(jsonb, jsonb, boolean) is 'Scores the id of an option.';

-- multiple ------------------------------------------------------------------------------------------------------------

create function private.question_key__multiple(p_options jsonb, p_answer jsonb, out key jsonb, out problem text)
language plpgsql
immutable
set search_path = ''
as $$
begin
    key := private.read_choices(p_answer);
    problem := coalesce(private.options_problem(p_options), case
        when key is null
            or not (select jsonb_agg(o.item -> 'id') from jsonb_array_elements(p_options) as o (item)) @> key
            then 'the answer is a list of ids of options'
    end);
end
$$;
comment on function private.question_key__multiple(jsonb, jsonb) is
'multiple: a set of options is correct. Options: as for single. Key: the ids of the correct ones, ["a", "c"]. Answer:
["a", "c"], in any order.';

create function private.question_score__multiple(p_key jsonb, p_answer jsonb, p_has_partial_credit boolean)
returns numeric
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_choices jsonb := private.read_choices(p_answer);
begin
    if v_choices is null then
        return null;
    elsif p_key @> v_choices and v_choices @> p_key then
        return 1;
    elsif not p_has_partial_credit then
        return 0;
    end if;
    return (
        select greatest(0, sum(case when p_key @> c.id then 1 else -1 end))::numeric
        from (select distinct a.item as id from jsonb_array_elements(v_choices) as a (item)) as c
    ) / (select count(distinct k.item) from jsonb_array_elements(p_key) as k (item));
end
$$;
comment on function private.question_score__multiple(jsonb, jsonb, boolean) is
'Scores ids of options as a set. With partial credit: correct ids less wrong ones, at least 0, divided by the number of
correct ids.';

-- true_false ----------------------------------------------------------------------------------------------------------

create function private.question_key__true_false(p_options jsonb, p_answer jsonb, out key jsonb, out problem text)
language plpgsql
immutable
set search_path = ''
as $$
begin
    key := to_jsonb(private.read_boolean(p_answer));
    problem := case
        when p_options is distinct from '[]' then 'a true_false question has no options'
        when key is null then 'the answer is true or false'
    end;
end
$$;
comment on function private.question_key__true_false(jsonb, jsonb) is
'true_false: a statement is true or false. Key: true or false. Answer: true or false.';

create function private.question_score__true_false(p_key jsonb, p_answer jsonb, p_has_partial_credit boolean)
returns numeric
language plpgsql
immutable
set search_path = ''
as $$
begin
    return (p_key::boolean = private.read_boolean(p_answer))::integer;
end
$$;
comment on function private.question_score__true_false(jsonb, jsonb, boolean) is 'Scores true or false.';

-- numeric -------------------------------------------------------------------------------------------------------------

create function private.question_key__numeric(p_options jsonb, p_answer jsonb, out key jsonb, out problem text)
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_tolerance numeric;
    v_min numeric;
    v_max numeric;
begin
    if jsonb_typeof(p_answer) <> 'object' then
        v_min := private.read_number(p_answer);
        v_max := v_min;
    elsif (p_answer - 'value' - 'tolerance') = '{}' then
        v_tolerance := private.read_number(p_answer -> 'tolerance');
        v_min := private.read_number(p_answer -> 'value') - v_tolerance;
        v_max := private.read_number(p_answer -> 'value') + v_tolerance;
    elsif (p_answer - 'min' - 'max') = '{}' then
        v_min := private.read_number(p_answer -> 'min');
        v_max := private.read_number(p_answer -> 'max');
    end if;
    key := jsonb_build_object('min', v_min, 'max', v_max);
    problem := case
        when p_options is distinct from '[]' then 'a numeric question has no options'
        when v_min <= v_max
            and private.read_number(key -> 'min') is not null and private.read_number(key -> 'max') is not null
            then null
        else 'the answer is a number, {"value": number, "tolerance": number} or {"min": number, "max": number}'
    end;
end
$$;
comment on function private.question_key__numeric(jsonb, jsonb) is
'numeric: a number, or any near enough. Key: 5, {"value": 3.14, "tolerance": 0.01} or {"min": 3.1, "max": 3.2}, kept as
{"min", "max"}. Answer: 3.14.';

create function private.question_score__numeric(p_key jsonb, p_answer jsonb, p_has_partial_credit boolean)
returns numeric
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_answer numeric := private.read_number(p_answer);
    v_min numeric := p_key -> 'min';
    v_max numeric := p_key -> 'max';
begin
    -- JavaScript cannot send a bound of more digits than a double has: the double nearest to the bound counts as it.
    return (
        v_answer between v_min and v_max
        or v_answer in (private.nearest_double(v_min), private.nearest_double(v_max))
    )::integer;
end
$$;
comment on function private.question_score__numeric(jsonb, jsonb, boolean) is 'Scores a number.';

-- short_text ----------------------------------------------------------------------------------------------------------

create function private.question_key__short_text(p_options jsonb, p_answer jsonb, out key jsonb, out problem text)
language plpgsql
immutable
set search_path = ''
as $$
begin
    key := (
        select jsonb_agg(private.read_text(a.item) order by a.number)
        from jsonb_array_elements(
            case when jsonb_typeof(p_answer) = 'array' then p_answer else jsonb_build_array(p_answer) end
        ) with ordinality as a (item, number)
    );
    problem := case
        when p_options is distinct from '[]' then 'a short_text question has no options'
        when key is null or jsonb_array_length(key) > 50
            or exists (
                select from jsonb_array_elements_text(key) as a (item)
                where a.item is null or char_length(a.item) > 200 or private.fold_text(a.item) = ''
            )
            then 'the answer is a text, or a list of up to 50, of up to 200 characters'
    end;
end
$$;
comment on function private.question_key__short_text(jsonb, jsonb) is
'short_text: a word or a few, in any script; case, spaces and differences of look alone (kinds of apostrophes, dashes
and quotation marks, invisible characters) do not matter. Key: a text or a list of
all that are accepted, ["Lisbon", "Lisboa"]. Answer: "Lisbon".';

create function private.question_score__short_text(p_key jsonb, p_answer jsonb, p_has_partial_credit boolean)
returns numeric
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_answer text := private.read_text(p_answer);
begin
    if v_answer is null or char_length(v_answer) not between 1 and 1000 then
        return null;
    end if;
    v_answer := private.fold_text(v_answer);
    return exists (
        select from jsonb_array_elements_text(p_key) as k (item) where private.fold_text(k.item) = v_answer
    )::integer;
end
$$;
comment on function private.question_score__short_text(jsonb, jsonb, boolean) is 'Scores a text.';

-- What the rest of learning calls -------------------------------------------------------------------------------------

create function private.question_key(
    p_kind public.question_kind, p_options jsonb, p_answer jsonb, out key jsonb, out problem text
)
language plpgsql
immutable
set search_path = ''
as $$
begin
    if p_kind is not null then
        execute format('select k.key, k.problem from private.%I($1, $2) as k', 'question_key__' || p_kind)
        into key, problem using p_options, p_answer;
    end if;
end
$$;
comment on function private.question_key(public.question_kind, jsonb, jsonb) is
'The key of a question of this kind as quiz_answer_keys keeps it, or the problem with its options or answer. Nulls
without a kind, which the column refuses.';

create function private.score_answers(p_version_ids uuid[], p_answers jsonb, p_has_partial_credit boolean)
returns table (version_id uuid, score numeric)
language plpgsql
stable
set search_path = ''
as $$
declare
    v_kind public.question_kind;
begin
    for v_kind in
        select distinct v.kind from private.quiz_question_versions as v where v.id = any(p_version_ids)
    loop
        return query execute format(
            'select v.id, private.%I(v.answer, $2 -> v.question_id::text, $3)
            from private.quiz_question_versions as v
            where v.id = any($1) and v.kind = $4', 'question_score__' || v_kind
        ) using p_version_ids, p_answers, p_has_partial_credit, v_kind;
    end loop;
end
$$;
comment on function private.score_answers(uuid[], jsonb, boolean) is
'Scores the answers {"<question id>": answer} by the keys of these versions of questions: 0 to 1, or null where a
question is not answered, or the answer does not fit its kind.';
