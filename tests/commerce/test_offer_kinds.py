"""Kinds of offers are rows: clients read them, and a new one needs a row and at most one function."""

import psycopg
import pytest

from tests.commerce.additions import extended
from tests.commerce.stripe_events import refund, session
from tests.databases import Databases
from tests.people import Academy, Person, rows

NEW_KIND = """
    insert into public.offer_kinds (kind, label, description, fulfilment, optional_columns, detail_keys)
    values ('guided_tour', 'Guided tour', 'A walk with the seller.', 'tour', '{maximum_quantity}', '{language}');

    create table private.tours (order_id uuid primary key, seats integer not null);

    create function private.fulfil_tour(p_order public.orders, p_is_in_force boolean) returns void
    language plpgsql
    set search_path = ''
    as $$
    begin
        delete from private.tours as t where t.order_id = p_order.id;
        insert into private.tours (order_id, seats) select p_order.id, p_order.quantity where p_is_in_force;
    end
    $$;
"""
"""A kind as a later domain adds it: one row and one function, with a table of the domain."""
WITHOUT_FUNCTION = """
    select k.kind from public.offer_kinds as k
    where k.fulfilment is not null
        and to_regprocedure('private.fulfil_' || k.fulfilment || '(public.orders, boolean)') is null
"""


def test_a_new_kind_is_a_row_and_a_function(academy: Academy, databases: Databases) -> None:
    with extended(academy, databases, NEW_KIND) as database:
        seller, buyer = database.member("teacher"), database.member()
        offer_id = database.act(
            seller,
            "insert into public.offers (kind, title, price_amount, maximum_quantity)"
            " values ('guided_tour', 'The old town', 2000, 4) returning id::text",
        )
        with pytest.raises(psycopg.Error, match="offer_column_not_allowed"):
            database.act(seller, "update public.offers set credits = 5 where id = %s returning id", offer_id)
        database.act(seller, "select public.publish_offer(%s)", offer_id)
        place = "select to_jsonb(public.place_order(offer_id => %s, quantity => 3, details => %s::jsonb))"
        with pytest.raises(psycopg.Error, match="detail_unknown"):
            database.act(buyer, place, offer_id, '{"size": "M"}')
        order = database.act(buyer, place, offer_id, '{"language": "fr"}')
        assert (order["kind"], order["amount"], order["details"]) == ("guided_tour", 6000, {"language": "fr"})
        assert database.sql("select * from private.tours") == []

        paid = session(order)
        event = {"created": 1, "data": {"object": paid}}
        assert database.webhook("stripe", "checkout.session.completed", event) == "applied"
        assert database.sql("select order_id::text, seats from private.tours") == [(order["id"], 3)]
        event = {"created": 2, "data": {"object": refund(paid["payment_intent"], order["amount"])}}
        assert database.webhook("stripe", "refund.created", event) == "applied"
        assert database.sql("select * from private.tours") == []


def test_every_fulfilment_has_its_function(academy: Academy, databases: Databases) -> None:
    assert academy.sql(WITHOUT_FUNCTION) == []
    row = "insert into public.offer_kinds (kind, label, description, fulfilment) values ('ghost', 'G', 'G', 'ghost')"
    with extended(academy, databases, row) as database:
        assert database.sql(WITHOUT_FUNCTION) == [("ghost",)]


def test_everybody_reads_the_kinds_and_nobody_writes_them(academy: Academy, student: Person, admin: Person) -> None:
    path = "/rest/v1/offer_kinds?kind=eq.tip&select=label,billing,sold_by,required_columns,detail_keys"
    for who in (None, student):
        assert rows(academy.call(who, "GET", path)) == [
            {
                "label": "Tip",
                "billing": "once",
                "sold_by": "seller",
                "required_columns": ["maximum_amount"],
                "detail_keys": ["note"],
            }
        ]
    new = {"kind": "song", "label": "Song", "description": "A song."}
    for who in (student, admin):
        assert academy.call(who, "POST", "/rest/v1/offer_kinds", new).status_code == 403
        assert academy.call(who, "PATCH", path, {"label": "Gift"}).status_code == 403
        assert academy.call(who, "DELETE", path).status_code == 403
