-- Commerce: what the end of an account changes at Stripe.

create function private.renewal_payload(p_subscription_id uuid) returns jsonb
language sql
stable
security definer -- the worker may read no table
set search_path = ''
as $$
    select jsonb_build_object(
        'subscription', private.stripe_id_of('subscription', p_subscription_id),
        'is_paused', r.is_paused,
        'must_end', r.must_end
    )
    from private.renewals_of(p_subscription_id) as r
    where r.is_paused is not null and private.stripe_id_of('subscription', p_subscription_id) is not null
$$;
comment on function private.renewal_payload(uuid) is
'How a subscription at Stripe is to renew: {subscription (its id at Stripe), is_paused, must_end}; null for one that has
ended. For the worker.';
