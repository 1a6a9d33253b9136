-- Commerce: which currencies are sold in, and how small their smallest unit is.

create table private.currencies (
    code text constraint currencies_pkey primary key constraint currencies_code_check check (code ~ '^[A-Z]{3}$'),
    decimals integer not null constraint currencies_decimals_check check (decimals in (0, 2, 3)),
    minimum_amount bigint not null constraint currencies_minimum_amount_check check (minimum_amount > 0),
    -- Of three decimals the payment provider takes only two.
    step bigint not null generated always as (case decimals when 3 then 10 else 1 end) stored
);
comment on table private.currencies is
'The currencies that can be paid in. Zero and three decimals as Stripe has them (docs: currencies).';
comment on column private.currencies.code is 'ISO 4217, upper case.';
comment on column private.currencies.decimals is
'How many decimals an amount of the currency is shown with: amounts are integers, of the smallest unit.';
comment on column private.currencies.minimum_amount is 'The least that the payment provider charges.';
comment on column private.currencies.step is 'What every amount that is charged is a multiple of.';
alter table private.currencies enable row level security;
insert into private.currencies (code, decimals, minimum_amount)
values
('AED', 2, 200), ('ARS', 2, 50000), ('AUD', 2, 50), ('BGN', 2, 100), ('BHD', 3, 200), ('BRL', 2, 50), ('CAD', 2, 50),
('CHF', 2, 50), ('CLP', 0, 500), ('COP', 2, 200000), ('CZK', 2, 1500), ('DKK', 2, 250), ('EGP', 2, 2500),
('EUR', 2, 50), ('GBP', 2, 30), ('GHS', 2, 600), ('HKD', 2, 400), ('HUF', 2, 17500), ('IDR', 2, 800000),
('ILS', 2, 200), ('INR', 2, 50), ('ISK', 2, 7000), ('JOD', 3, 350), ('JPY', 0, 50), ('KES', 2, 6500), ('KRW', 0, 700),
('KWD', 3, 150), ('MAD', 2, 500), ('MXN', 2, 1000), ('MYR', 2, 200), ('NGN', 2, 80000), ('NOK', 2, 300),
('NZD', 2, 50), ('OMR', 3, 200), ('PEN', 2, 200), ('PHP', 2, 3000), ('PLN', 2, 200), ('PYG', 0, 4000),
('QAR', 2, 200), ('RON', 2, 200), ('RSD', 2, 6000), ('SAR', 2, 200), ('SEK', 2, 300), ('SGD', 2, 50),
('THB', 2, 1000), ('TND', 3, 1600), ('TRY', 2, 2000), ('TWD', 2, 1600), ('TZS', 2, 130000), ('UAH', 2, 2200),
('UGX', 2, 190000), ('USD', 2, 50), ('UYU', 2, 2000), ('VND', 0, 13000), ('XAF', 0, 300), ('XOF', 0, 300),
('ZAR', 2, 1000);

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
        raise sqlstate 'PT422' using
            message = 'currency_unsupported',
            detail = format('Nothing can be paid in %s.', coalesce(p_currency, 'no currency')),
            hint = 'Ask the seller for another currency.';
    elsif p_amount < v_currency.minimum_amount then
        raise sqlstate 'PT422' using
            message = 'amount_too_small',
            detail = format('The least that can be paid is %s minor units of %s.', v_currency.minimum_amount, p_currency),
            hint = 'Send a larger amount.';
    elsif p_amount > 99999999 or p_amount % v_currency.step <> 0 then
        raise sqlstate 'PT422' using
            message = 'amount_unpayable',
            detail = format(
                'An amount of %s is at most 99999999 minor units, in steps of %s.', p_currency, v_currency.step
            ),
            hint = 'Send another amount.';
    end if;
end
$$;
comment on function private.require_payable(bigint, text) is
'Refuses an amount, in minor units, that the payment provider would not charge. Raises PT422 currency_unsupported,
amount_too_small or amount_unpayable.';
