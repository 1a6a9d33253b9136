-- Commerce: the currencies that the payment providers charge, and their smallest units.

insert into private.errors (token, status, meaning, hint, detail)
values
(
    'amount_too_small', 422,
    'The amount is smaller than the payment provider charges or pays out.',
    'Send a larger amount.',
    'The smallest amount is %s minor units of %s.'
),
(
    'amount_unpayable', 422,
    'The amount is too large, or not a multiple of the step in which the currency is charged.',
    'Send another amount.',
    'An amount in %s is at most %s minor units, in steps of %s.'
),
(
    'currency_unsupported', 422,
    'Nothing can be paid in this currency.',
    'Use another currency.',
    'Nothing can be paid in %s.'
);

create table private.currencies (
    code text constraint currencies_pkey primary key constraint currencies_code_check check (code ~ '^[A-Z]{3}$'),
    decimals integer not null constraint currencies_decimals_check check (decimals in (0, 2, 3)),
    minimum_amount bigint not null constraint currencies_minimum_amount_check check (minimum_amount > 0),
    maximum_amount bigint not null default 99999999
    constraint currencies_maximum_amount_check check (maximum_amount between minimum_amount and 999999999999),
    step bigint not null default 1 constraint currencies_step_check check (step in (1, 10, 100)),
    constraint currencies_multiples_check
    check (minimum_amount % step = 0 and case decimals when 3 then step = 10 when 0 then step = 1 else true end)
);
comment on table private.currencies is
'The currencies that can be charged, with the decimals and the limits of Stripe (docs: currencies).';
comment on column private.currencies.code is 'ISO 4217, upper case.';
comment on column private.currencies.decimals is
'The decimals of a displayed amount; amounts themselves are integers in the smallest unit.';
comment on column private.currencies.minimum_amount is 'The least that a payment provider charges, in minor units.';
comment on column private.currencies.maximum_amount is
'The most that a payment provider charges or transfers at once, in minor units.';
comment on column private.currencies.step is
'Every amount that is charged, refunded or transferred is a multiple of this, in minor units: Stripe takes two of three
decimals, and no decimals of ISK and UGX, whose amounts it still wants in hundredths.';
alter table private.currencies enable row level security;
insert into private.currencies (code, decimals, minimum_amount, maximum_amount, step)
select
    t.code,
    t.decimals,
    t.minimum_amount,
    case t.code
        when 'COP' then 9999999999
        when 'HUF' then 9999999999
        when 'IDR' then 999999999999
        when 'JPY' then 9999999999
        else 99999999
    end,
    case when t.decimals = 3 then 10 when t.code in ('ISK', 'UGX') then 100 else 1 end
from (
    values
    ('AED', 2, 200), ('ARS', 2, 50000), ('AUD', 2, 50), ('BGN', 2, 100), ('BHD', 3, 200), ('BRL', 2, 50),
    ('CAD', 2, 50), ('CHF', 2, 50), ('CLP', 0, 500), ('COP', 2, 200000), ('CZK', 2, 1500), ('DKK', 2, 250),
    ('EGP', 2, 2500), ('EUR', 2, 50), ('GBP', 2, 30), ('GHS', 2, 600), ('HKD', 2, 400), ('HUF', 2, 17500),
    ('IDR', 2, 800000), ('ILS', 2, 200), ('INR', 2, 50), ('ISK', 2, 7000), ('JOD', 3, 350), ('JPY', 0, 50),
    ('KES', 2, 6500), ('KRW', 0, 700), ('KWD', 3, 150), ('MAD', 2, 500), ('MXN', 2, 1000), ('MYR', 2, 200),
    ('NGN', 2, 80000), ('NOK', 2, 300), ('NZD', 2, 50), ('OMR', 3, 200), ('PEN', 2, 200), ('PHP', 2, 3000),
    ('PLN', 2, 200), ('PYG', 0, 4000), ('QAR', 2, 200), ('RON', 2, 200), ('RSD', 2, 6000), ('SAR', 2, 200),
    ('SEK', 2, 300), ('SGD', 2, 50), ('THB', 2, 1000), ('TND', 3, 1600), ('TRY', 2, 2000), ('TWD', 2, 1600),
    ('TZS', 2, 130000), ('UAH', 2, 2200), ('UGX', 2, 190000), ('USD', 2, 50), ('UYU', 2, 2000),
    ('VND', 0, 13000), ('XAF', 0, 300), ('XOF', 0, 300), ('ZAR', 2, 1000)
) as t (code, decimals, minimum_amount);

create function private.rounded_down(p_amount bigint, p_currency text) returns bigint
language sql
stable
security definer -- the currencies are closed
set search_path = ''
as $$
    select p_amount - p_amount % coalesce((select c.step from private.currencies as c where c.code = p_currency), 1)
$$;
comment on function private.rounded_down(bigint, text) is
'An amount in minor units, rounded towards zero to what a payment provider charges, refunds or transfers.';

create function private.chargeable_discount(p_discount bigint, p_subtotal bigint, p_currency text) returns bigint
language sql
stable
security definer -- the currencies are closed
set search_path = ''
as $$
    select case
        when p_discount >= p_subtotal then p_subtotal
        else greatest(
            least(
                private.rounded_down(p_discount, p_currency),
                p_subtotal - coalesce(
                    (select c.minimum_amount from private.currencies as c where c.code = p_currency), 0
                )
            ),
            0
        )
    end
$$;
comment on function private.chargeable_discount(bigint, bigint, text) is
'What is taken off a price, in minor units, where this discount is granted: all of it, or so much less that the rest can
be charged.';

create function private.require_payable(p_amount bigint, p_currency text) returns void
language plpgsql
stable
set search_path = ''
as $$
declare
    v_currency private.currencies;
begin
    select c.* into v_currency from private.currencies as c where c.code = p_currency;
    if not found then
        perform private.refuse('currency_unsupported', coalesce(p_currency, 'no currency')::text);
    elsif p_amount < v_currency.minimum_amount then
        perform private.refuse('amount_too_small', v_currency.minimum_amount::text, p_currency::text);
    elsif p_amount > v_currency.maximum_amount or p_amount % v_currency.step <> 0 then
        perform private.refuse(
            'amount_unpayable', p_currency::text, v_currency.maximum_amount::text, v_currency.step::text
        );
    end if;
end
$$;
comment on function private.require_payable(bigint, text) is
'Refuses an amount, in minor units, that a payment provider would not charge. Raises PT422 currency_unsupported,
amount_too_small or amount_unpayable.';

create function private.require_step(p_amount bigint, p_currency text) returns void
language plpgsql
stable
security definer -- the currencies are closed
set search_path = ''
as $$
begin
    perform private.refuse('amount_unpayable', p_currency::text, c.maximum_amount::text, c.step::text)
    from private.currencies as c
    where c.code = p_currency and p_amount % c.step <> 0;
end
$$;
comment on function private.require_step(bigint, text) is
'Refuses a part of an amount, in minor units, that a payment provider could not move. Raises PT422 amount_unpayable.';

create function private.format_amount(p_amount bigint, p_currency text) returns text
language plpgsql -- every payment calls this: a SQL function would be planned each time
stable
security definer -- the currencies are closed
set search_path = ''
as $$
begin
    return (
        select trim(to_char(
            p_amount / 10 ^ c.decimals,
            'FM999999999990' || case c.decimals when 0 then '' else '.' || repeat('0', c.decimals) end
        )) || ' ' || c.code
        from private.currencies as c
        where c.code = p_currency
    );
end
$$;
comment on function private.format_amount(bigint, text) is
'An amount in minor units for people: 1234 EUR is 12.34 EUR.';
