-- The API of commerce: each function, the roles that may call it, and its tier of rate limits.

select private.expose('private.publish_product(uuid)', '{authenticated}', 'standard');
select private.expose('private.archive_product(uuid)', '{authenticated}', 'standard');
select private.expose('private.retire_product_file(uuid)', '{authenticated}', 'standard');
select private.expose('private.replace_product_file(uuid, text, bigint, text)', '{authenticated}', 'standard');
select private.expose('private.publish_offer(uuid)', '{authenticated}', 'standard');
select private.expose('private.archive_offer(uuid)', '{authenticated}', 'standard');
select private.expose(
    'private.place_order(uuid, uuid, integer, bigint, text, uuid, jsonb)',
    '{authenticated}', 'strict'
);
select private.expose('private.cancel_order(uuid)', '{authenticated}', 'standard');
select private.expose('private.refund_order(uuid, bigint, text)', '{authenticated}', 'strict');
select private.expose('private.mark_order_paid(uuid, text)', '{authenticated}', 'strict');
select private.expose('private.deliver_order(uuid, text)', '{authenticated}', 'standard');
select private.expose('private.order_files(uuid, public.file_type)', '{authenticated}', 'standard');
select private.expose('private.verify_licence(text)', '{anon, authenticated}', 'standard');
select private.expose('private.order_document(uuid)', '{authenticated}', 'standard');
select private.expose('private.sync_offer(uuid)', '{authenticated}', 'strict');
select private.expose('private.bind_course_price(uuid, text, text)', '{authenticated}', 'strict');
select private.expose('private.request_payout(text, bigint)', '{authenticated}', 'strict');
select private.expose('private.approve_payouts(uuid[])', '{authenticated}', 'strict');
select private.expose('private.process_payouts(uuid[])', '{authenticated}', 'strict');
select private.expose('private.cancel_payout(uuid)', '{authenticated}', 'strict');

-- Helpers of policies and views.
grant execute on function private.my_product_ids() to authenticated;
grant execute on function private.my_bought_file_ids() to authenticated;
grant execute on function private.my_bought_paths() to authenticated;
grant execute on function private.reconciliation() to authenticated;

-- The edge: checkout, onboarding and the browser's return.
grant execute on function private.checkout_payload(uuid) to edge;
grant execute on function private.bind_stripe_object(text, text, uuid) to edge;
grant execute on function private.bind_session(text, uuid, text) to edge;
grant execute on function private.stripe_id_of(text, uuid) to edge;
grant execute on function private.stripe_observed_at(text) to edge;
grant execute on function private.stripe_attempt(text, text) to edge;
grant execute on function private.renew_stripe_attempt(text, text, integer) to edge;
grant execute on function private.drop_stripe_id(text, text) to edge;
grant execute on function private.payout_account_payload(uuid) to edge;
grant execute on function private.bind_payout_account(uuid, text) to edge;
grant execute on function private.apply_stripe_object(jsonb, timestamptz) to edge;
grant execute on function private.require_resumable(uuid, uuid) to edge;
grant execute on function private.require_price_binder(uuid) to edge;
grant execute on function private.record_stripe_price(jsonb) to edge;

-- The worker: requests to Stripe.
grant execute on function private.stripe_observed_at(text) to worker;
grant execute on function private.offer_payload(uuid) to worker;
grant execute on function private.refund_payload(uuid) to worker;
grant execute on function private.payout_payload(uuid) to worker;
grant execute on function private.renewal_payload(uuid) to worker;
grant execute on function private.record_refund_result(uuid, public.refund_status) to worker;
grant execute on function private.try_fulfilment(uuid) to worker;
grant execute on function private.record_payout_result(uuid, text, text, text) to worker;
grant execute on function private.record_stripe_transfer(uuid, jsonb) to worker;
grant execute on function private.record_stripe_balance(jsonb) to worker;
grant execute on function private.stripe_attempt(text, text) to worker;
grant execute on function private.renew_stripe_attempt(text, text, integer) to worker;
grant execute on function private.drop_stripe_id(text, text) to worker;
grant execute on function private.bind_stripe_object(text, text, uuid) to worker;
grant execute on function private.apply_stripe_object(jsonb, timestamptz) to worker;
grant execute on function private.upsert_balance_transactions(jsonb) to worker;
grant execute on function private.newest_balance_transaction() to worker;
