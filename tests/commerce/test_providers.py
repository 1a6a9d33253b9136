"""Payment providers: a second one needs no change of what Stripe and the rest of commerce have."""

from tests.commerce.additions import extended
from tests.databases import Databases
from tests.people import Academy

NEW_PROVIDER = """
    insert into private.payment_providers (provider, is_remote) values ('acme', true);

    create table private.acme_requests (task text not null, subject text not null);

    create function private.send_to_acme(p_task text, p_subject text) returns void
    language sql
    set search_path = ''
    as $$ insert into private.acme_requests (task, subject) values (p_task, p_subject) $$;

    create function private.apply_acme_event(p_type text, p_payload jsonb) returns boolean
    language plpgsql
    set search_path = ''
    as $$
    begin
        if p_type = 'opened' then
            perform private.bind_reference(
                'acme', 'session', p_payload ->> 'page', (p_payload ->> 'order')::uuid
            );
        elsif p_type = 'paid' then
            perform private.receive_payment(
                (p_payload ->> 'order')::uuid, 'acme', p_payload ->> 'id', (p_payload ->> 'cents')::bigint, 'EUR'
            );
        elsif p_type = 'refunded' then
            return (private.record_refund_result((p_payload ->> 'refund')::uuid, 'succeeded')).status = 'succeeded';
        elsif p_type = 'surplus refunded' then
            return private.record_surplus_refund(
                'acme', p_payload ->> 'id', p_payload ->> 'refund', (p_payload ->> 'cents')::bigint, true
            );
        elsif p_type = 'disputed' then
            return private.record_dispute_result(
                'acme', p_payload ->> 'id', (p_payload ->> 'order')::uuid, (p_payload ->> 'cents')::bigint, 'theft',
                'open', now()
            );
        end if;
        return true;
    end
    $$;
"""
"""A provider as one migration adds it."""


def test_a_second_provider_is_one_migration(academy: Academy, databases: Databases) -> None:
    with extended(academy, databases, NEW_PROVIDER) as database:
        seller, buyer, admin = database.member("teacher"), database.member(), database.member("admin")
        insert = (
            "insert into public.offers (kind, title, price_amount) values ('service', 'X', 2000) returning id::text"
        )
        offer_id = database.act(seller, insert)
        database.act(seller, "select public.publish_offer(%s)", offer_id)
        place = "select (public.place_order(offer_id => %s)).id::text"
        requests = "select task, subject from private.acme_requests"

        # Cancelling an order closes its page at the provider that has it.
        order_id = database.act(buyer, place, offer_id)
        assert database.webhook("acme", "opened", {"order": order_id, "page": "page_1"}) == "applied"
        database.act(buyer, "select public.cancel_order(%s)", order_id)
        assert database.sql(requests) == [("expire_session", "page_1")]

        # A payment, a second one that is surplus, a refund by an admin, and a dispute of the rest.
        order_id = database.act(buyer, place, offer_id)
        for reference in ("pay_1", "pay_1", "pay_2"):
            paid = {"order": order_id, "id": reference, "cents": 2000}
            assert database.webhook("acme", "paid", paid) == "applied"
        assert database.sql(requests)[1:] == [("refund_surplus", "pay_2")]
        assert (
            database.webhook("acme", "surplus refunded", {"id": "pay_2", "refund": "r_1", "cents": 2000}) == "applied"
        )
        refund_id = database.act(admin, "select (public.refund_order(%s, 500)).id::text", order_id)
        assert database.sql(requests)[2:] == [("refund", refund_id)]
        assert database.webhook("acme", "refunded", {"refund": refund_id}) == "applied"
        assert database.webhook("acme", "disputed", {"order": order_id, "id": "d_1", "cents": 2000}) == "applied"
        assert database.sql(
            "select paid_amount::int, refunded_amount::int, disputed_amount::int from public.orders where id = %s",
            order_id,
        ) == [(2000, 500, 1500)]
        left = "select account_kind::text, sum(amount)::int from public.ledger_entries group by 1 order by 1"
        assert {amount for _, amount in database.sql(left)} == {0}
        # No request went to Stripe.
        jobs = {task for (task,) in database.sql("select task_name from procrastinate.procrastinate_jobs")}
        assert jobs == {"sync_offer", "send_mail"}
