grant execute on function private.place_order(uuid, uuid, integer, bigint, text, uuid, jsonb) to authenticated;
grant execute on function public.place_order(uuid, uuid, integer, bigint, text, uuid, jsonb) to authenticated;
grant execute on function private.cancel_order(uuid) to authenticated;
grant execute on function public.cancel_order(uuid) to authenticated;
grant execute on function private.settle_order(uuid, text) to authenticated;
grant execute on function public.settle_order(uuid, text) to authenticated;
grant execute on function private.publish_offer(uuid) to authenticated;
grant execute on function public.publish_offer(uuid) to authenticated;
grant execute on function private.archive_offer(uuid) to authenticated;
grant execute on function public.archive_offer(uuid) to authenticated;
grant execute on function private.sync_offer(uuid) to authenticated;
grant execute on function public.sync_offer(uuid) to authenticated;
grant execute on function private.deliver_order(uuid, text) to authenticated;
grant execute on function public.deliver_order(uuid, text) to authenticated;
grant execute on function private.request_payout(text, bigint) to authenticated;
grant execute on function public.request_payout(text, bigint) to authenticated;
grant execute on function private.approve_payouts(uuid[]) to authenticated;
grant execute on function public.approve_payouts(uuid[]) to authenticated;
grant execute on function private.process_payouts(uuid[]) to authenticated;
grant execute on function public.process_payouts(uuid[]) to authenticated;
grant execute on function private.cancel_payout(uuid) to authenticated;
grant execute on function public.cancel_payout(uuid) to authenticated;
grant execute on function private.replay_webhook(text, text) to authenticated;
grant execute on function public.replay_webhook(text, text) to authenticated;
grant execute on function private.begin_refund(uuid, bigint, text) to authenticated;
grant execute on function public.refund_order(uuid, bigint, text) to authenticated;
grant execute on function private.failed_webhooks() to authenticated;

-- The edge: checkout, onboarding, the browser's return.
grant execute on function private.checkout_brief(uuid) to edge;
grant execute on function private.bind_stripe_object(text, text, uuid) to edge;
grant execute on function private.stripe_id(text, uuid) to edge;
grant execute on function private.stripe_as_of(text) to edge;
grant execute on function private.payout_account_brief(uuid) to edge;
grant execute on function private.bind_payout_account(uuid, text) to edge;
grant execute on function private.apply_stripe_object(jsonb, timestamptz) to edge;

-- The worker: what Stripe is asked in the background.
grant execute on function private.stripe_as_of(text) to worker;
grant execute on function private.offer_brief(uuid) to worker;
grant execute on function private.refund_brief(uuid) to worker;
grant execute on function private.payout_brief(uuid) to worker;
grant execute on function private.settle_refund(uuid, public.refund_status) to worker;
grant execute on function private.settle_payout(uuid, text, text) to worker;
grant execute on function private.bind_stripe_object(text, text, uuid) to worker;
grant execute on function private.apply_stripe_object(jsonb, timestamptz) to worker;
grant execute on function private.purge_expired_orders() to worker;
