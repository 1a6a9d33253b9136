"""Which queries filter the rows that a request writes."""

import pytest

from stack.gateway.errors import GatewayError
from stack.gateway.filters import require_filter


@pytest.mark.parametrize(
    "query",
    [
        "id=eq.1",
        "select=id&id=eq.1&order=id",
        "%69d=eq.1",
        "or=(a.eq.1)",
        "not.and=(a.eq.1,b.eq.2)",
        "data->>name=eq.x",
        "data->a->>b.c=eq.x",
        '"a.b"=eq.1',
        "%22a.b%22=eq.1",
        "selected=is.true",
    ],
)
@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_a_filter_is_found(method: str, query: str) -> None:
    require_filter(method, query)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "&",
        "id",
        "%69d",
        "select=id",
        "s%65lect=id",
        "columns=id&on_conflict=id&order=id&limit=1&offset=1",
        "other.id=eq.1",
        "other%2Eid=eq.1",
        "other.or=(id.eq.1)",
        "other.not.or=(id.eq.1)",
        "other.data->>x=eq.1",
        "other.order=id",
        "select=id,not:other(id)&not.id=eq.1",
        "data->>x.order=id.asc",
        "data->>x.or=(id.eq.1)",
        'other".id"=eq.1',
        "x;select=id",
        "=eq.1",
    ],
)
@pytest.mark.parametrize(("method", "verb"), [("DELETE", "DELETE"), ("PATCH", "UPDATE")])
def test_nothing_is_written_without_a_filter(method: str, verb: str, query: str) -> None:
    with pytest.raises(GatewayError) as refusal:
        require_filter(method, query)
    assert (refusal.value.status, refusal.value.code) == (400, "21000")
    assert refusal.value.message == f"{verb} requires a WHERE clause"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
def test_other_methods_need_none(method: str) -> None:
    require_filter(method, "")
